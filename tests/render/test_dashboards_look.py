"""What a reader sees at first: order, places, colours, axes, legends and what an empty panel says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dashboard_systems import RUNBOOKS, checkout, every_panel, function, panel, panels

from tocsin.alarm import Metric
from tocsin.catalog.entry import Meaning, Panel, Series
from tocsin.declare import availability, completeness, discover, freshness, heartbeat, latency
from tocsin.model import System
from tocsin.plan import Plan, PlannedAlarm, plan
from tocsin.render.dashboards import slo_overview, system_dashboard
from tocsin.render.dashboards.alarm_states import _label
from tocsin.render.dashboards.layout import Section, place
from tocsin.render.dashboards.panels import Block, tiles

TEMPLATES = Path(__file__).parents[2] / "deploy"


def notification() -> Plan:
    """Our own system with an API, queues, a daily job and five promises."""
    stack = discover(str(TEMPLATES / "notification" / "template.yaml"))
    api, queue = stack["NotificationsApi"], stack["GenerateMessage"]
    slos = [
        availability(api, name="api-availability", objective="99.9%", window="28d"),
        latency(api, name="api-latency", below="800ms", objective="99%", window="28d"),
        heartbeat(stack["FindDailyNotifications"], name="daily-run", every="1d", tolerates="2h"),
        freshness(queue, name="generation-freshness", below="30min", objective="99.5%", window="28d"),
        completeness(queue, name="generation-completeness", objective="99.9%", window="28d"),
    ]
    return plan(System("notification", "engagement", stack, slos), checkout().settings)


NOTIFICATION = system_dashboard(notification())
PIPELINE = system_dashboard(
    plan(System("data_pipeline", "data", discover(str(TEMPLATES / "data_pipeline" / "template.yaml"))))
)
CHECKOUT = system_dashboard(checkout())


def custom(item: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = item["fieldConfig"]["defaults"]["custom"]
    return found


def colors(item: dict[str, Any]) -> dict[str, str]:
    """The colour of each line by its label."""
    labels = {target["refId"]: target["label"] for target in item["targets"]}
    found = {
        labels[override["matcher"]["options"]]: entry["value"]["fixedColor"]
        for override in item["fieldConfig"]["overrides"]
        for entry in override["properties"]
        if entry["id"] == "color"
    }
    fixed = item["fieldConfig"]["defaults"].get("color", {}).get("fixedColor")
    return found or dict.fromkeys(labels.values(), fixed)


def test_symptoms_stand_before_causes():
    rows = [item["title"].split(" ")[0] for item in NOTIFICATION["panels"] if item["type"] == "row"]

    # The API's graphs hang on its stage; the daily job, which is silent most of the day, comes after what is promised.
    assert rows[1:3] == ["NotificationsApiStage", "GenerateMessage"]
    assert rows[3:5] == ["GetNotifications", "MessageGenerator"]
    assert rows[5:8] == ["FindDailyNotificationsDeadLetters", "GenerateMessageDeadLetters", "FindDailyNotifications"]


def test_the_graphs_of_what_is_promised_are_open():
    collapsed = {
        item["title"].split(" ")[0]: item["collapsed"] for item in NOTIFICATION["panels"] if item["type"] == "row"
    }

    assert not any(collapsed[name] for name in ("NotificationsApiStage", "GenerateMessage", "GetNotifications"))
    assert collapsed["How"]


def test_the_row_of_something_never_used_still_says_where_it_was_looked_for():
    (row,) = [item for item in every_panel(NOTIFICATION) if item["title"].startswith("GenerateMessageDeadLetters ")]
    assert row["title"].endswith(" · ${Stack}-${GenerateMessageDeadLettersName}")


def two_promises() -> Plan:
    """So few tiles that the timeline beside them needs more height than they do."""
    orders = function("Orders")
    slos = [
        availability(orders, objective="99.9%", window="28d"),
        latency(orders, below="1s", objective="99%", window="28d"),
    ]
    return plan(System("shop", "payments", (orders,), slos))


def cells(items: list[dict[str, Any]]) -> Iterator[tuple[int, int]]:
    for item in items:
        grid = item["gridPos"]
        for x in range(grid["x"], grid["x"] + grid["w"]):
            for y in range(grid["y"], grid["y"] + grid["h"]):
                yield x, y


@pytest.mark.parametrize(
    "dashboard",
    [
        NOTIFICATION,
        PIPELINE,
        CHECKOUT,
        system_dashboard(plan(System("x", "y", (function("Only"),)))),
        system_dashboard(two_promises()),
    ],
)
def test_the_strip_on_top_has_no_hole(dashboard):
    strip = []
    for item in dashboard["panels"]:
        if item["type"] == "row":
            break
        strip.append(item)
    taken = list(cells(strip))
    bottom = max(y for _, y in taken) + 1

    assert len(taken) == len(set(taken)) == 24 * bottom


def test_a_block_goes_to_the_highest_then_leftmost_free_place():
    sizes = [(4, 8), (4, 8), (6, 8), (10, 12), (7, 4), (7, 4), (24, 5), (12, 3)]
    blocks = tuple(
        Block(str(number), tiles("t", "d", unit="short", thresholds=[], no_value="-"), width, height, 1, 1)
        for number, (width, height) in enumerate(sizes)
    )
    placed = place("here", [Section("top", "", blocks)]).panels

    assert [(item.gridPos.x, item.gridPos.y) for item in placed] == [
        (0, 0), (4, 0), (8, 0), (14, 0), (0, 8), (7, 8), (0, 12), (0, 17),
    ]  # fmt: skip


def test_tiles_say_their_time_in_the_title_and_the_one_that_moves_first_comes_first():
    names = [item["title"] for item in NOTIFICATION["panels"] if item["type"] == "stat"]

    assert names[:3] == ["Burn rate, 1 h", "Budget left, 28 d", "Attained, 28 d"]
    for item in panels(NOTIFICATION):
        assert ("hideTimeOverride" in item) == (item["type"] == "stat")
        assert len(item["title"]) <= 24 or item["gridPos"]["w"] > 4


def test_two_slo_windows_give_two_burn_rates_that_are_told_apart():
    names = [item["title"] for item in CHECKOUT["panels"] if item["type"] == "stat"]
    assert {"Burn rate, 1 h (28 d)", "Burn rate, 1 h (30 d)"} <= set(names)


def test_what_is_attained_is_shown_more_exactly_than_it_is_promised():
    item = panel(NOTIFICATION, "Attained")
    labels = {target["refId"]: target["label"] for target in item["targets"]}
    decimals = {
        labels[override["matcher"]["options"]]: entry["value"]
        for override in item["fieldConfig"]["overrides"]
        for entry in override["properties"]
        if entry["id"] == "decimals"
    }

    assert decimals["generation-completeness (99.9 %)"] == 3  # 99.9955 % must not read as 100 %
    assert decimals["api-latency (99 %)"] == 2


def test_every_row_of_a_timeline_is_on_its_one_page_and_has_room():
    for item in panels(NOTIFICATION) + panels(PIPELINE):
        if item["type"] == "state-timeline":
            rows = sum(not target["hide"] for target in item["targets"])
            assert item["options"]["perPage"] == rows
            assert item["gridPos"]["h"] * 38 - 90 >= 14 * rows  # grid units of 38 pixels, text of 12
            assert "row without a bar" in item["description"]


def test_labels_of_a_timeline_are_short_and_still_name_the_symptom():
    long = PlannedAlarm("X", None, "k", None, "GenerateMessageDeadLetters: dead letters are about to be deleted", "", "", "", "")  # type: ignore[arg-type]  # fmt: skip

    assert _label(long) == "GenerateMessage…: dead letters are about to be deleted"
    for item in panels(NOTIFICATION):
        if item["type"] == "state-timeline":
            assert all(len(target["label"]) <= 54 for target in item["targets"])
            assert not any(" of " in target["label"] for target in item["targets"])


def test_a_line_of_an_alarm_is_in_view():
    seen = 0
    for item in panels(NOTIFICATION) + panels(PIPELINE) + panels(CHECKOUT):
        defaults = item["fieldConfig"]["defaults"]
        if (
            item["type"] != "timeseries"
            or custom(item)["thresholdsStyle"]["mode"] == "off"
            or "error budget" in item["title"]
        ):
            continue
        steps = defaults["thresholds"]["steps"]
        highest = max((step["value"] for step in steps[1:] if step["color"] != "transparent"), default=None)
        if highest is None:
            continue  # a lower limit; what is measured lies above it
        if item["title"] in ("How long do requests take?", "How much waits, how much is being worked on?"):
            assert "axisSoftMax" not in custom(item)  # half a minute above milliseconds, 120,000 above ten
            continue
        assert max(custom(item).get("axisSoftMax", 0), defaults.get("max", 0)) > highest
        assert highest > 0
        seen += 1
    assert seen > 10


def test_a_percentage_has_an_axis_up_to_a_hundred():
    assert panel(PIPELINE, "How busy is the CPU?")["fieldConfig"]["defaults"]["max"] == 100


def test_a_lower_limit_shares_its_axis_with_nothing_else():
    for item in panels(PIPELINE):
        steps = item["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
        if item["type"] == "timeseries" and [step["color"] for step in steps] == ["orange", "transparent"]:
            assert len(item["targets"]) == 1, item["title"]
    assert len(panel(PIPELINE, "How much is swapped?")["targets"]) == 1


def test_a_burn_rate_is_read_as_well_at_one_as_at_six_hundred():
    item = panel(CHECKOUT, "Orders-availability: how fast")

    assert custom(item)["scaleDistribution"] == {"type": "symlog", "log": 10, "linearThreshold": 1}
    assert custom(item)["lineInterpolation"] == "stepAfter"
    assert "max" not in item["fieldConfig"]["defaults"]


def test_lines_that_cross_are_not_filled():
    for item in panels(NOTIFICATION) + panels(slo_overview([checkout()])):
        if item["type"] == "timeseries" and custom(item)["drawStyle"] == "line":
            lines = sum(not target["hide"] for target in item["targets"])
            assert (custom(item)["fillOpacity"] > 0) == (lines == 1)


def test_no_legend_takes_the_room_of_its_graph():
    for item in panels(NOTIFICATION) + panels(PIPELINE) + panels(slo_overview([notification()])):
        if item["type"] == "timeseries":
            legend = item["options"]["legend"]
            lines = sum(not target["hide"] for target in item["targets"])
            assert legend["showLegend"] is True
            if legend["displayMode"] == "table" and legend["placement"] == "bottom":
                assert lines <= 2
                assert item["gridPos"]["w"] > 8


def test_the_same_meaning_has_the_same_colour():
    expected = {
        "errors": "red", "failed": "red", "server errors (5xx)": "red", "throttles": "orange", "throttled": "orange",
        "client errors (4xx)": "yellow",
    }  # fmt: skip
    seen = set()
    for item in panels(NOTIFICATION) + panels(PIPELINE) + panels(slo_overview([notification()])):
        if item["type"] == "timeseries":
            for label, color in colors(item).items():
                assert (color in ("red", "orange", "yellow")) == (label in expected), label
                assert expected.get(label, color) == color
                seen.add(label)
            shown = {target["label"] for target in item["targets"] if not target["hide"]}
            assert colors(item).keys() >= shown  # Grafana's own choice would make the fifth of them red
    assert seen >= {"errors", "throttles", "server errors (5xx)", "client errors (4xx)", "failed"}


def test_counts_say_per_what_they_are_and_share_one_period():
    counted = 0
    for item in panels(NOTIFICATION) + panels(PIPELINE):
        sums = {target["period"] for target in item["targets"] if target["statistic"] in ("Sum", "SampleCount")}
        if item["type"] == "timeseries" and sums and not any(target["expression"] for target in item["targets"]):
            assert sums == {"300"}
            assert custom(item)["axisLabel"] == "per 5 min"
            assert custom(item)["drawStyle"] == "bars"
            counted += 1
    assert counted > 5


def test_an_empty_panel_says_what_that_means():
    for item in panels(NOTIFICATION) + panels(PIPELINE) + panels(slo_overview([notification()])):
        if item["type"] != "state-timeline":
            assert item["fieldConfig"]["defaults"]["noValue"]
    for title, row, said in (
        ("Are requests throttled?", "Notifications ", "nothing throttled in this time"),
        ("Are requests answered?", "NotificationsApiStage", "no traffic in this time"),
        ("Are invocations failing?", "GetNotifications", "did not run in this time"),
    ):
        assert panel(NOTIFICATION, title, row=row)["fieldConfig"]["defaults"]["noValue"] == said


def test_what_happens_once_a_day_is_shown_over_days():
    for title in ("Are invocations failing?", "How close to the timeout", "How many run at once?"):
        assert panel(NOTIFICATION, title, row="FindDailyNotifications")["timeFrom"] == "2d"
        assert "timeFrom" not in panel(NOTIFICATION, title, row="GetNotifications")
    assert panel(NOTIFICATION, "Does the rule reach its targets?", row="DailyRule")["timeFrom"] == "2d"
    size = panel(PIPELINE, "How much does the bucket hold?", row="Incoming")
    assert size["timeFrom"] == "30d"
    assert {target["period"] for target in size["targets"]} == {"86400"}


def test_a_value_with_none_beside_it_is_drawn():
    assert all(custom(item)["showPoints"] == "auto" for item in panels(NOTIFICATION) if item["type"] == "timeseries")


def test_a_runbook_is_linked_where_its_promise_is_shown_and_nowhere_else():
    assert {link["url"] for link in panel(NOTIFICATION, "Burn rate")["links"]} == {
        f"{RUNBOOKS}/slo-{kind}.md" for kind in ("availability", "latency", "freshness", "completeness")
    }
    overview = slo_overview([notification()])
    for title in ("Burn rate", "Budget left", "Attained", "How are the error budgets"):
        assert not any("heartbeat" in link["url"] for link in panel(overview, title)["links"])
    for title in ("Successful runs", "Last success"):
        for dashboard in (overview, NOTIFICATION):
            assert [link["url"] for link in panel(dashboard, title)["links"]] == [f"{RUNBOOKS}/slo-heartbeat.md"]


def custom_panel(**options: Any) -> dict[str, Any]:
    """A dashboard's only resource graph, with these fields of a catalog panel."""
    planned = plan(System("shop", "payments", (function("Orders", Timeout=10),)))
    (group,) = planned.panels
    metric = Metric("AWS/Lambda", "Invocations", (("FunctionName", "${OrdersName}"),))
    fields: dict[str, Any] = {
        "title": "Do they come?", "description": "They do.", "unit": "short", "series": (Series(metric, "Sum", "calls"),)
    } | options  # fmt: skip
    return system_dashboard(replace(planned, panels=(replace(group, panels=(Panel(**fields),)),)))


def test_a_key_keeps_the_panels_id_when_its_title_changes():
    before = panel(custom_panel(), "Do they come?")
    renamed = panel(custom_panel(title="How many come?", key="Do they come?"), "How many come?")
    other = panel(custom_panel(title="How many come?"), "How many come?")

    assert renamed["id"] == before["id"] != other["id"]


def test_the_fields_of_a_catalog_panel_reach_the_graph():
    metric = Metric("AWS/Lambda", "Errors", (("FunctionName", "${OrdersName}"),))
    item = panel(
        custom_panel(
            no_value="nobody came",
            time_from=timedelta(days=14),
            period=timedelta(hours=1),
            series=(Series(metric, "Sum", "lost", Meaning.FAILED),),
        ),
        "Do they come?",
    )

    assert item["fieldConfig"]["defaults"]["noValue"] == "nobody came"
    assert item["timeFrom"] == "14d"
    assert item["targets"][0]["period"] == "3600"
    assert custom(item)["axisLabel"] == "per 1 h"
    assert colors(item) == {"lost": "red"}
