"""The whole way of a page with an endpoint that fails: what is sent meanwhile arrives later, or lies where it can be replayed.

Enforced IAM, the routing as it is rendered, brought about by ``tocsin oncall apply``; alarms that change state by
themselves; SNS with the delivery policy of the template, its hour shortened.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

pytest.importorskip("ministack", reason="the embedded AWS is not installed")

from failing_endpoint import EveryThird, every_third
from oncall_tools import (
    ACCOUNT,
    USERS,
    Caller,
    allow,
    as_caller,
    cloud_of,
    deploy_watched,
    described,
    make_caller,
    page_policy,
    put_alarm,
    put_composite,
    shop,
    succeed,
)

from command_line import tocsin
from tocsin.cloud.alarm_states import actions_run
from tocsin.cloud.embedded import EmbeddedAws, embedded
from tocsin.cloud.redrive import backlog
from tocsin.cloud.session import Cloud
from tocsin.paging.embedded import EmbeddedOnCall, embedded_oncall
from tocsin.paging.embedded.faults import Fault

pytestmark = pytest.mark.long

ALARMS = tuple(f"dev-shop-faults-{number}-page" for number in range(4))
CHANGES = 1_000
SECOND_WAY = "on-call-fallback@example.com"
WATCHES = ("dev-tocsin-on-call-redrive-waiting", "dev-tocsin-on-call-payments-page-redriven")
#: An outage of three minutes of AWS, and a delivery policy that is used up in a blink.
SPEED, OUTAGE, AT_ONCE = 360.0, 0.5, 360_000.0


@dataclass(frozen=True)
class Way:
    """What pages go through."""

    aws: EmbeddedAws
    cloud: Cloud
    pager: EmbeddedOnCall
    endpoint: EveryThird
    replayer: Caller
    policy: dict[str, Any] = field(default_factory=dict)

    @property
    def topic(self) -> str:
        return f"arn:aws:sns:{self.aws.region}:{ACCOUNT}:dev-tocsin-payments-page"

    @property
    def queue(self) -> str:
        found = self.cloud.client("cloudformation").describe_stacks(StackName="dev-routing")["Stacks"][0]["Outputs"]
        return next(each["OutputValue"] for each in found if each["OutputKey"] == "RedriveQueueUrl")

    def unspace(self) -> dict[str, Any]:
        """Take the limit per second from the subscription, and return it: the embedded AWS shortens the hour of the
        retries, but not that, and at an endpoint that is down each message is tried 66 times."""
        sns = self.cloud.client("sns")
        (one,) = sns.list_subscriptions_by_topic(TopicArn=self.topic)["Subscriptions"]
        attributes = sns.get_subscription_attributes(SubscriptionArn=one["SubscriptionArn"])["Attributes"]
        policy = json.loads(attributes["DeliveryPolicy"])
        self.set_policy({"healthyRetryPolicy": policy["healthyRetryPolicy"]})
        return dict(policy)

    def set_policy(self, policy: dict[str, Any]) -> None:
        """Give the subscription a delivery policy."""
        sns = self.cloud.client("sns")
        (one,) = sns.list_subscriptions_by_topic(TopicArn=self.topic)["Subscriptions"]
        sns.set_subscription_attributes(
            SubscriptionArn=one["SubscriptionArn"], AttributeName="DeliveryPolicy", AttributeValue=json.dumps(policy)
        )

    def breach(self, alarms: tuple[str, ...] = ALARMS, state: str = "ALARM") -> None:
        """The children change; the composite alarms follow, and have told their topic on return."""
        changing = [name for name in alarms if composite_state(self.cloud, name) != state]
        before = {name: len(actions_run(self.cloud, name)) for name in changing}
        for name in changing:
            set_state(self.cloud, f"{name}-child", state)
        for name in changing:
            assert soon(lambda name=name: len(actions_run(self.cloud, name)) > before[name]), f"{name} tells nobody"

    def next_minute(self) -> None:
        """CloudWatch evaluates its alarms; the tool's clock goes with AWS's, or messages would seem to be of the future."""
        self.aws.next_minute()
        ahead = self.aws.now() - datetime.now(UTC)
        self.pager.state.clock = lambda: datetime.now(UTC) + ahead

    def watches_are(self, state: str, *, minutes: int) -> bool:
        """Whether what watches the way is in that state within so many evaluations."""
        for _ in range(minutes):
            self.next_minute()
            if {state_of(self.cloud, name) for name in WATCHES} == {state}:
                return True
        return False

    def settled(self) -> None:
        """SNS has nothing under way any more."""
        assert soon(lambda: self.aws.deliveries_under_way == 0, 120), "SNS still has messages under way"

    def attempts(self, since: int, *, failed: bool = False) -> list[int]:
        """How often SNS tried each message that it has logged, from the entry ``since`` on."""
        return [entry["delivery"]["attempts"] for entry in self.log(failed=failed)[since:]]

    def log(self, *, failed: bool = False) -> list[dict[str, Any]]:
        """The delivery status of the topic, in order of time."""
        group = f"sns/{self.aws.region}/{ACCOUNT}/dev-tocsin-payments-page{'/Failure' if failed else ''}"
        pages = self.cloud.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
        return [json.loads(event["message"]) for page in pages for event in page["events"]]

    def replay(self) -> Any:
        """The command, by somebody who may do what its page says and no more."""
        with as_caller(self.aws, key=self.replayer.key, secret=self.replayer.secret):
            return tocsin("oncall", "replay", "dev")

    def records(self, alarms: tuple[str, ...] = ALARMS) -> list[Any]:
        """The alerts of those alarms."""
        with self.pager.state.lock:
            return [alert for alert in self.pager.state.alerts if alert.alias in alarms]


def set_state(cloud: Cloud, name: str, state: str) -> None:
    cloud.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason="Threshold crossed.")


def soon(condition: Callable[[], Any], seconds: float = 120) -> Any:
    """The first true value, or the last false one."""
    end = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return value


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    folder = tmp_path_factory.mktemp("shop")
    with (
        embedded(iam=True) as aws,
        embedded_oncall(users=USERS, certificates_from=aws.endpoint) as pager,
        every_third(pager.url) as endpoint,
        pytest.MonkeyPatch.context() as patch,
        as_caller(aws),
    ):
        cloud = cloud_of(aws)
        cloud.client("logs")
        aws.confirm_mail()
        deploy_watched(cloud, aws)
        shop(folder, aws, endpoint.url)
        patch.chdir(folder)
        patch.setenv("OPSGENIE_API_KEY", pager.key)
        succeed("build")
        succeed("oncall", "apply", "dev")
        replayer = make_caller(cloud, "replayer")
        allow(cloud, replayer, page_policy("replay"))
        made = Way(aws, cloud, pager, endpoint, replayer)
        for name in ALARMS:
            put_alarm(cloud, f"{name}-child")
            set_state(cloud, f"{name}-child", "OK")
            put_composite(cloud, name, f"{name}-child", described("shop"), made.topic)
        assert soon(lambda: {composite_state(cloud, name) for name in ALARMS} == {"OK"})
        assert soon(lambda: pager.confirmed)
        made.policy.update(made.unspace())
        yield made


@pytest.fixture(autouse=True)
def as_it_was(way: Way) -> Iterator[None]:
    """Each test begins with a well endpoint, alarms that are OK and nothing on its way."""
    way.aws.set_deliveries(speed=SPEED, timeout=15)
    way.breach(state="OK")
    way.settled()
    way.cloud.client("sqs").purge_queue(QueueUrl=way.queue)
    with way.pager.state.lock:
        for alert in tuple(way.pager.state.alerts):
            way.pager.state.alerts.delete(alert)
    assert way.watches_are("OK", minutes=20)
    yield
    way.pager.set_fault(None)
    way.pager.certificates_from = way.aws.endpoint


def composite_state(cloud: Cloud, name: str) -> str:
    found = cloud.client("cloudwatch").describe_alarms(AlarmNames=[name], AlarmTypes=["CompositeAlarm"])
    return str(found["CompositeAlarms"][0]["StateValue"])


def state_of(cloud: Cloud, name: str) -> str:
    return str(cloud.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"])


@contextmanager
def speaking_no_http(way: Way, connections: int = 0) -> Iterator[threading.Event]:
    """Instead of the tool something that answers with bytes that are no HTTP; the event: so many have heard them."""
    enough = threading.Event()
    way.endpoint.close()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", way.endpoint.port))
        listener.listen(256)
        ended = False

        def answer() -> None:
            heard = 0
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):  # who is answered so may be gone already
                    if ended:
                        return
                    connection.recv(1 << 16)
                    connection.sendall(b"\x16\x03\x01\x02garbage\r\n\r\n")
                heard += 1
                if heard >= connections:
                    enough.set()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        try:
            yield enough
        finally:
            ended = True
            socket.create_connection(("127.0.0.1", way.endpoint.port)).close()
            thread.join()
    way.endpoint.open()


@contextmanager
def refusing(way: Way, *, brief: bool) -> Iterator[None]:
    """Nobody listens at the address."""
    way.endpoint.close()
    yield
    if brief:
        assert soon(lambda: way.aws.deliveries_under_way >= len(ALARMS))
        time.sleep(OUTAGE)  # how long it is down
    way.endpoint.open()


@contextmanager
def garbling(way: Way, *, brief: bool) -> Iterator[None]:
    with speaking_no_http(way, 3 * len(ALARMS)) as heard:
        yield
        if brief:
            assert heard.wait(30)


@contextmanager
def faulty(way: Way, fault: Callable[[int | None], Fault], *, brief: bool) -> Iterator[None]:
    """Every message meets the fault four times: past the retries that come at once; or whatever comes does."""
    way.pager.set_fault(fault(4 * len(ALARMS) if brief else None))
    if fault(None).kind == "slow":
        way.aws.set_deliveries(timeout=0.1)
    yield
    if not brief:
        way.pager.set_fault(None)


PATH = "/v1/json/cloudwatch"
FAULTS: dict[str, Callable[..., Any]] = {
    "down": refusing,
    "reset": lambda way, brief: faulty(way, lambda times: Fault("down", times=times or 1_000_000), brief=brief),
    "slow": lambda way, brief: faulty(
        way, lambda times: Fault("slow", seconds=0.4, times=times, path=PATH), brief=brief
    ),
    "429": lambda way, brief: faulty(
        way, lambda times: Fault("status", 429, retry_after=30, times=times, path=PATH), brief=brief
    ),
    "500": lambda way, brief: faulty(way, lambda times: Fault("status", 500, times=times, path=PATH), brief=brief),
    "garbage": garbling,
    "cut": lambda way, brief: faulty(way, lambda times: Fault("cut", times=times, path=PATH), brief=brief),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_page_arrives_when_the_endpoint_is_back_in_time(way: Way, fault: str) -> None:
    before, failures = len(way.log()), len(way.log(failed=True))
    with FAULTS[fault](way, brief=True):
        way.breach()
    way.settled()
    assert way.pager.open_alerts() == ALARMS
    assert Counter(alert.alias for alert in way.records()) == Counter(ALARMS), "one alert for each"
    assert backlog(way.cloud, way.queue).waiting == 0
    assert way.attempts(failures, failed=True) == []
    # The status is logged once for each message: all of them were tried again.
    assert len(way.attempts(before)) == len(ALARMS)
    assert max(way.attempts(before)) > 3


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_delivered_raises_an_alarm_by_the_second_way_and_is_replayed(way: Way, fault: str) -> None:
    way.aws.set_deliveries(speed=AT_ONCE)
    mails, failures = len(way.aws.mails), len(way.log(failed=True))
    with FAULTS[fault](way, brief=False):
        way.breach()
        way.breach(ALARMS[:1], "OK")  # over before anybody heard of it
        way.settled()
        assert backlog(way.cloud, way.queue).waiting == len(ALARMS) + 1
        assert way.watches_are("ALARM", minutes=1)
        told = way.aws.mails[mails:]
        assert {mail["to"] for mail in told} == {SECOND_WAY}
        assert {name for name in WATCHES for mail in told if f'ALARM: "{name}"' in mail["subject"]} == set(WATCHES)
        if fault in ("down", "429", "500", "garbage"):
            assert way.pager.open_alerts() == ()
        if fault in ("429", "500"):
            still = way.replay()
            assert (still.exit_code, backlog(way.cloud, way.queue).waiting) == (1, len(ALARMS) + 1)
    assert set(way.attempts(failures, failed=True)) == {66}, "the whole delivery policy was used"
    way.aws.set_deliveries(timeout=15)
    done = way.replay()
    assert done.exit_code == 0, done.output
    assert done.stdout.endswith(f"  {len(ALARMS) + 1} delivered, 0 kept\n")
    assert way.pager.open_alerts() == ALARMS[1:]
    assert {alert.alias for alert in way.records()} == set(ALARMS)
    assert Counter(alert.alias for alert in way.records() if alert.open) == Counter(ALARMS[1:])
    left = backlog(way.cloud, way.queue)
    assert (left.waiting, left.hidden) == (0, 0)
    assert way.replay().stdout == "redrive queue:\n  nothing to deliver\n"
    assert way.watches_are("OK", minutes=20)


def test_a_page_that_is_taken_and_cut_off_is_told_again_and_folded(way: Way) -> None:
    way.pager.certificates_from = ""  # with them, the second telling would be known by its MessageId already
    with FAULTS["cut"](way, brief=True):
        way.breach()
    way.settled()
    assert {alert.alias: alert.count > 1 for alert in way.records()} == dict.fromkeys(ALARMS, True)
    assert len(way.records()) == len(ALARMS)


def test_the_delivery_policy_as_rendered_holds_nothing_back(way: Way) -> None:
    """With its limit per second, where there is one: more at once than that."""
    way.set_policy(way.policy)
    names = tuple(f"dev-shop-burst-{number:02}-page" for number in range(25))
    try:
        for name in names:
            put_alarm(way.cloud, name, described("shop"), way.topic)
            set_state(way.cloud, name, "ALARM")
        way.settled()
    finally:
        way.unspace()
    assert way.pager.open_alerts() == names
    way.cloud.client("cloudwatch").delete_alarms(AlarmNames=list(names))


def test_an_answer_of_somebody_else_counts_as_taken(way: Way) -> None:
    """A limit of the direct way: SNS looks at the status alone.  The forwarder looks at what was answered, too."""
    way.pager.set_fault(Fault("garbage", path=PATH))
    way.breach()
    way.settled()
    assert (way.pager.open_alerts(), backlog(way.cloud, way.queue).waiting) == ((), 0)


@pytest.mark.parametrize("failing", [False, True], ids=["well", "every third fails"])
def test_a_thousand_changes_within_a_minute_all_arrive(way: Way, failing: bool) -> None:
    way.pager.certificates_from = ""
    names = tuple(f"dev-shop-many-{'third' if failing else 'well'}-{number:04}-page" for number in range(CHANGES))
    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(lambda name: put_alarm(way.cloud, name, described("shop"), way.topic), names):
            pass
        way.endpoint.failing = failing
        try:
            for _ in pool.map(lambda name: set_state(way.cloud, name, "ALARM"), names):
                pass
            way.settled()
        finally:
            way.endpoint.failing = False
    with way.pager.state.lock:
        received = Counter(told.alarm for told in way.pager.received if told.alarm in names and told.state == "ALARM")
    assert set(received) == set(names), "each at least once"
    alerts = way.records(names)
    assert Counter(alert.alias for alert in alerts) == Counter(names), "folded by alias"
    assert {alert.alias: alert.count for alert in alerts} == received
    assert all(alert.open for alert in alerts)
    assert backlog(way.cloud, way.queue).waiting == 0
    assert failing == (sum(received.values()) > CHANGES)
    for at in range(0, CHANGES, 100):
        way.cloud.client("cloudwatch").delete_alarms(AlarmNames=list(names[at : at + 100]))
