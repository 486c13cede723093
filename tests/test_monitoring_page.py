"""docs/monitoring.md answers for every service, and agrees with the catalog and the plans."""

from __future__ import annotations

import re

import pytest
from docs import monitoring

from documents import ROOT
from tocsin.catalog import CATALOG
from tocsin.model import Severity
from tocsin.plan import Plan

PAGE = (ROOT / monitoring.PATH).read_text(encoding="utf-8")
PLANS = monitoring.plans()


def services(decided: Plan) -> dict[str, str]:
    """The section of each service of a system."""
    part = PAGE.partition(f"<!-- begin: {decided.system.name} -->")[2].partition("<!-- end:")[0]
    sections = re.split(r"^#### (.+)$", part, flags=re.MULTILINE)[1:]
    return dict(zip(sections[::2], sections[1::2], strict=True))


def test_the_page_is_what_the_code_makes_of_it() -> None:
    assert monitoring.page() == PAGE, "run `make docs`"


@pytest.mark.parametrize("decided", PLANS, ids=[decided.system.name for decided in PLANS])
def test_every_service_has_its_section(decided: Plan) -> None:
    found = services(decided)
    assert set(found) == {resource.logical_id for resource in decided.system.resources}
    for resource in decided.system.resources:
        text = found[resource.logical_id]
        assert CATALOG[resource.type].title in text
        assert "- Alerts " in text, f"{resource.logical_id}: says neither who is told nor why nobody is"


@pytest.mark.parametrize("decided", PLANS, ids=[decided.system.name for decided in PLANS])
def test_every_promise_and_every_alarm_that_tells_is_named_with_its_owner(decided: Plan) -> None:
    found = services(decided)
    for promised in decided.slos:
        assert f"**{promised.slo.name}**" in found[promised.slo.sli.resource.logical_id]
    for planned in decided.alarms:
        if planned.severity is not None:
            whom = f"{decided.system.owner}, by {'page' if planned.severity is Severity.PAGE else 'ticket'}"
            lines = [line for line in found[planned.resource].splitlines() if whom in line]
            assert any(f"runbooks/{planned.runbook})" in line for line in lines), planned.title


@pytest.mark.parametrize("decided", PLANS, ids=[decided.system.name for decided in PLANS])
def test_metrics_are_those_of_the_catalog_or_of_a_promise(decided: Plan) -> None:
    promised = {metric.name for one in decided.slos for metric in one.slo.sli.metrics}
    promised |= {series.metric.name for group in decided.panels for panel in group.panels for series in panel.series}
    for resource in decided.system.resources:
        known = {metric.name for metric in CATALOG[resource.type].metrics}
        health = services(decided)[resource.logical_id].partition("Health: ")[2].partition("\n")[0]
        names = set(re.findall(r"`([^`]+)`", health)) - {"DataPipeline", "Notification"}
        assert names <= known | promised


def test_the_tooling_of_every_kind_of_service_is_explained() -> None:
    rows = PAGE.partition("### By kind of service")[2].partition("\n## ")[0]
    titles = {CATALOG[resource.type].title for decided in PLANS for resource in decided.system.resources}
    for title in titles:
        assert f"| {title.removesuffix(' stage')} |" in rows, title


def test_what_is_no_resource_of_the_catalog_is_answered_for_as_well() -> None:
    for service in ("LoaderTask", "Network", "Delivery"):
        assert re.search(rf"^(#### .*\({service}\)|- \*\*{service}\*\*)", PAGE, re.MULTILINE), service
