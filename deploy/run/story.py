"""The acts of the run: a day's work, a reader that fails, a poisoned message; each told from what was recorded."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from deploy.run.on_call import People
from deploy.run.stage import NAME, Stage
from deploy.run.timeline import Fault, Moment, expected_delay, spoken
from deploy.run.traffic import Traffic
from deploy.validate import validate
from deploy.validate.wording import summary
from tocsin.alarm import AlarmState, Metric, MetricQuery, MetricStat
from tocsin.burn_rate import tiers
from tocsin.cloud.environments import Environment
from tocsin.cloud.metrics import read_history, read_metrics
from tocsin.cloud.session import Cloud
from tocsin.errors import CloudError
from tocsin.model import Severity, Slo
from tocsin.paging.embedded import Told

USERS = ("reader-1", "reader-2", "reader-3")
SLO = "api-availability"
PAGE = f"{NAME}-notification-{SLO}-page"
DEAD_LETTERS = f"{NAME}-notification-GenerateMessageDeadLetters-sqs-dead-letter-queue-not-empty"

# Good service before the fault, so that the windows hold something to compare with: simulated minutes.
LEAD_IN = timedelta(minutes=20)
PATIENCE_SECONDS = 90.0

_WINDOWS = {
    "burn-1h-short": "5 minutes",
    "burn-1h-long": "hour",
    "burn-6h-short": "30 minutes",
    "burn-6h-long": "6 hours",
}

Say = Callable[[str], None]

AIRLINES = b"carrier,name\nAA,American Airlines Inc.\nB6,JetBlue Airways\nUA,United Air Lines Inc.\n"


@dataclass(frozen=True)
class Scene:
    """What the acts share."""

    stage: Stage
    people: People
    cloud: Cloud
    environment: Environment
    slo: Slo
    say: Say


def until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for something to be so.  Raises CloudError that says what did not happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise CloudError(f"waited {seconds:.0f} s, but {what}; see the log of the embedded AWS")
        time.sleep(0.1)


def a_days_work(scene: Scene) -> None:
    """The daily run makes notifications that users read; a file becomes rows."""
    stage, today = scene.stage, scene.stage.aws.now().date()
    stage.subscribe("weather", list(USERS))
    stage.subscribe("offers", list(USERS[:2]))
    stage.define(today, "morning-weather", "weather")
    stage.define(today, "weekly-offers", "offers")
    stage.start_daily_run()
    until(lambda: len(stage.read_notifications(USERS[0])[1]) == 2, "the day's notifications cannot be read")
    scene.say(f"a day's notifications generated; {USERS[0]} reads two through the API")
    stage.load_file("airlines", "airlines.csv", AIRLINES)
    until(lambda: stage.rows("airlines") == 3, "the CSV file is not in the database")
    scene.say("a CSV put into the bucket; PostgreSQL holds its 3 rows")


def good_service(scene: Scene, traffic: Traffic) -> None:
    """Until the windows hold enough requests for the first ones, which waited for a function to start, not to count."""
    started = scene.stage.aws.now() if traffic.started is None else traffic.started
    until(lambda: scene.stage.aws.now() - started >= LEAD_IN, "the clock does not move")
    scene.say(f"{traffic.requests} requests answered, {traffic.failures} failed")


def validated(scene: Scene) -> None:
    """What `make validate` checks between two environments.  Raises CloudError when a check fails."""
    with scene.stage.as_delivery():
        results = list(validate(scene.environment, patience=PATIENCE_SECONDS))
    scene.say(summary(results))
    for result in results:
        if not result.passed:
            raise CloudError(f"{result.check.name}: {result.found}")


def the_reader_fails(scene: Scene, traffic: Traffic) -> Fault:
    """Users get errors; the page goes out; the fault is mended; the page closes."""
    stage, people = scene.stage, scene.people
    assert traffic.started is not None, "the traffic runs"
    broken = stage.aws.now()
    stage.break_reader()
    scene.say("GetNotifications points at a table that does not exist; users get errors")
    page = _told(people, PAGE, "ALARM", broken, "no page arrived")
    arrived = stage.aws.now()
    felt = traffic.first_failure or broken
    scene.say(f"page received, {spoken(arrived - felt)} after the first user got an error")
    suppressed = any(told.alarm.endswith(f"{SLO}-ticket") and told.state == "ALARM" for told in people.told())
    stage.mend_reader()
    mended = stage.aws.now()
    scene.say("GetNotifications mended; waiting for the windows to clear")
    closed = _told(people, PAGE, "OK", mended, "the page did not close")
    scene.say(f"page closed, {spoken(stage.aws.now() - mended)} after the fault was mended")
    reading = tiers(scene.slo)[0]
    first = _first_breach(scene, broken)
    full, young = expected_delay(tuple(t for t in reading if t.severity is Severity.PAGE), felt - traffic.started)
    moments = [
        Moment(broken, "fault: a deployment points GetNotifications at a table that does not exist"),
        Moment(felt, "first user gets an error"),
        *(
            [Moment(first + timedelta(minutes=1), f"first bad datapoint: 5xx of the minute from {first:%H:%M}")]
            if first
            else []
        ),
        *_window_alarms(scene, broken, page.changed_at),
        Moment(page.changed_at, f"composite alarm {PAGE} in ALARM"),
        Moment(arrived, "page received by the on-call endpoint, signature verified"),
        Moment(mended, "fault mended"),
        Moment(closed.changed_at, "composite alarm OK, page closed"),
    ]
    return Fault(
        title="1  The API fails, and somebody is woken",
        moments=_in_order(moments),
        detected=page.changed_at - felt,
        theory=(
            f"(theory: {spoken(young)} after {spoken(felt - traffic.started)} of good service, {spoken(full)} once windows "
            "are full; then up to a minute until CloudWatch evaluates)"
        ),
        budget=_budget(scene.slo, traffic, "and the ticket was held back while it paged" if not suppressed else ""),
        look={
            "dashboard": "dashboards/notification.json",
            "runbook": "runbooks/slo-availability.md",
            "promise": "SLOs.md",
        },
    )


def a_poisoned_message(scene: Scene) -> Fault:
    """A message that nobody can read is tried three times, dead-lettered, and becomes a ticket."""
    stage, people = scene.stage, scene.people
    sent = stage.aws.now()
    stage.poison()
    scene.say("a message that nobody can read is queued")
    until(lambda: stage.dead_letters() > 0, "the message is not dead-lettered")
    dead = stage.aws.now()
    scene.say("MessageGenerator failed three times; the message is dead-lettered")
    ticket = _told(people, DEAD_LETTERS, "ALARM", sent, "no ticket arrived")
    scene.say(f"ticket received by mail, {spoken(ticket.changed_at - sent)} after the message was queued")
    body = stage.delete_dead_letter()
    cleared = stage.aws.now()
    closed = _told(people, DEAD_LETTERS, "OK", cleared, "the ticket did not close")
    scene.say(f"the message, {body!r}, read and deleted as its runbook says; ticket closed")
    return Fault(
        title="2  A poisoned message, and a ticket",
        moments=_in_order(
            [
                Moment(sent, "fault: a message that is not JSON"),
                Moment(dead, "dead-lettered after three receives"),
                Moment(ticket.changed_at, "alarm sqs-dead-letter-queue-not-empty in ALARM, ticket sent by mail"),
                Moment(cleared, "the message read and deleted"),
                Moment(closed.changed_at, "alarm OK, ticket closed"),
            ]
        ),
        detected=ticket.changed_at - sent,
        theory="(theory: three receives, six seconds of real time each, then one datapoint of a minute)",
        budget="not an SLO alarm; generation-completeness counts it until the queue is empty",
        look={
            "dashboard": "dashboards/notification.json",
            "runbook": "runbooks/sqs-dead-letter-queue-not-empty.md",
        },
    )


def _told(people: People, alarm: str, state: str, after: datetime, otherwise: str) -> Told:
    told = people.wait_for(alarm, state, after, PATIENCE_SECONDS)
    if told is None:
        raise CloudError(f"waited {PATIENCE_SECONDS:.0f} s, but {otherwise}; see the log of the embedded AWS")
    return told


def _first_breach(scene: Scene, after: datetime) -> datetime | None:
    metric = Metric("AWS/ApiGateway", "5xx", (("ApiId", scene.stage.outputs["notification"]["ApiId"]),))
    query = MetricQuery("errors", MetricStat(metric, "Sum", 60))
    start = after.replace(second=0, microsecond=0)
    points = read_metrics(scene.cloud, [query], start, scene.stage.aws.now() + timedelta(minutes=1))["errors"]
    return next((at for at, value in points if value > 0), None)


def _window_alarms(scene: Scene, start: datetime, page: datetime) -> list[Moment]:
    """The window alarms that had turned when the composite did, by its own history."""
    found = []
    for window, label in _WINDOWS.items():
        name = f"{NAME}-notification-{SLO}-{window}"
        for change in read_history(scene.cloud, name, start, page + timedelta(minutes=1)):
            if change.after is AlarmState.ALARM and change.at <= page:
                found.append(Moment(change.at, f"alarm {window} in ALARM: the last {label} burn too fast"))
                break
    return found


def _budget(slo: Slo, traffic: Traffic, note: str) -> str:
    assert slo.window is not None, "an availability SLO has a window"
    expected = Fraction(traffic.per_minute()).limit_denominator(1000) * (slo.window // timedelta(minutes=1))
    allowed = expected * slo.error_budget
    gone = Fraction(traffic.failures) / allowed if allowed else Fraction(0)
    text = f"{traffic.failures} of {traffic.requests} requests failed: {float(gone * 100):.2f} % of the 28-day budget at this traffic"
    return f"{text}; {note}" if note else text


def _in_order(moments: list[Moment]) -> tuple[Moment, ...]:
    return tuple(sorted(moments, key=lambda moment: moment.at))
