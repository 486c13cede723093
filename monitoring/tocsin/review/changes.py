"""What changed in a month: promises and alarms that came, went or say something else, and states that are not those before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from ..units import format_duration, format_ratio
from .budget import HEARTBEAT, VANISHED, Promise
from .months import moment, seconds
from .pack import State
from .shown import month_name
from .words import day_text

_JUDGED = (State.KEPT, State.AT_RISK, State.BROKEN)
_VERBS = {State.KEPT: "kept", State.AT_RISK: "at risk", State.BROKEN: "broken"}


def promise_changes(
    name: str, promises: Sequence[Promise], system_since: int, start: datetime, until: datetime, zone: ZoneInfo
) -> tuple[str, ...]:
    """What was promised otherwise from some day of the month on.

    ``system_since``: when a pull first saw the system.  An SLO that a later pull saw first was declared in between.
    """
    found = []
    begin, end = seconds(start), seconds(until)
    for number, one in enumerate(promises):
        if not begin <= one.first_seen < end:
            continue
        on = day_text(moment(one.first_seen), zone)
        before = promises[number - 1] if number else None
        if one.kind == VANISHED:
            if before is not None:
                found.append(f"{name} is no longer promised since {on}.")
        elif before is None:
            if one.first_seen > system_since:
                found.append(f"{name} is new: declared by {on}.")
        elif before.kind == VANISHED:
            found.append(f"{name} is promised again since {on}.")
        else:
            found += [f"{name}: {what} since {on}." for what in _differences(before, one)]
    return tuple(found)


def state_change(name: str, month_before: str, before: State, now: State) -> tuple[str, ...]:
    """Whether it stands otherwise than at the end of the month before; only where both can be judged."""
    if before is now or before not in _JUDGED or now not in _JUDGED:
        return ()
    return (f"{name} is {_VERBS[now]}; in {month_name(month_before).split()[0]} it was {_VERBS[before]}.",)


def alarm_changes(
    rows: Iterable[Sequence[object]], start: datetime, until: datetime, system_since: Mapping[str, int]
) -> tuple[str, ...]:
    """Alarms (of ``read.alarms``) that came, went or tell otherwise, a sentence for each system and change."""
    begin, end = seconds(start), seconds(until)
    found: dict[tuple[str, str], list[str]] = {}
    last: dict[tuple[str, str], str] = {}
    for system, alarm, since, severity, *_ in rows:
        key, now, at = (str(system), str(alarm)), str(severity), int(str(since))
        before = last.get(key)
        last[key] = now
        if not begin <= at < end or now == before:
            continue
        if now == VANISHED:
            what = "gone"
        elif before is None:
            if at <= system_since.get(key[0], at):
                continue
            what = "new"
        elif before == VANISHED:
            what = "back"
        else:
            what = f"now a {now} and no longer a {before}"
        found.setdefault((key[0], what), []).append(key[1])
    return tuple(
        f"{system}: {len(names)} alarm{'' if len(names) == 1 else 's'} {'is' if len(names) == 1 else 'are'} {what}: {', '.join(names)}."
        for (system, what), names in sorted(found.items())
    )


def _differences(before: Promise, now: Promise) -> list[str]:
    found = []
    if before.objective != now.objective:
        if before.objective is None or now.objective is None:
            found.append(f"it is a {now.kind} and no longer a {before.kind}")
        else:
            way = "tightened" if now.objective > before.objective else "loosened"
            found.append(
                f"the objective was {way} from {format_ratio(before.objective)} to {format_ratio(now.objective)}"
            )
    if before.seconds != now.seconds:
        what = "a success is due within" if now.kind == HEARTBEAT else "the window is"
        was, is_now = (format_duration(timedelta(seconds=one.seconds)) for one in (before, now))
        found.append(f"{what} {is_now} instead of {was}")
    if before.owner != now.owner:
        found.append(f"it belongs to {now.owner} and no longer to {before.owner}")
    return found
