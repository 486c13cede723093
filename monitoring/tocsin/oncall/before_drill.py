"""Before a drill: which alarms it may force, and what an earlier one left behind that was cut off."""

from __future__ import annotations

from collections.abc import Collection

from ..alarm import AlarmState
from ..cloud.alarm_states import DeployedAlarm, find_alarm, list_alarms, require_alarm, set_state
from ..cloud.mute_rules import RuleStatus, list_rules
from ..cloud.session import Cloud
from ..errors import InputError
from ..paging.drill_marks import drill_reason, is_drill
from ..paging.tool import OnCallTool
from .drill_runs import is_left_behind, refuse_running


def refuse_waking(tool: OnCallTool, *, page: bool) -> None:
    """Raise InputError for a drill that is to wake nobody, with a tool that cannot be told so.  Asks nothing of anybody."""
    if not page and not tool.drills_wake_nobody:
        raise InputError(
            f"{tool.name} cannot be told to notify nobody of a drill, so whoever is on call would be woken; "
            "tell them, then give --page, or drill an environment whose oncall_url is a stand-in of another tool"
        )


def refuse_unfit(cloud: Cloud, tool: OnCallTool, name: str, *, page: bool = False) -> DeployedAlarm:
    """The alarm, if a drill of it proves something and harms nobody; what an earlier drill left behind is cleared away.

    Raises InputError for what `refuse_waking` refuses, for an alarm of which a drill is running, that is really in ALARM,
    that tells nobody or is muted, and for one whose alert is open; CloudError and PagingError.
    """
    refuse_waking(tool, page=page)
    alarm = require_alarm(cloud, name)
    refuse_running(alarm)
    left_behind = is_left_behind(alarm)
    if alarm.state is AlarmState.ALARM and not left_behind:
        raise InputError(
            f"alarm {name} is in ALARM since {alarm.since:%Y-%m-%d %H:%M} UTC: that is no drill; take another"
        )
    if not alarm.actions_enabled:
        raise InputError(f"alarm {name}: its actions are switched off; switch them on, or deploy the alarms again")
    for actions, what in ((alarm.alarm_actions, "starts"), (alarm.ok_actions, "ends")):
        if not any(":sns:" in action for action in actions):
            raise InputError(f"alarm {name} tells no topic when it {what}; take one that does")
    if rules := list_rules(cloud, alarm=name, statuses=[RuleStatus.ACTIVE]):
        raise InputError(f"alarm {name} is muted by {rules[0].name}; end it, or wait until it is over")
    if alarm.suppressor:
        suppressor = find_alarm(cloud, alarm.suppressor.rpartition(":alarm:")[2])
        if suppressor is not None and suppressor.state is AlarmState.ALARM:
            raise InputError(f"alarm {name} tells nobody while {suppressor.name} is in ALARM; wait until that is over")
    alert = tool.find_alert(name)
    refuse_running(alarm, alert)
    if alert is not None and alert.open and not is_drill(alert.description):
        raise InputError(f"an alert of {name} is open in {tool.name} already; close it there first")
    if left_behind:
        if set_right(cloud, tool, alarm):
            raise InputError(
                f"alarm {name} rings in earnest since a drill of it was cut off, and was told; take another"
            )
    elif alert is not None and alert.open:
        tool.close_alert(name, "Left behind by a drill that was cut off.")
    return alarm


def find_left_behind(cloud: Cloud, prefix: str, names: Collection[str]) -> tuple[DeployedAlarm, ...]:
    """Of the alarms of these names, which begin with ``prefix``, those that a drill left in ALARM.  Raises CloudError."""
    return tuple(alarm for alarm in list_alarms(cloud, prefix) if alarm.name in names and is_left_behind(alarm))


def set_right(cloud: Cloud, tool: OnCallTool, alarm: DeployedAlarm) -> bool:
    """Set back an alarm that a drill left behind, and close the drill's alert.

    Returns whether its rule is true in earnest: then it is in ALARM again, and told.  Raises CloudError and PagingError.
    """
    set_state(cloud, alarm.name, AlarmState.OK, drill_reason("the drill before this one was cut off", page=False))
    alert = tool.find_alert(alarm.name)
    if alert is not None and alert.open and is_drill(alert.description):
        tool.close_alert(alarm.name, "Left behind by a drill that was cut off.")
    if not (alarm.composite and rings_for_real(cloud, alarm)):
        return False
    set_state(cloud, alarm.name, AlarmState.ALARM, "Its rule was true when what a drill left behind was set right.")
    return True


def rings_for_real(cloud: Cloud, alarm: DeployedAlarm) -> bool:
    """Whether the rule of a composite alarm is true, whatever state the alarm was given.  Raises CloudError."""
    from ..simulate.composite import alarm_name, evaluate_rule, names_in, parse_rule

    rule = parse_rule(alarm.rule)
    states = {name: require_alarm(cloud, alarm_name(name)).state for name in names_in(rule)}
    return evaluate_rule(rule, states)
