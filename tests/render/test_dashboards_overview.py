"""The overview of all systems' promises."""

from __future__ import annotations

import pytest
from dashboard_systems import checkout, function, panels
from grafana_types import problems

from tocsin.declare import availability
from tocsin.errors import PlanError
from tocsin.model import System
from tocsin.plan import plan
from tocsin.render.dashboard_lint import lint
from tocsin.render.dashboards import slo_overview, to_json

UIDS = {f"tocsin-{name}" for name in ("checkout", "shop")}


def small(name):
    item = function("Orders")
    return plan(System(name, "payments", (item,), [availability(item, objective="99.5%", window="30d")]))


def test_it_passes_grafanas_types_and_the_lint_rules():
    dashboard = slo_overview([checkout(), small("shop")])

    assert problems(dashboard) == []
    assert lint(dashboard, known_uids=UIDS) == ()


def test_nothing_promised_is_an_empty_page():
    dashboard = slo_overview([])
    assert dashboard["panels"] == []
    assert problems(dashboard) == []


def test_every_promise_of_every_system_has_its_tiles_and_leads_down():
    plans = [small("shop"), checkout()]
    dashboard = slo_overview(plans)
    for planned in plans:
        for slo in planned.slos:
            label = f"{planned.system.name} · {slo.slo.name}"
            tiles = [
                (item, target["refId"])
                for item in panels(dashboard)
                for target in item["targets"]
                if target["label"].split(" (")[0] == label and item["type"] == "stat"
            ]
            assert len(tiles) == (2 if slo.slo.objective is None else 3)
            for item, identifier in tiles:
                (override,) = [
                    entry for entry in item["fieldConfig"]["overrides"] if entry["matcher"]["options"] == identifier
                ]
                links = {entry["id"]: entry["value"] for entry in override["properties"]}["links"]
                assert links[0]["url"].startswith(f"/d/tocsin-{planned.system.name}?")


def test_two_systems_with_one_logical_id_read_their_own_metrics():
    dashboard = slo_overview([small("shop"), small("depot")])
    read = {
        target["dimensions"]["FunctionName"][0]
        for item in panels(dashboard)
        for target in item["targets"]
        if target["dimensions"]
    }

    assert read == {"${ShopStack}-${ShopOrdersName}", "${DepotStack}-${DepotOrdersName}"}


def test_the_order_of_the_plans_does_not_matter():
    plans = [small("shop"), checkout(), small("depot")]
    assert to_json(slo_overview(plans)) == to_json(slo_overview(reversed(plans)))


def test_fifty_systems_open_under_the_limit_and_the_rest_waits():
    dashboard = slo_overview([small(f"system-{number:02}") for number in range(50)])
    opened = [item for item in dashboard["panels"] if item["type"] != "row"]

    assert 0 < sum(target["metricEditorMode"] == 0 for item in opened for target in item["targets"]) < 500
    assert lint(dashboard, known_uids={f"tocsin-system-{number:02}" for number in range(50)}) == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [("order-service", "order_service")],
)
def test_systems_that_would_share_a_dashboard_are_refused(one, other):
    with pytest.raises(PlanError, match=f"{one}.* and {other}.*one dashboard"):
        slo_overview([small(one), small(other)])
