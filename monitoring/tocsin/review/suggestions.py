"""Changes to alarms that their history suggests, and those of ``tocsin tune``, each with its reason."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ..model import Severity
from ..units import format_number
from .pack import AlarmQuality, Span, Suggestion
from .quality import Alert
from .shown import MONTHS, duration

if TYPE_CHECKING:
    from ..backtest.scoring import Score
    from ..backtest.trial import Setting
    from ..backtest.tune import Tuning

#: A ticket that is open longer than this is closed by nobody.
FORGOTTEN_AFTER = timedelta(days=14)

_FEW = 2
_ALWAYS = 0.9  # of the month


def suggested(
    alarms: Iterable[AlarmQuality],
    silent: Collection[tuple[str, str]],
    alerts: Mapping[tuple[str, str], Sequence[Alert]],
    month: Span,
    silent_since: datetime,
) -> tuple[Suggestion, ...]:
    """What the month says of each alarm, and the last three months of those in ``silent`` (system, alarm), which never fired.

    ``alerts`` are the on-call tool's; ``month`` ends with the data.
    """
    known = list(alarms)
    found = []
    for one in known:
        forgotten = [
            alert
            for alert in alerts.get((one.system, one.alarm), ())
            if alert.closed is None and month.end - alert.opened >= FORGOTTEN_AFTER
        ]
        for change, because in (
            *_always(one, month),
            *_burning(one),
            *_flapping(one),
            *_nobody_closes(one, len(forgotten)),
        ):
            found.append(Suggestion(one.system, one.alarm, change, because))
    return (*found, *_never_fired(known, silent, silent_since))


def tuned(tuning: Tuning, system: str) -> tuple[Suggestion, ...]:
    """What ``tocsin tune`` proposes for one system's alarms; what its own check speaks against is left out."""
    return tuple(
        Suggestion(
            system,
            one.alarm,
            f"{_setting(one.now)} → {_setting(one.new)}",
            f"false alarms {one.before.false_alarms} → {one.after.false_alarms}{_seen(one.before, one.after)} "
            f"from {_day(tuning.start)} to {_day(tuning.end)}; {one.check}",
        )
        for one in tuning.proposals
        if one.confirmed is not False
    )


def _always(one: AlarmQuality, month: Span) -> list[tuple[str, str]]:
    if one.in_alarm / (month.end - month.start) < _ALWAYS:
        return []
    return [
        (
            "mend what it tells of, or give it a threshold that the usual day keeps",
            f"it was in ALARM for {duration(one.in_alarm)}, nearly all of the month: it can tell nobody of anything new",
        )
    ]


def _burning(one: AlarmQuality) -> list[tuple[str, str]]:
    if one.severity is not Severity.PAGE or not one.told:
        return []
    if one.burning is None:
        if one.told < _FEW:
            return []
        return [("make it a ticket", f"it paged {one.told} times for a cause; only a promise pages")]
    idle = one.told - one.burning
    if not idle or (one.burning and idle < max(_FEW, one.burning)):
        return []
    times = "its only page" if one.told == 1 else f"{idle} of its {one.told} pages"
    if one.kind.endswith("heartbeat"):
        return [
            ("give the run more time, or look whether it counts its successes", f"{times} came while none was overdue")
        ]
    return [
        (
            "raise minimum_bad_events of its SLO, so that a few failures in a quiet hour page nobody",
            f"{times} came while no budget burned",
        )
    ]


def _flapping(one: AlarmQuality) -> list[tuple[str, str]]:
    if one.flaps < _FEW:
        return []
    change = (
        "ask for M of N datapoints (`tocsin tune` finds them), or a longer period"
        if one.slo is None
        else "raise minimum_bad_events of its SLO, or give the SLO a longer window"
    )
    return [(change, f"it told again within an hour of its end {one.flaps} times")]


def _nobody_closes(one: AlarmQuality, forgotten: int) -> list[tuple[str, str]]:
    if one.severity is not Severity.TICKET or forgotten < _FEW:
        return []
    return [
        (
            "leave it out, or agree who works on its tickets",
            f"{forgotten} of its tickets are open for more than {duration(FORGOTTEN_AFTER)}",
        )
    ]


def _never_fired(
    alarms: Iterable[AlarmQuality], silent: Collection[tuple[str, str]], since: datetime
) -> list[Suggestion]:
    """Of alarms on causes only: that a promise's alarm is silent is what everybody hopes for.  One for each kind."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for one in alarms:
        if one.slo is None and not one.told and (one.system, one.alarm) in silent:
            kinds.setdefault((one.system, one.kind), []).append(one.alarm)
    return [
        Suggestion(
            system,
            ", ".join(names),
            "see by `tocsin simulate` that it can fire, then lower its threshold or leave it out",
            f"never fired since {MONTHS[since.month - 1]} {since.year}",
        )
        for (system, _), names in sorted(kinds.items())
    ]


def _setting(setting: Setting) -> str:
    threshold = format_number(setting.threshold, 6)
    return f"threshold {threshold}, {setting.datapoints_to_alarm} of {setting.evaluation_periods}"


def _seen(before: Score, after: Score) -> str:
    """How many incidents it sees, where there were labels to tell."""
    if not after.incidents:
        return ""
    return f", incidents seen {len(before.detections)} → {len(after.detections)} of {len(after.incidents)}"


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"
