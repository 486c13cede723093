"""``tocsin backtest SYSTEM`` between two states of a declaration: an SLO is new or gone, or nothing was built yet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.command_line import DECLARATION, declare, refused, tocsin

READS = 'availability(stack["Reader"], name="reads", objective="99.9%", window="28d"),'
NIGHTLY = 'heartbeat(stack["Reader"], name="nightly", every="1d", tolerates="2h"),'
OUTAGE = ("--scenario", "full-outage", "--scenario", "job-never-runs")


def built(folder: Path, slos: str, keep: str | None = None) -> None:
    (folder / "monitoring" / "systems" / "shop.py").write_text(DECLARATION.format(slos=slos))
    assert tocsin("build").exit_code == 0
    if keep is not None:
        (folder / keep).write_bytes((folder / "alarms" / "shop.yaml").read_bytes())


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    declare(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def difference(*arguments: str) -> dict[str, Any]:
    result = tocsin("backtest", "shop", *OUTAGE, *arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_new_slo_is_only_here_and_the_rest_is_compared(shop: Path) -> None:
    built(shop, READS, keep="before.yaml")
    built(shop, READS + NIGHTLY, keep="now.yaml")
    found = difference("--against", "before.yaml")
    assert (found["changes"], found["only_here"], found["only_there"]) == ([], ["SLO nightly"], [])
    found = difference("--template", "before.yaml", "--against", "now.yaml")
    assert (found["only_here"], found["only_there"]) == ([], ["SLO nightly"])
    lines = tocsin("backtest", "shop", *OUTAGE, "--against", "before.yaml").stdout.splitlines()
    assert lines == ["only here: SLO nightly"]


def test_an_slo_that_is_gone_is_only_there(shop: Path) -> None:
    built(shop, READS + NIGHTLY, keep="before.yaml")
    built(shop, READS)
    found = difference("--against", "before.yaml")
    assert (found["only_here"], found["only_there"]) == ([], ["SLO nightly, which is not declared here"])


def test_a_severity_that_only_one_side_has_is_said(shop: Path) -> None:
    built(shop, READS)
    text = (shop / "alarms" / "shop.yaml").read_text()
    (shop / "before.yaml").write_text(text.replace("shop-reads-ticket", "shop-reads-note"))
    assert difference("--against", "before.yaml")["only_here"] == ["the ticket of SLO reads"]


def test_a_template_with_none_of_the_alarms_is_refused_and_no_build_would_help(shop: Path) -> None:
    built(shop, READS)
    (shop / "none.yaml").write_text((shop / "alarms" / "shop.yaml").read_text().replace("-shop-", "-shoe-"))
    arguments = ("backtest", "shop", "--template", "none.yaml")
    for more in ((), ("--against", "alarms/shop.yaml")):
        said = refused(*arguments, *more)
        assert said == "none.yaml: has no alarm 'prod-shop-reads-page', by which SLO reads tells"


@pytest.mark.parametrize("history", [False, True])
def test_alarms_that_are_not_what_the_declaration_renders_are_refused(shop: Path, history: bool) -> None:
    built(shop, READS)
    stale = READS.replace("99.9%", "99.5%")
    (shop / "monitoring" / "systems" / "shop.py").write_text(DECLARATION.format(slos=stale))
    arguments = ("--series", "none.json") if history else OUTAGE[:2]
    said = refused("backtest", "shop", *arguments)
    assert said.startswith("alarms/shop.yaml is not what the declaration renders; run `tocsin build`")
    if not history:
        assert tocsin("backtest", "shop", *arguments, "--template", "alarms/shop.yaml").exit_code in (0, 1)
        assert tocsin("build").exit_code == 0
        assert tocsin("backtest", "shop", *arguments).exit_code == 0


def test_an_unknown_scenario_lists_all(shop: Path) -> None:
    built(shop, READS)
    said = refused("backtest", "shop", "--scenario", "?")
    assert all(name in said for name in ("full-outage", "burn-14.4", "gap-in-outage", "job-never-runs"))
