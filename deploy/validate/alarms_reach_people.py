"""What an alarm tells reaches whom it should: the subscriptions that deploy/oncall.toml promises, each confirmed."""

from __future__ import annotations

from collections.abc import Mapping

from deploy.validate.alarm_stacks import ROOT, deployed_alarms
from deploy.validate.check import Check, CheckFailedError
from deploy.validate.target import Target
from tocsin.cloud.subscriptions import subscriptions_of
from tocsin.oncall.reach import SECOND_WAY, Promise, promises, unkept
from tocsin.paging.declared import OnCall
from tocsin.paging.oncall_file import read_oncall

ON_CALL = ROOT / "deploy" / "oncall.toml"


def run(target: Target) -> str:
    """Look whether actions are on, and whether each of their topics, and the second way's, is read by whom it should."""
    topics: dict[str, str] = {}
    for system, alarms in deployed_alarms(target).items():
        if off := [alarm.name for alarm in alarms if alarm.actions and not alarm.enabled]:
            raise CheckFailedError(f"the actions of {off[0]} are switched off" + _and_more(off))
        own = {action: alarm.name for alarm in alarms for action in alarm.actions if ":sns:" in action}
        if not own:
            raise CheckFailedError(f"no alarm of {system} tells anybody: none has a topic among its actions")
        topics |= own
    silent = [
        f"no confirmed subscription to {topic} (for {alarm})"
        for topic, alarm in sorted(topics.items())
        if not any(one.confirmed for one in subscriptions_of(target.cloud, topic))
    ]
    promised = _promised(target, read_oncall(ON_CALL))
    silent += _unkept(target, topics, promised)
    if silent:
        raise CheckFailedError(silent[0] + _and_more(silent))
    return f"{len(topics)} topics, each with a confirmed subscription, and {len(promised)} that deploy/oncall.toml promises"


def _promised(target: Target, declared: OnCall) -> tuple[Promise, ...]:
    """Nothing where the environment is not on call: whoever it tells stands in deploy/environments.toml alone."""
    environment = target.environment
    if not environment.oncall_url and environment.name not in declared.environments:
        return ()
    return promises(declared, environment)


def _unkept(target: Target, topics: Mapping[str, str], promised: tuple[Promise, ...]) -> list[str]:
    named = {topic.rpartition(":")[2]: topic for topic in topics}
    beside = next(iter(topics)).rpartition(":")[0]
    second = f"{target.environment.name}-tocsin-{SECOND_WAY}"
    named[second] = f"{beside}:{second}"
    return [
        f"{promise.whom} is not subscribed to {promise.topic}"
        if there is None
        else f"{promise.whom} has not confirmed the subscription to {promise.topic}"
        for promise, there in unkept(target.cloud, named, tuple(one for one in promised if one.topic in named))
    ]


def _and_more(names: list[str]) -> str:
    return f"; and {len(names) - 1} more" if len(names) > 1 else ""


CHECK = Check(
    name="alarms-reach-people",
    holds="every alarm's topic, and the one of the second way, is read by whom deploy/oncall.toml says",
    mend="run `tocsin oncall apply ENV`, which makes the subscriptions to the on-call tool; confirm those by e-mail from the mail",
    run=run,
)
