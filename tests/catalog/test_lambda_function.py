"""A function's alarms: how far back they look for long runs, events that wait, and those that reach no destination."""

from __future__ import annotations

import pytest
from catalog_stacks import only, reason, ref, stack

from tocsin.cloudformation.symbolic import Symbolic
from tocsin.model import Resource

FUNCTION = "AWS::Lambda::Function"
AGE, DESTINATION = "lambda-function-event-age", "lambda-function-destination-failures"
SETTINGS = "AWS::Lambda::EventInvokeConfig"
HOUR_MS = 3_600_000


def _loader(**settings: object) -> Resource:
    """A function that a bucket invokes; with what the template says of its asynchronous events."""
    resources: dict[str, tuple[str, dict[str, object]]] = {
        "Loader": (FUNCTION, {}),
        "Incoming": (
            "AWS::S3::Bucket",
            {"NotificationConfiguration": {"LambdaConfigurations": [{"Function": ref("Loader.Arn")}]}},
        ),
    }
    if settings:
        resources["Late"] = (SETTINGS, {"FunctionName": ref("Loader"), **settings})
    return stack(**resources)["Loader"]


@pytest.mark.parametrize(
    ("function", "hours", "words"),
    [
        (_loader(), 3, "half of the 6 h"),
        (_loader(MaximumRetryAttempts=1), 3, "half of the 6 h"),
        (_loader(MaximumEventAgeInSeconds=3600), 0.5, "half of the 1 h"),
        (_loader(MaximumEventAgeInSeconds="7200"), 1, "half of the 2 h"),
    ],
)
def test_events_may_wait_half_of_the_time_they_have(function: Resource, hours: float, words: str) -> None:
    condition = only(function, AGE)
    assert condition.threshold == hours * HOUR_MS
    assert words in condition.because


def test_a_function_that_answers_its_caller_has_no_waiting_events() -> None:
    assert "asynchronously" in reason(stack(Alone=(FUNCTION, {}))["Alone"], AGE)


def test_an_age_that_only_a_deployment_knows() -> None:
    assert "--param" in reason(_loader(MaximumEventAgeInSeconds=Symbolic("${Age}")), AGE)


def test_destinations_are_watched_where_there_are_any() -> None:
    given = {"OnFailure": {"Destination": "arn:aws:sqs:eu-west-1:111111111111:lost"}}
    assert only(_loader(DestinationConfig=given), DESTINATION).threshold == 0
    assert "no destination" in reason(_loader(), DESTINATION)


def test_a_burst_that_waits_for_reserved_concurrency_is_no_ticket() -> None:
    """Fifty files at once for ten loaders: throttling is how the reservation works, and the age tells when it hurts."""
    bucket = {"NotificationConfiguration": {"LambdaConfigurations": [{"Function": ref("Loader.Arn")}]}}
    throttles = "lambda-function-throttles"

    def loader(**properties: object) -> Resource:
        return stack(Loader=(FUNCTION, properties), Incoming=("AWS::S3::Bucket", bucket))["Loader"]

    assert "how long they wait is watched" in reason(loader(ReservedConcurrentExecutions=10), throttles)
    assert only(loader(ReservedConcurrentExecutions=10), AGE)
    assert only(loader(), throttles), "without a reservation somebody else took the account's concurrency"
    daily = {"ScheduleExpression": "rate(1 day)", "Targets": [{"Arn": ref("Job.Arn")}]}
    job = stack(Job=(FUNCTION, {"ReservedConcurrentExecutions": 1}), Daily=("AWS::Events::Rule", daily))["Job"]
    assert only(job, throttles), "a daily run that is throttled is late"


def _run_by(invoker: str, timeout: object) -> Resource:
    """A function with that timeout, run by a schedule or by a queue."""
    if invoker == "schedule":
        caller = (
            "AWS::Events::Rule",
            {"ScheduleExpression": "rate(1 day)", "Targets": [{"Arn": ref("Job.Arn"), "Id": "1"}]},
        )
    else:
        source = "arn:aws:sqs:eu-west-1:111111111111:work"
        caller = ("AWS::Lambda::EventSourceMapping", {"FunctionName": ref("Job"), "EventSourceArn": source})
    settings: dict[str, object] = {} if timeout is None else {"Timeout": timeout}
    return stack(Job=(FUNCTION, settings), Caller=caller)["Job"]


@pytest.mark.parametrize(
    ("timeout", "more"), [(None, 0), (60, 0), (240, 0), (241, 1), (300, 1), (301, 2), (600, 2), (900, 3)]
)
@pytest.mark.parametrize(
    ("invoker", "kind", "least", "needed"),
    [
        ("schedule", "lambda-function-errors", 1, 1),
        ("schedule", "lambda-function-duration", 1, 1),
        ("queue", "lambda-function-errors", 3, 2),
        ("queue", "lambda-function-duration", 3, 3),
    ],
)
def test_a_long_run_is_looked_for_where_it_began(
    timeout: int | None, more: int, invoker: str, kind: str, least: int, needed: int
) -> None:
    """Lambda stamps what a run reports with the time it began, and reports it when it has ended."""
    condition = only(_run_by(invoker, timeout), kind)
    assert (condition.evaluation_periods, condition.datapoints_to_alarm) == (least + more, needed)
    assert ("minutes back" in condition.because) == (more > 0)


def test_errors_are_looked_for_as_far_back_as_any_run_can_begin_where_only_a_deployment_knows_the_timeout() -> None:
    assert only(_run_by("schedule", Symbolic("${Timeout}")), "lambda-function-errors").evaluation_periods == 4
