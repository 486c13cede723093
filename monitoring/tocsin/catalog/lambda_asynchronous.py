"""Asynchronous events of a Lambda function: those that wait, are given up, or are not delivered where failures go."""

from __future__ import annotations

from datetime import timedelta

from ..alarm import Metric
from ..model import Resource
from ..units import format_duration
from .entry import AlarmKind, Condition, Inapplicable, Nature, Publication, PublishedMetric, name_of
from .expressions import above
from .invokers import asynchronous_settings, is_asynchronous
from .properties import amount, known_when_deployed

NAMESPACE = "AWS/Lambda"
METRICS_PAGE = "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html"
ASYNC_PAGE = "https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html"
#: The exact sets of dimensions that a function's metrics exist under.
DIMENSIONS = (("FunctionName",), ("FunctionName", "Resource"), ())
#: Lambda gives an asynchronous event up after six hours unless told otherwise.
LONGEST_EVENT_AGE_S = 21_600


def function_metric(function: Resource, name: str) -> Metric:
    """The function's metric of that name."""
    return Metric(NAMESPACE, name, (("FunctionName", name_of(function)),))


def _dropped(function: Resource) -> tuple[Condition, ...] | Inapplicable:
    if not is_asynchronous(function):
        return Inapplicable("nothing in the template invokes it asynchronously")
    because = "a dropped event is lost unless a dead-letter queue or failure destination keeps it"
    return (above(function_metric(function, "AsyncEventsDropped"), "Sum", 0, because, period=300),)


def _event_age(function: Resource) -> tuple[Condition, ...] | Inapplicable:
    if not is_asynchronous(function):
        return Inapplicable("nothing in the template invokes it asynchronously")
    ages = [
        amount(settings, "MaximumEventAgeInSeconds", LONGEST_EVENT_AGE_S)
        for settings in asynchronous_settings(function)
    ]
    longest = LONGEST_EVENT_AGE_S if not ages else None if None in ages else min(age for age in ages if age is not None)
    if longest is None:
        return known_when_deployed("the age at which its events are given up")
    given_up = format_duration(timedelta(seconds=longest))
    because = (
        f"half of the {given_up} after which Lambda gives an event up; the rest is the time left to let it through"
    )
    return (above(function_metric(function, "AsyncEventAge"), "Maximum", longest * 500, because, period=300),)


def _has_destination(function: Resource) -> bool:
    return any(settings.properties.get("DestinationConfig") for settings in asynchronous_settings(function))


def _destination_failures(function: Resource) -> tuple[Condition, ...] | Inapplicable:
    if not _has_destination(function):
        return Inapplicable("the template gives its asynchronous events no destination")
    because = "an event that a failure destination does not take is lost"
    return (above(function_metric(function, "DestinationDeliveryFailures"), "Sum", 0, because, period=300),)


def _has_dead_letters(function: Resource) -> bool:
    return bool(function.properties.get("DeadLetterConfig"))


def _dead_letter_errors(function: Resource) -> tuple[Condition, ...] | Inapplicable:
    if not _has_dead_letters(function):
        return Inapplicable("it has no dead-letter queue of its own")
    because = "an event that cannot be dead-lettered is lost"
    return (above(function_metric(function, "DeadLetterErrors"), "Sum", 0, because, period=300),)


ASYNCHRONOUS_METRICS = (
    PublishedMetric(NAMESPACE, "AsyncEventsDropped", "Count", Nature.COUNTER, DIMENSIONS),
    PublishedMetric(NAMESPACE, "AsyncEventAge", "Milliseconds", Nature.DURATION, DIMENSIONS, Publication.WHEN_ACTIVE),
    PublishedMetric(
        NAMESPACE,
        "DeadLetterErrors",
        "Count",
        Nature.COUNTER,
        DIMENSIONS,
        Publication.OPT_IN,
        opted_in=_has_dead_letters,
    ),
    PublishedMetric(
        NAMESPACE,
        "DestinationDeliveryFailures",
        "Count",
        Nature.COUNTER,
        DIMENSIONS,
        Publication.OPT_IN,
        opted_in=_has_destination,
    ),
)

ASYNCHRONOUS_KINDS = (
    AlarmKind(
        id="lambda-function-events-dropped",
        symptom="asynchronous events are dropped",
        because="Lambda gives up on an asynchronous event after its retries or its maximum age.",
        source=ASYNC_PAGE,
        conditions=_dropped,
    ),
    AlarmKind(
        id="lambda-function-event-age",
        symptom="asynchronous events wait long",
        because="An event that waits too long is given up; it waits while the function fails or is throttled.",
        source=METRICS_PAGE,
        conditions=_event_age,
    ),
    AlarmKind(
        id="lambda-function-destination-failures",
        symptom="failed events are not delivered",
        because="The destination is the last place a failed event can go; a wrong permission or size loses it.",
        source=METRICS_PAGE,
        conditions=_destination_failures,
    ),
    AlarmKind(
        id="lambda-function-dead-letter-errors",
        symptom="failed events cannot be dead-lettered",
        because="The dead-letter queue is the last place a failed event can go; a wrong permission or size loses it.",
        source=ASYNC_PAGE,
        conditions=_dead_letter_errors,
    ),
)
