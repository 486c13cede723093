"""Scores a template's alarms over a recorded history with labelled incidents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..alarm import Alarm, AlarmState, CompositeAlarm
from ..errors import SimulationError
from ..simulate.composite import names_in, parse_rule
from ..simulate.delay import Delays
from ..simulate.reading import DEFAULT, Reading
from ..simulate.template import AlarmTemplate, Unsupported
from ..simulate.timeline import Forced, Timeline, simulate
from ..units import format_duration
from .coverage import pauses, recorded, unread, within
from .incident import Incident
from .scoring import Firing, Score, Span, able, firings, merge, score_alarm, score_set, subtract, total

if TYPE_CHECKING:
    from ..simulate.series import Store

WHOLE = "all that tell somebody"
_WEEK = timedelta(weeks=1)
_NAMED = 5
_NO_DELAY = timedelta()


@dataclass(frozen=True, slots=True)
class Scores:
    """What the alarms of a template did over a history.

    ``labelled``: incidents were given, if only an empty list; otherwise nothing is true or false and only firings count.
    ``alarms`` are those with data, by name; ``whole`` is the set of those in ``telling``, counted from the moment that
    somebody is told.  ``anybody_told`` is False for a template without any alarm action: then the set is all of them.
    ``beyond`` are incidents outside the history, ``unseeable`` those whose alarms have no data: neither is
    scored, and the latter are findings.
    ``unrecorded`` are incidents at times of which there is no data, not scored either; the delay for those in ``clipped`` counts
    from the first moment judged that has data, as they began before it.  ``given``: how many incidents there were in all.  ``unread`` are series
    that no alarm reads.
    ``unclaimed`` incidents name only alarms that the template does not have; they count as missed.
    ``paused`` are stretches that were not recorded; ``in_pauses`` firings began in one, or before the first datapoint, and do
    not count.
    """

    start: datetime
    end: datetime
    labelled: bool
    alarms: tuple[Score, ...]
    whole: Score
    telling: tuple[str, ...]
    anybody_told: bool
    beyond: tuple[str, ...] = ()
    unrecorded: tuple[str, ...] = ()
    clipped: tuple[str, ...] = ()
    given: int = 0
    unread: tuple[str, ...] = ()
    unseeable: tuple[str, ...] = ()
    unclaimed: tuple[str, ...] = ()
    paused: tuple[Span, ...] = ()
    in_pauses: int = 0
    without_data: tuple[str, ...] = ()
    refused: tuple[Unsupported, ...] = ()
    incidents: tuple[Incident, ...] = field(default=(), repr=False)
    timeline: Timeline | None = field(default=None, repr=False)

    @property
    def missed(self) -> tuple[str, ...]:
        """Incidents that nobody was told of."""
        return self.whole.missed

    @property
    def findings(self) -> tuple[str, ...]:
        """A sentence for each incident that nobody was told of, or that only alarms without data could have seen."""
        return (
            *(
                f"nobody was told of {name}"
                + (": no alarm of this template has a name that it asks for" if name in self.unclaimed else "")
                for name in self.missed
            ),
            *(f"nobody could have been told of {name}: the alarms for it have no data" for name in self.unseeable),
            *(
                (f"no incident could be scored, of {self.given} that were given",)
                if self.given and not self.whole.incidents and not self.unseeable
                else ()
            ),
        )

    @property
    def watched(self) -> timedelta:
        """How long was recorded."""
        return self.end - self.start - total(self.paused)

    def as_json(self) -> dict[str, Any]:
        """All figures; without labels only how often each alarm fired."""
        return {
            "from": _stamp(self.start),
            "to": _stamp(self.end),
            "labelled": self.labelled,
            "watched_seconds": int(self.watched.total_seconds()),
            "whole": self._figures(self.whole),
            "alarms": {score.name: self._figures(score) for score in self.alarms},
            "telling": list(self.telling),
            "anybody_told": self.anybody_told,
            "missed": list(self.missed),
            "findings": list(self.findings),
            "beyond": list(self.beyond),
            "unrecorded": list(self.unrecorded),
            "clipped": list(self.clipped),
            "unread": list(self.unread),
            "unseeable": list(self.unseeable),
            "unclaimed": list(self.unclaimed),
            "paused": [[_stamp(start), _stamp(end)] for start, end in self.paused],
            "firings_in_pauses": self.in_pauses,
            "without_data": list(self.without_data),
            "refused": {one.name: one.reason for one in self.refused},
        }

    def _figures(self, score: Score) -> dict[str, Any]:
        if self.labelled:
            return score.as_json()
        return {
            "firings": score.firings,
            "firings_per_week": _per_week(score.firings, score.outside),
            "in_alarm_seconds": int(score.in_alarm.total_seconds()),
        }

    def lines(self) -> Iterator[str]:
        """The same for a terminal: a table, then what is left out of it and why."""
        yield (
            f"{_stamp(self.start)} to {_stamp(self.end)}: {format_duration(self.end - self.start)}"
            + (f", {format_duration(self.watched)} of it recorded" if self.paused else "")
            + ("" if not self.labelled else f"; {_count(len(self.whole.incidents), 'incident')}")
        )
        yield ""
        shown = [score for score in self.alarms if score.firings or self._asked(score)]
        head, rows = self._table([*shown, self.whole])
        yield from aligned(head, rows)
        if quiet := len(self.alarms) - len(shown):
            yield f"{_count(quiet, 'more alarm')} with data never fired"
        yield from self._notes()

    def _asked(self, score: Score) -> bool:
        """Whether an incident names the alarm; one that is for any alarm is no duty of each."""
        return any(one.alarms and one.name in score.incidents for one in self.incidents)

    def _table(self, scores: Sequence[Score]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        if self.labelled:
            return figures_shown(scores)
        return ("alarm", "firings", "a week", "in ALARM"), [
            (one.name, str(one.firings), _number(_per_week(one.firings, one.outside)), _length(one.in_alarm))
            for one in scores
        ]

    def _notes(self) -> Iterator[str]:
        if not self.labelled:
            yield "without --labels nothing says which firings were right"
        if not self.anybody_told:
            yield "no alarm has an action, so the last line counts all of them"
        if self.labelled and self.whole.already:
            yield (
                f"{_count(self.whole.already, 'incident')} began while an alarm was in ALARM already: "
                "nobody was told anew, and the delay counts as 0"
            )
        yield from self.findings
        if self.beyond:
            yield f"not scored, outside the time that was evaluated: {_some(self.beyond)}"
        if self.unrecorded:
            yield f"not scored, at a time of which there is no data: {_some(self.unrecorded)}"
        if self.clipped:
            yield f"began before the first moment judged that has data, from which the delay counts: {_some(self.clipped)}"
        for start, end in self.paused:
            yield f"no series has data from {_stamp(start)} to {_stamp(end)}, so this time does not count"
        if self.in_pauses:
            yield f"{_count(self.in_pauses, 'firing')} began where nothing was recorded, and {_do(self.in_pauses)} not count"
        if self.without_data:
            yield f"{_count(len(self.without_data), 'alarm')} without data, not scored: {_some(self.without_data)}"
        if self.unread:
            yield f"{_count(len(self.unread), 'metric')} that no alarm reads: {_some(self.unread)}"
        for refused in self.refused:
            yield f"not evaluated: {refused.name}: {refused.reason}"


def backtest_labelled(
    template: AlarmTemplate,
    store: Store,
    incidents: Sequence[Incident] | None,
    start: datetime,
    end: datetime,
    *,
    evaluation_range: int | None = None,
    reading: Reading = DEFAULT,
    initial: Mapping[str, AlarmState] | None = None,
    forced: Sequence[Forced] = (),
    delays: Delays = _NO_DELAY,
) -> Scores:
    """Simulate all alarms from ``start`` to ``end`` and score them; ``incidents`` is None where there are no labels.

    The other arguments are those of ``simulate``.  An alarm that the series do not fit is listed as refused and the rest
    scored.  Raises SimulationError if none is left.
    """
    timeline = simulate(
        template,
        store,
        start,
        end,
        initial=initial or {},
        forced=forced,
        evaluation_range=evaluation_range,
        reading=reading,
        delays=delays,
        keep_going=True,
    )
    if not timeline.changes and timeline.refused:
        first = timeline.refused[0]
        raise SimulationError(f"no alarm can be evaluated; {first.name}: {first.reason}")
    return score_timeline(template, timeline, store, incidents)


def score_timeline(
    template: AlarmTemplate,
    timeline: Timeline,
    store: Store,
    incidents: Sequence[Incident] | None,
    *,
    paused: Sequence[Span] | None = None,
) -> Scores:
    """Score a timeline that is there already; ``paused`` is what was not recorded, by default what the series say."""
    start, end = timeline.start, timeline.end
    given = tuple(incidents or ())
    span = store.span()
    if paused is None:
        paused = pauses(template, store, start, end)
    sorted_out = recorded(given, start, end, span, paused)
    judged = sorted_out.scored
    # An outage may stop every metric; the time of an incident counts however silent it is.
    paused = subtract(paused, [(one.start, one.end) for one in judged])
    watched = able(timeline, subtract([(start, end)], paused))
    every: tuple[Alarm | CompositeAlarm, ...] = (*template.alarms, *template.composites)
    known = {alarm.name: alarm for alarm in every if alarm.name in timeline.changes}
    silent = _silent(template.composites, timeline)
    # At the first datapoint of all there is nothing before it to read: who fires at missing data fires then.
    blind = span is None or start <= span[0]
    fired, dropped = {}, 0
    for name, found in firings(timeline).items():
        if name not in silent:
            fired[name] = tuple(one for one in found if not (within(one.start, paused) or (blind and one.from_start)))
            dropped += len(found) - len(fired[name])
    claimed = [one for one in judged if any(one.concerns(name) for name in known)]
    seeable = [one for one in judged if one not in claimed or any(one.concerns(name) for name in fired)]
    telling = sorted(name for name in fired if _tells(known[name]))
    anybody = any(map(_tells, known.values()))
    told = {name: tuple(_as_told(fired[name])) for name in telling} if anybody else fired
    return Scores(
        start=start,
        end=end,
        labelled=incidents is not None,
        alarms=tuple(score_alarm(name, found, seeable, watched[name]) for name, found in sorted(fired.items())),
        whole=score_set(WHOLE if anybody else "all", told, seeable, watched),
        telling=tuple(telling) if anybody else tuple(sorted(fired)),
        anybody_told=anybody,
        beyond=sorted_out.beyond,
        unrecorded=sorted_out.unrecorded,
        clipped=sorted_out.clipped,
        given=len(given),
        unread=tuple(map(str, unread(template, store))),
        unseeable=tuple(one.name for one in judged if one not in seeable),
        unclaimed=tuple(one.name for one in judged if one not in claimed),
        paused=tuple(merge(paused)),
        in_pauses=dropped,
        without_data=tuple(sorted(silent)),
        refused=timeline.refused,
        incidents=tuple(judged),
        timeline=timeline,
    )


def _tells(alarm: Alarm | CompositeAlarm) -> bool:
    return alarm.actions.enabled and bool(alarm.actions.alarm)


def _as_told(fired: Iterable[Firing]) -> Iterator[Firing]:
    """The firings that somebody was told of, from that moment on."""
    for one in fired:
        if one.from_start:
            yield one
        elif one.told is not None and one.told < one.end:
            yield replace(one, start=one.told)


def _silent(composites: Iterable[CompositeAlarm], timeline: Timeline) -> set[str]:
    """The alarms without data, and the composites over nothing else."""
    silent = set(timeline.without_data)
    children = {one.name: set(names_in(parse_rule(one.rule))) for one in composites if one.name in timeline.changes}
    while more := {name for name, named in children.items() if name not in silent and named and named <= silent}:
        silent |= more
    return silent


def figures_shown(scores: Iterable[Score]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The head and the rows of a table of scores."""
    return ("alarm", "seen", "recall", "precision", "firings", "false/week", "median delay", "in ALARM outside"), [
        (
            one.name,
            f"{len(one.detections)}/{len(one.incidents)}" + (f" ({one.already} before)" if one.already else ""),
            _share(one.recall),
            _share(one.precision),
            str(one.firings),
            _number(one.false_alarms_per_week),
            _length(one.median_delay),
            _share(one.noise),
        )
        for one in scores
    ]


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]], names: int = 1) -> Iterator[str]:
    """A table in plain text: the first ``names`` columns to the left, figures to the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        cells = [
            cell.ljust(width) if column < names else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more, all named by --json" if rest > 0 else "")


def _per_week(number: int, length: timedelta) -> float | None:
    return round(number / (length / _WEEK), 4) if length else None


def _share(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1%}" if 0 < value < 0.1 else f"{value:.0%}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}" if 0 < value < 1 else f"{value:.1f}"


def _length(value: timedelta | None) -> str:
    if value is None:
        return "–"
    whole = timedelta(minutes=round(value / timedelta(minutes=1)))
    return format_duration(whole) if whole else "0 min"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _do(number: int) -> str:
    return "does" if number == 1 else "do"


def _stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
