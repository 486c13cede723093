"""`oncall apply` ends when the way leads to its end: subscriptions confirmed, keys replaced, the dead-man's switch heard of."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ministack", reason="the embedded AWS is not installed")

from apply_stage import HEARTBEAT, TICKETS_TOO, Setting, Stage, on_opsgenie, stage
from applying import answers_of, cut
from oncall_tools import ACCOUNT, ON_CALL, cloud_of, printed_json, succeed

from command_line import refused, tocsin
from tocsin.cloud.change_set import StackRequest, create_change_set, discard, execute
from tocsin.cloud.committed import Committed
from tocsin.cloud.deploy import DeployEvent, StackPlan
from tocsin.cloud.environments import read_environment
from tocsin.cloud.secrets import write_secret
from tocsin.cloud.session import Cloud
from tocsin.errors import CloudError
from tocsin.oncall.apply import apply_oncall, plan_oncall
from tocsin.oncall.opening import declared_for, open_oncall
from tocsin.oncall.reach import Open, Patience
from tocsin.paging.embedded import Fault
from tocsin.paging.embedded.opsgenie.heartbeats import ping

pytestmark = pytest.mark.long

PAGE, HEARTBEAT_KEY = "tocsin/dev/on-call/payments-page", "tocsin/dev/on-call/heartbeat"


@pytest.fixture(scope="module")
def account() -> Iterator[Stage]:
    with stage() as running:
        yield running


@pytest.fixture
def setting(tmp_path: Path, account: Stage) -> Iterator[Setting]:
    with on_opsgenie(account, tmp_path / "shop") as opened:
        yield opened


def topic(cloud: Cloud, name: str) -> str:
    return f"arn:aws:sns:{cloud.region}:{ACCOUNT}:{name}"


def subscriptions(cloud: Cloud, name: str) -> list[dict[str, Any]]:
    found = cloud.client("sns").list_subscriptions_by_topic(TopicArn=topic(cloud, name))["Subscriptions"]
    return list(found)


def heard_of(setting: Setting) -> None:
    """A sign of life of the dead-man's switch, as EventBridge sends it."""
    state = setting.pager.state
    with state.lock:
        ping(state, "tocsin-shop-dev")


# Subscriptions


def test_a_tool_that_does_not_confirm_at_first_is_asked_again(setting: Setting) -> None:
    # SNS does not try a 403 again by itself, so without being asked the subscription would be pending for ever.
    setting.pager.set_fault(Fault("status", status=403, times=1, path="/v1/json/cloudwatch"))
    done = tocsin("oncall", "apply", "dev")
    assert done.exit_code == 0, done.output
    assert "opsgenie has not confirmed the subscription to dev-tocsin-payments-page; it is asked again" in done.stderr
    assert "dev: on call as deploy/oncall.toml says" in done.stdout
    assert setting.delivers()


def test_a_tool_that_never_confirms_is_told_and_the_next_run_takes_it_up(setting: Setting) -> None:
    setting.pager.set_fault(Fault("status", status=403, path="/v1/json/cloudwatch"))
    said = apply_hastily(setting)
    assert [point.blocks for point in said] == [True]
    assert said[0].what.startswith("opsgenie has not confirmed its subscription to dev-tocsin-payments-page")
    planned = tocsin("oncall", "plan", "dev")
    assert planned.exit_code == 0
    assert planned.stdout == "dev: nothing to change\n"
    assert "opsgenie has not confirmed its subscription to dev-tocsin-payments-page" in planned.stderr
    assert "run `tocsin oncall apply dev` again" in planned.stderr
    assert printed_json("oncall", "plan", "dev")["open"][0] == said[0].what
    setting.pager.set_fault(None)
    again = tocsin("oncall", "apply", "dev")
    assert again.exit_code == 0, again.output
    assert "has not confirmed its subscription" not in again.stderr
    assert setting.delivers()


def test_without_a_confirmation_the_command_fails(setting: Setting) -> None:
    setting.pager.set_fault(Fault("status", status=403, path="/v1/json/cloudwatch"))
    for arguments in (("oncall", "apply", "dev"), ("oncall", "apply", "dev", "--json")):
        done = tocsin(*arguments)
        assert done.exit_code == 1
        assert "on call as" not in done.stdout
        assert "nothing of it arrives there" in done.output


def test_a_subscription_that_was_taken_away_is_found_and_a_new_key_brings_it_back(setting: Setting) -> None:
    succeed("oncall", "apply", "dev")
    (one,) = subscriptions(setting.cloud, "dev-tocsin-payments-page")
    setting.cloud.client("sns").unsubscribe(SubscriptionArn=one["SubscriptionArn"])
    planned = tocsin("oncall", "plan", "dev")
    mend = "tocsin oncall apply dev --renew payments-page"
    assert f"opsgenie is not subscribed to dev-tocsin-payments-page, though it was: nothing of it arrives there; run `{mend}`" in planned.stderr  # fmt: skip
    succeed(*mend.split()[1:])
    assert setting.delivers()


def test_what_people_have_to_confirm_is_told_and_not_waited_for(setting: Setting, account: Stage) -> None:
    account.aws.confirm_mail(False)
    try:
        done = tocsin("oncall", "apply", "dev")
        assert done.exit_code == 0
        for who, where in (
            ("on-call-fallback@example.com", "dev-tocsin-on-call-second-way"),
            ("payments-tickets@example.com", "dev-tocsin-payments-ticket"),
        ):
            assert (
                f"{who} has not confirmed the subscription to {where}: somebody has to follow the link" in done.stderr
            )
        assert "asked again" not in done.stderr
        pending = [text for text in printed_json("oncall", "plan", "dev")["open"] if "link" in text]
        assert len(pending) == 2
        links = {mail["topic"]: mail["confirm"] for mail in account.aws.mails if mail["kind"] == "confirmation"}
        for arn, link in links.items():
            (token,) = re.findall(r"Token=(\w+)", link)
            setting.cloud.client("sns").confirm_subscription(TopicArn=arn, Token=token)
        assert not [text for text in printed_json("oncall", "plan", "dev")["open"] if "link" in text]
    finally:
        account.aws.confirm_mail()


def test_somebody_elses_confirmed_subscription_is_not_the_second_way(setting: Setting) -> None:
    succeed("oncall", "apply", "dev")
    sns = setting.cloud.client("sns")
    (one,) = subscriptions(setting.cloud, "dev-tocsin-on-call-second-way")
    sns.unsubscribe(SubscriptionArn=one["SubscriptionArn"])
    arn = topic(setting.cloud, "dev-tocsin-on-call-second-way")
    sns.subscribe(TopicArn=arn, Protocol="email", Endpoint="somebody-else@example.com")
    said = tocsin("oncall", "plan", "dev").stderr
    assert f"aws sns subscribe --topic-arn {arn} --protocol email --notification-endpoint on-call-fallback@example.com" in said  # fmt: skip


# Keys


def test_a_key_that_leaked_is_replaced_and_the_way_follows(setting: Setting) -> None:
    setting.declare(TICKETS_TOO)
    succeed("oncall", "apply", "dev")
    before = setting.secrets()
    planned = succeed("oncall", "plan", "dev", "--renew", "payments-page")
    assert f"keys, into Secrets Manager\n  ~ {PAGE}\n" in planned
    assert setting.secrets() == before
    told = printed_json("oncall", "apply", "dev", "--renew", "payments-page")
    assert told["renewed"] == [PAGE]
    assert told["done"] == [f"key into secret {PAGE}", "stack dev-routing"]
    after = setting.secrets()
    assert {name for name in before if before[name] != after[name]} == {PAGE}
    old, new = (json.loads(secrets[PAGE]) for secrets in (before, after))
    assert old["key"] != new["key"]
    assert old["integration"] != new["integration"]
    (one,) = subscriptions(setting.cloud, "dev-tocsin-payments-page")
    assert one["Endpoint"] == new["endpoint"]
    assert setting.delivers()
    assert setting.delivers("ticket")
    assert succeed("oncall", "apply", "dev") == "dev: nothing to change\n"


def test_a_replacement_that_is_killed_anywhere_is_taken_up(setting: Setting) -> None:
    succeed("oncall", "apply", "dev")
    renew = ("--renew", "payments-page")
    answers = answers_of(cut(setting.folder, 0, *renew))
    for point in range(answers // 3, answers, max(1, answers // 8)):
        assert cut(setting.folder, point, *renew).returncode == 9, point
        succeed("oncall", "apply", "dev")
        assert setting.delivers(), f"killed after {point} of {answers}: no page arrives"
        assert succeed("oncall", "apply", "dev") == "dev: nothing to change\n", point


def test_the_dead_mans_switch_has_a_key_that_can_be_replaced(setting: Setting) -> None:
    succeed("oncall", "apply", "dev")
    before = setting.secrets()
    succeed("oncall", "apply", "dev", "--renew", "heartbeat", "--renew", "payments-page")
    after = setting.secrets()
    assert {name for name in before if before[name] != after[name]} == {HEARTBEAT_KEY, PAGE}
    assert setting.stage.aws.fire("dev-tocsin-heartbeat") == 1
    assert setting.delivers()


def test_an_unknown_key_is_refused_before_anything_is_changed(setting: Setting) -> None:
    assert "--renew payments-pages: there is no such key; did you mean 'payments-page'?" in refused(
        "oncall", "apply", "dev", "--renew", "payments-pages"
    )
    assert setting.names()["teams"] == []


def test_a_key_that_is_new_in_this_run_is_not_replaced_at_once(setting: Setting) -> None:
    told = printed_json("oncall", "apply", "dev", "--renew", "payments-page")
    assert told["renewed"] == []
    assert told["done"].count(f"key into secret {PAGE}") == 1
    assert setting.delivers()


def test_a_key_of_an_integration_that_people_made_anew_is_noticed(setting: Setting) -> None:
    succeed("oncall", "apply", "dev")
    state = setting.pager.state
    with state.lock:
        one = state.integrations.named("tocsin-shop-dev-payments-page")
        assert one is not None
        copy = {name: value for name, value in one.items() if name not in ("id", "apiKey")}
        state.integrations.remove(one["id"])
        state.integrations.add({**copy, "apiKey": "a-key-that-people-know"})
    assert f"  + {PAGE}" in succeed("oncall", "plan", "dev")
    succeed("oncall", "apply", "dev")
    assert setting.delivers()
    assert succeed("oncall", "apply", "dev") == "dev: nothing to change\n"


def test_a_key_that_the_tool_refuses_is_noticed_and_can_be_replaced(setting: Setting) -> None:
    succeed("oncall", "apply", "dev")
    state = setting.pager.state
    with state.lock:
        one = state.integrations.named("tocsin-shop-dev-payments-page")
        assert one is not None
        one["apiKey"] = "regenerated-by-somebody"
    mend = "tocsin oncall apply dev --renew payments-page"
    for command, code in (("plan", 0), ("apply", 1)):
        done = tocsin("oncall", command, "dev")
        assert done.exit_code == code, done.output
        assert (
            f"opsgenie refuses the key in the secret {PAGE}: it was revoked, or is another's; run `{mend}`"
            in done.stderr
        )
    succeed(*mend.split()[1:])
    assert setting.delivers()
    assert "refuses" not in tocsin("oncall", "plan", "dev").stderr


def test_a_secret_from_before_the_id_was_kept_stays(setting: Setting) -> None:
    succeed("oncall", "apply", "dev")
    client = setting.cloud.client("secretsmanager")
    held = json.loads(setting.secrets()[PAGE])
    del held["integration"]
    client.put_secret_value(SecretId=PAGE, SecretString=json.dumps(held))
    succeed("oncall", "apply", "dev")
    assert json.loads(setting.secrets()[PAGE]) == held


# The dead-man's switch


def apply_hastily(
    setting: Setting, patience: Patience | None = None, deployed: Callable[[DeployEvent], None] = lambda event: None
) -> tuple[Open, ...]:
    """What `oncall apply dev` does, by the library."""
    committed = Committed(Path("alarms"), Path("deploy/routing.yaml"))
    target = read_environment(Path("deploy/environments.toml"), "dev")
    opened = open_oncall(declared_for(Path("deploy/oncall.toml"), target), target, setting.cloud)
    plan = plan_oncall(opened, committed)
    return apply_oncall(opened, committed, plan, patience=patience or Patience(0.5, 0.5, None), deployed=deployed)


def test_a_dead_mans_switch_that_was_never_heard_of_is_told(setting: Setting) -> None:
    done = tocsin("oncall", "apply", "dev")
    assert (done.exit_code, done.stderr) == (0, ""), "at a stand-in the first sign of life is not waited for"
    silent = "the dead-man's switch tocsin-shop-dev watches nothing: opsgenie has not heard of it"
    assert silent in tocsin("oncall", "plan", "dev").stderr
    assert setting.stage.aws.fire("dev-tocsin-heartbeat") == 1
    heard_of(setting)
    planned = tocsin("oncall", "plan", "dev")
    assert (planned.stdout, planned.stderr) == ("dev: nothing to change\n", "")
    setting.declare(ON_CALL.replace(HEARTBEAT, ""))
    assert "dead-man" not in tocsin("oncall", "apply", "dev").stderr


def test_the_first_sign_of_life_is_waited_for(setting: Setting, account: Stage) -> None:
    """A minute of the account's clock is a second here, so the rule fires by itself while it is waited for."""
    account.aws.set_clock_factor(60)
    try:
        assert apply_hastily(setting, Patience(10, 10, 30)) == ()
    finally:
        account.aws.set_clock_factor(1)


# Two at once


def test_the_loser_of_two_first_deployments_is_told_in_one_line(setting: Setting) -> None:
    template = (setting.folder / "template.yaml").read_text(encoding="utf-8")
    request = StackRequest("dev-twice", template, "template.yaml")
    first, second = (create_change_set(setting.cloud, request) for _ in range(2))
    execute(setting.cloud, first)
    said = "another deployment of stack dev-twice is running; run it again when that one is through"
    with pytest.raises(CloudError, match=f"^{said}$"):
        execute(setting.cloud, second)
    assert create_change_set(setting.cloud, request).unchanged, "what the winner made is there"
    discard(setting.cloud, second)


def test_a_secret_that_somebody_else_has_just_made_is_told(setting: Setting) -> None:
    cloud = cloud_of(setting.stage.aws)
    other = setting.cloud.client("secretsmanager")
    name = "tocsin/dev/on-call/raced"

    def other_run(**_: Any) -> None:
        other.create_secret(Name=name, SecretString="the other run's")

    cloud.client("secretsmanager").meta.events.register("before-call.secrets-manager.CreateSecret", other_run)
    with pytest.raises(CloudError, match=f"^another run has just made the secret {name}; run it again when"):
        write_secret(cloud, name, "ours", {"tocsin-project": "shop"})


def test_the_loser_of_two_first_applies_is_told_in_one_line_and_the_next_run_mends_it(setting: Setting) -> None:
    def other_run(event: DeployEvent) -> None:
        if isinstance(event, StackPlan):  # ours is worked out, and about to be carried out
            succeed("oncall", "apply", "dev")

    with pytest.raises(CloudError, match=r"^another deployment of stack dev-routing is running; run it again when"):
        apply_hastily(setting, deployed=other_run)
    succeed("oncall", "apply", "dev")
    assert setting.delivers()
    assert succeed("oncall", "apply", "dev") == "dev: nothing to change\n"
