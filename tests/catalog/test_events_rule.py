from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from catalog_stacks import dimensions, offer, only, reason, ref, stack

from tocsin.alarm import Alarm, AlarmState
from tocsin.catalog import CATALOG
from tocsin.cloudformation.symbolic import Symbolic
from tocsin.errors import DeclarationError
from tocsin.model import SliKind
from tocsin.simulate.metric_alarm import evaluate
from tocsin.simulate.series import Store

RULE = "AWS::Events::Rule"
DAILY = "cron(0 7 * * ? *)"
NOW = datetime(2026, 3, 2, 7, tzinfo=UTC)


def _rule(**properties: object):
    return stack(
        Daily=(RULE, properties),
        Find=("AWS::Lambda::Function", {}),
        Orders=("AWS::SQS::Queue", {}),
        Bus=("AWS::Events::EventBus", {}),
    )["Daily"]


def _evaluate(condition, store: Store, at: datetime) -> AlarmState:
    alarm = Alarm(
        "test",
        condition.queries,
        condition.comparison,
        condition.threshold,
        condition.evaluation_periods,
        condition.datapoints_to_alarm,
        condition.treat_missing_data,
    )
    return evaluate(alarm, store, at, AlarmState.OK).state


def test_the_one_failure_of_a_daily_rule_alarms_within_a_minute() -> None:
    """Defect 14 of other tools: more than one failure, of a rule that runs once a day."""
    condition, store = only(_rule(ScheduleExpression=DAILY), "events-rule-failed"), Store()
    assert condition.threshold == 0
    assert _evaluate(condition, store, NOW) is AlarmState.OK
    # The metric is only there when it is not zero.
    store.add(condition.queries[0].stat.metric, NOW, 1)
    assert _evaluate(condition, store, NOW + timedelta(minutes=1)) is AlarmState.ALARM
    assert _evaluate(condition, store, NOW + timedelta(minutes=16)) is AlarmState.OK


@pytest.mark.parametrize(
    ("bus", "expected"),
    [
        ({}, {"RuleName": "${DailyName}"}),
        ({"EventBusName": "default"}, {"RuleName": "${DailyName}"}),
        ({"EventBusName": "orders"}, {"RuleName": "${DailyName}", "EventBusName": "orders"}),
        ({"EventBusName": ref("Bus")}, {"RuleName": "${DailyName}", "EventBusName": "${BusName}"}),
        ({"EventBusName": ref("Bus.Name")}, {"RuleName": "${DailyName}", "EventBusName": "${BusName}"}),
        (
            {"EventBusName": "arn:aws:events:eu-west-1:123456789012:event-bus/orders"},
            {"RuleName": "${DailyName}", "EventBusName": "orders"},
        ),
    ],
)
def test_rules_on_a_bus_of_their_own_publish_with_its_name(bus: dict[str, object], expected: dict[str, str]) -> None:
    assert dimensions(only(_rule(**bus), "events-rule-failed")) == expected


def test_a_bus_that_only_a_deployment_knows_is_said() -> None:
    rule = _rule(EventBusName=Symbolic("${BusParameter}"), ScheduleExpression=DAILY)
    for kind in ("events-rule-failed", "events-rule-throttled"):
        assert "give it with --param" in reason(rule, kind)
    assert "give it with --param" in str(offer(rule, SliKind.HEARTBEAT).applies(rule))
    assert CATALOG[RULE].panels(rule) == ()


@pytest.mark.parametrize(
    ("properties", "points"),
    [({"ScheduleExpression": DAILY}, (1, 1)), ({"EventPattern": {"source": ["orders"]}}, (2, 3))],
)
def test_throttling_is_news_at_once_only_for_a_schedule(properties, points: tuple[int, int]) -> None:
    condition = only(_rule(**properties), "events-rule-throttled")
    assert (condition.datapoints_to_alarm, condition.evaluation_periods) == points


@pytest.mark.parametrize("targets", [None, "odd", [], [{"Arn": ref("Find.Arn")}], ["odd"]])
@pytest.mark.parametrize("kind", ["events-rule-dead-lettered", "events-rule-dead-letter-failed"])
def test_dead_letters_need_a_dead_letter_queue(targets: object, kind: str) -> None:
    """Defect 15 of other tools: InvocationsSentToDlq on a rule without one."""
    assert "dead-letter queue" in reason(_rule(Targets=targets), kind)
    with_queue = _rule(Targets=[{"Arn": ref("Find.Arn"), "DeadLetterConfig": {"Arn": ref("Orders.Arn")}}])
    assert only(with_queue, kind).threshold == 0


def test_a_heartbeat_belongs_to_the_function_where_there_is_one() -> None:
    to_queue = _rule(ScheduleExpression=DAILY, Targets=[{"Arn": ref("Orders.Arn")}])
    found = offer(to_queue, SliKind.HEARTBEAT)
    assert found.applies(to_queue) is None
    measure = found.measure(to_queue, None)
    assert measure.within == timedelta(days=1)
    assert (measure.started.name, measure.failed.name) == ("Invocations", "FailedInvocations")
    to_function = _rule(ScheduleExpression=DAILY, Targets=[{"Arn": ref("Find.Arn")}])
    assert "promise the heartbeat of Find" in str(found.applies(to_function))


@pytest.mark.parametrize("expression", [None, "rate(odd)", Symbolic("${Schedule}"), 5])
def test_a_rule_without_a_schedule_has_no_heartbeat(expression: object) -> None:
    rule = _rule(ScheduleExpression=expression)
    found = offer(rule, SliKind.HEARTBEAT)
    assert "nobody knows when it should run" in str(found.applies(rule))
    assert CATALOG[RULE].expected_interval(rule) is None
    with pytest.raises(DeclarationError, match="no heartbeat SLI"):
        found.measure(rule, None)


def test_a_rule_that_is_switched_off_is_not_watched() -> None:
    assert CATALOG[RULE].unwatched(_rule(State="DISABLED"))
    assert CATALOG[RULE].unwatched(_rule(State="ENABLED")) is None
    assert CATALOG[RULE].unwatched(_rule(State=Symbolic("${State}"))) is None
