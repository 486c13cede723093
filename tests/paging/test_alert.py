"""What an alert says of an alarm, for every kind of notification, and what the committed templates promise of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.cloudformation.document import load, parse
from tocsin.cloudformation.intrinsics import resolve
from tocsin.errors import InputError
from tocsin.paging.alert import (
    BUDGET,
    Alert,
    Promise,
    alert_of,
    budget_left,
    with_budget,
)
from tocsin.paging.alert_addresses import console_address
from tocsin.paging.alert_promise import differences, expected_alert
from tocsin.paging.declared import Way
from tocsin.paging.drill_marks import drill_reason
from tocsin.paging.tool import ToolAlert

ROOT = Path(__file__).resolve().parents[2]
ALARMS = sorted((ROOT / "alarms").glob("*.yaml"))
AT = datetime(2026, 3, 4, 5, 6, 7, 89_000, tzinfo=UTC)

DESCRIPTION = """api-availability: the error budget burns too fast.
Resource: NotificationsApi (ApiId a1b2c3).
Threshold: burn rate above 13.44 over 1 h and 5 min or 5.6 over 6 h and 30 min.
Why: Users see an empty page when their notifications cannot be read.
Severity: page. Owner: engagement. System: notification.
SLO: api-availability, 99.9 % over 28 d.
Runbook: https://runbooks.example.com/slo-availability.md
Dashboard: https://grafana.example.com/d/tocsin-notification?orgId=1
Source: https://sre.google/workbook/alerting-on-slos/"""

COMPOSITE = {
    "AlarmName": "prod-notification-api-availability-page",
    "AlarmDescription": DESCRIPTION,
    "AWSAccountId": "111122223333",
    "AlarmConfigurationUpdatedTimestamp": "2026-03-01T00:00:00.000+0000",
    "NewStateValue": "ALARM",
    "NewStateReason": "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:prod-…-burn-1h-long transitioned to ALARM",
    "StateChangeTime": "2026-03-04T05:06:07.089+0000",
    "Region": "EU (Ireland)",
    "AlarmArn": "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:prod-notification-api-availability-page",
    "OldStateValue": "OK",
    "OKActions": ["arn:aws:sns:eu-west-1:111122223333:prod-tocsin-engagement-page"],
    "AlarmActions": ["arn:aws:sns:eu-west-1:111122223333:prod-tocsin-engagement-page"],
    "InsufficientDataActions": [],
    "AlarmRule": '(ALARM("prod-notification-api-availability-burn-1h-long") AND '
    'ALARM("prod-notification-api-availability-burn-1h-short")) OR (ALARM("prod-notification-api-availability-burn-6h-long")'
    ' AND ALARM("prod-notification-api-availability-burn-6h-short"))',
    "TriggeringChildren": [
        {
            "Arn": "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:prod-notification-api-availability-burn-1h-long",
            "State": {"Value": "ALARM", "Timestamp": "2026-03-04T05:06:07.070+0000"},
        }
    ],
}
METRIC = {
    "AlarmName": "cpu high / web (blue) 100%",
    "AlarmDescription": None,
    "AWSAccountId": "111122223333",
    "NewStateValue": "ALARM",
    "NewStateReason": "Threshold Crossed: 1 datapoint [99.0] was greater than the threshold (80.0).",
    "StateChangeTime": "2026-03-04T05:06:07.089+0000",
    "Region": "China (Beijing)",
    "AlarmArn": "arn:aws-cn:cloudwatch:cn-north-1:111122223333:alarm:cpu high / web (blue) 100%",
    "OldStateValue": "OK",
    "Trigger": {
        "MetricName": "CPUUtilization",
        "Namespace": "AWS/EC2",
        "StatisticType": "Statistic",
        "Statistic": "AVERAGE",
        "Unit": None,
        "Dimensions": [{"value": "i-1", "name": "InstanceId"}],
        "Period": 60,
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 80.0,
        "TreatMissingData": "missing",
    },
}
MATH = {
    **METRIC,
    "Trigger": {
        "Metrics": [
            {"Expression": "m1 / m2", "Id": "ratio", "ReturnData": True},
            {"Id": "m1", "MetricStat": {"Metric": {"MetricName": "Errors", "Namespace": "Shop"}, "Period": 60, "Stat": "Sum"}},
        ],
        "EvaluationPeriods": 1,
        "Threshold": 0.1,
    },
}  # fmt: skip


def test_a_page_says_everything() -> None:
    alert = alert_of(COMPOSITE)
    assert (alert.alias, alert.priority, alert.state) == (COMPOSITE["AlarmName"], "P1", "ALARM")
    assert alert.message == "[prod] notification: api-availability: the error budget burns too fast"
    assert alert.description == f"{COMPOSITE['NewStateReason']}\n\n{DESCRIPTION}"
    assert alert.tags == (
        "environment:prod",
        "owner:engagement",
        "severity:page",
        "slo:api-availability",
        "system:notification",
        "tocsin",
    )
    assert alert.promise == Promise("api-availability", Fraction(999, 1000), timedelta(days=28))
    assert alert.long_window_alarm == "prod-notification-api-availability-burn-1h-long"
    assert alert.changed_at == AT
    assert dict(alert.details) == {
        "system": "notification",
        "owner": "engagement",
        "slo": "api-availability",
        "severity": "page",
        "environment": "prod",
        "resource": "NotificationsApi (ApiId a1b2c3)",
        "region": "eu-west-1",
        "account": "111122223333",
        "runbook": "https://runbooks.example.com/slo-availability.md",
        "dashboard": "https://grafana.example.com/d/tocsin-notification?orgId=1&from=1772579167089&to=now",
        "console": "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1"
        "#alarmsV2:alarm/prod-notification-api-availability-page",
        "reason": COMPOSITE["NewStateReason"],
        "changed at": "2026-03-04T05:06:07.089Z",
        "drill": "no",
    }


def test_the_dashboard_begins_before_the_longest_window_and_ends_after_the_end() -> None:
    def span(message: Mapping[str, Any]) -> tuple[timedelta, str]:
        query = parse_qs(urlsplit(alert_of(message).details["dashboard"]).query)
        begin = datetime.fromtimestamp(int(query["from"][0]) / 1000, UTC)
        return AT - begin, query["to"][0]

    assert span(COMPOSITE) == (timedelta(hours=6), "now")
    ticket = {**COMPOSITE, "AlarmDescription": DESCRIPTION.replace("Severity: page", "Severity: ticket")}
    assert span(ticket) == (timedelta(days=3), "now")
    assert span({**COMPOSITE, "NewStateValue": "OK"}) == (timedelta(hours=6), "1772601367089")


@pytest.mark.parametrize("message", [METRIC, MATH])
def test_an_alarm_that_is_not_tocsins_is_a_good_alert_all_the_same(message: dict[str, Any]) -> None:
    alert = alert_of(message)
    assert (alert.priority, alert.message) == ("P3", "cpu high / web (blue) 100% is in ALARM")
    assert alert.description == METRIC["NewStateReason"]
    assert alert.tags == ("tocsin",)
    assert (alert.promise, alert.long_window_alarm) == (None, None)
    assert set(alert.details) == {"region", "account", "console", "reason", "changed at", "drill"}


def test_a_ticket_and_an_unknown_severity_wake_nobody() -> None:
    for severity in ("ticket", "disaster"):
        text = DESCRIPTION.replace("Severity: page", f"Severity: {severity}")
        assert alert_of({**COMPOSITE, "AlarmDescription": text}).priority == "P3"


def test_lines_that_people_wrote_do_not_count_before_those_that_tocsin_wrote() -> None:
    fake = "Why: see\nSeverity: ticket. Owner: nobody. System: nothing.\nRunbook: https://elsewhere.example.com/\n"
    alert = alert_of({**COMPOSITE, "AlarmDescription": DESCRIPTION.replace("Threshold", f"{fake}Threshold")})
    assert (alert.priority, alert.details["owner"]) == ("P1", "engagement")
    assert alert.details["runbook"] == "https://runbooks.example.com/slo-availability.md"


def test_a_drill_says_so_where_people_and_rules_look() -> None:
    for page in (True, False):
        alert = alert_of({**COMPOSITE, "NewStateReason": drill_reason("a test of the way", page=page)})
        assert alert.drill
        assert alert.message.startswith("Drill: [prod]")
        assert alert.description.startswith(drill_reason("a test of the way", page=page))
        assert alert.tags[0] == "drill"
        assert alert.details["drill"] == "yes"


@pytest.mark.parametrize(
    ("partition", "region", "host"),
    [
        ("aws", "eu-west-1", "eu-west-1.console.aws.amazon.com"),
        ("aws-cn", "cn-north-1", "cn-north-1.console.amazonaws.cn"),
        ("aws-us-gov", "us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_each_partition_has_its_console(partition: str, region: str, host: str) -> None:
    arn = f"arn:{partition}:cloudwatch:{region}:1:alarm:x"
    assert urlsplit(alert_of({**METRIC, "AlarmArn": arn}).details["console"]).netloc == host
    without_arn = {key: value for key, value in METRIC.items() if key != "AlarmArn"}
    assert urlsplit(alert_of(without_arn, region).details["console"]).netloc == host
    assert "console" not in alert_of(without_arn).details


def test_an_alarms_name_is_encoded_as_the_console_reads_it() -> None:
    assert alert_of(METRIC).details["console"].endswith("#alarmsV2:alarm/cpu%20high%20%2F%20web%20(blue)%20100%25")


@given(st.text(min_size=1, max_size=255))
def test_any_name_can_be_read_back_from_the_consoles_address(name: str) -> None:
    if any("\ud800" <= sign <= "\udfff" for sign in name):
        return
    address = console_address(name, "eu-west-1")
    assert unquote(address.partition("#alarmsV2:alarm/")[2]) == name
    assert address.isascii()
    assert " " not in address


@given(
    st.dictionaries(
        st.sampled_from(["AlarmName", "AlarmDescription", "NewStateReason", "AlarmArn", "AlarmRule", "NewStateValue"]),
        st.text(st.characters(codec="utf-8"), max_size=255) | st.none(),
    )
)
def test_whatever_a_notification_holds_fits_the_tools_limits(changes: dict[str, Any]) -> None:
    alert = alert_of({**COMPOSITE, **changes})
    assert len(alert.message) <= 130
    assert len(alert.description) <= 15_000
    assert all(len(tag) <= 50 for tag in alert.tags)
    assert sum(len(key) + len(value) for key, value in alert.details.items()) <= 8_000
    json.dumps(dict(alert.details))


@pytest.mark.parametrize(
    "message", [{}, {**METRIC, "StateChangeTime": "yesterday"}, {"AlarmName": "x"}, {"NewStateValue": "OK"}]
)
def test_what_is_no_notification_is_refused_in_a_line(message: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"^not a notification of a CloudWatch alarm") as caught:
        alert_of(message)
    assert "\n" not in str(caught.value)


def test_long_titles_are_cut() -> None:
    text = DESCRIPTION.replace("the error budget burns too fast", "too fast " * 30)
    message = alert_of({**COMPOSITE, "AlarmDescription": text}).message
    assert len(message) == 130
    assert message.endswith("…")


# --- the budget ---

PROMISE = Promise("x", Fraction(999, 1000), timedelta(days=28))


@pytest.mark.parametrize(
    ("bad", "valid", "shown"),
    [
        (0, 0, "100.0 %"),
        (0, 1000, "100.0 %"),
        (1, 3000, "66.6 %"),  # rounded down
        (3, 3000, "0.0 %"),
        (1, 1, "-99900.0 %"),
        (1, 999, "-0.2 %"),
        (5, 0, "0.0 %"),
    ],
)
def test_what_is_left_is_never_said_to_be_more_than_it_is(bad: int, valid: int, shown: str) -> None:
    left = budget_left(PROMISE, Fraction(bad), Fraction(valid))
    assert with_budget(alert_of(COMPOSITE), left).details[BUDGET] == shown


@given(st.integers(1, 10**9), st.integers(1, 10**9), st.fractions(Fraction(1, 2), Fraction(99_999, 100_000)))
def test_the_budget_is_exact(bad: int, valid: int, objective: Fraction) -> None:
    left = budget_left(Promise("x", objective, timedelta(days=28)), Fraction(bad), Fraction(valid))
    assert (1 - left) * (1 - objective) * valid == bad


def test_why_a_budget_is_not_known_is_said() -> None:
    assert with_budget(alert_of(COMPOSITE), None, "AccessDenied").details[BUDGET] == "not known: AccessDenied"


# --- what the committed templates promise ---


def parameters(path: Path) -> dict[str, str]:
    return {
        name: f"{name.lower()}-1" for name, body in load(path).tree["Parameters"].items() if name != "Environment"
    } | {"Environment": "prod"}


def promised(path: Path, alarm: str, reason: str = "Drill by Tocsin: why") -> Alert:
    return expected_alert(
        load(path), parameters(path), alarm, reason=reason, changed_at=AT, account="111122223333", region="eu-west-1"
    )


def alarms_that_tell() -> list[tuple[Path, str, str]]:
    """Every committed alarm with actions: its template, name and description as deployed."""
    found = []
    for path in ALARMS:
        for each in resolve(load(path), parameters(path)):
            if each.properties.get("AlarmActions"):
                name, text = each.properties["AlarmName"], each.properties["AlarmDescription"]
                found.append((path, name, text.replace("${!", "${")))
    return found


def told(alert: Alert, **changes: Any) -> ToolAlert:
    one = ToolAlert(
        id="1",
        alias=alert.alias,
        open=True,
        acknowledged=False,
        message=alert.message,
        description=alert.description,
        priority=alert.priority,
        tags=alert.tags,
        details=alert.details,
        created_at=AT,
        closed_at=None,
        count=1,
    )
    return replace(one, **changes)


@pytest.mark.parametrize(("path", "name", "text"), alarms_that_tell(), ids=lambda value: value if isinstance(value, str) and "\n" not in value else "")  # fmt: skip
def test_every_committed_alarm_makes_the_alert_that_its_template_promises(path: Path, name: str, text: str) -> None:
    arrived = alert_of(
        {
            **COMPOSITE,
            "AlarmName": name,
            "AlarmDescription": text,
            "NewStateReason": "Drill by Tocsin: why",
            "AlarmArn": f"arn:aws:cloudwatch:eu-west-1:111122223333:alarm:{name}",
        }
    )
    expected = promised(path, name)
    said = with_budget(arrived, Fraction(1, 2)) if arrived.promise else arrived
    for way in (Way.FORWARDER, Way.TOOL):
        assert differences(expected, told(said), way) == ()
    assert expected.details["severity"] == ("page" if expected.priority == "P1" else "ticket")
    assert expected.details["environment"] == "prod"
    assert len(text) <= 1024


def test_every_field_that_is_otherwise_is_named() -> None:
    path, name, _ = next(each for each in alarms_that_tell() if "availability-page" in each[1])
    expected = promised(path, name)
    good = with_budget(expected, Fraction(1))

    def found(way: Way = Way.FORWARDER, **changes: Any) -> list[str]:
        return [line.partition(":")[0] for line in differences(expected, told(good, **changes), way)]

    assert found() == []
    assert found(alias="other") == ["alias"]
    assert found(priority="P3") == ["priority"]
    assert found(message="other") == ["message"]
    assert found(tags=()) == ["tags"]
    assert found(Way.TOOL, tags=(), message="other", details={}) == []
    assert found(Way.TOOL, description="") == ["description"] * 3
    for key in expected.details:
        if key != "changed at":
            changed = {**good.details, key: "other"}
            assert found(details=changed) == [key], key
    assert found(details={k: v for k, v in good.details.items() if k != BUDGET}) == [BUDGET]
    late = good.details["dashboard"].replace("to=now", f"to={int(AT.timestamp() * 1000) - 1}")
    assert found(details={**good.details, "dashboard": late}) == ["dashboard"]


def test_the_metadata_is_held_against_the_description() -> None:
    path, name, _ = next(each for each in alarms_that_tell() if "availability-page" in each[1])
    text = path.read_text(encoding="utf-8").replace("Severity: page. Owner", "Severity: ticket. Owner")
    changed = parse(text, "changed.yaml")
    expected = expected_alert(
        changed, parameters(path), name, reason="r", changed_at=AT, account="1", region="eu-west-1"
    )
    assert (expected.priority, expected.details["severity"]) == ("P1", "page")


def test_an_alarm_that_the_template_has_not_is_named_with_the_nearest() -> None:
    path = ROOT / "alarms" / "notification.yaml"
    with pytest.raises(InputError, match=r"no alarm 'prod-notification-api-availability-pag'; did you mean 'prod-notification-api-availability-page'"):  # fmt: skip
        promised(path, "prod-notification-api-availability-pag")
