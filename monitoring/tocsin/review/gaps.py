"""What a report lacks, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from ..history.layout import FILE, is_table_file, keys_of
from ..history.schema import TABLES
from .months import HOUR, Stretch, joined, length, moment, seconds, within, without
from .one_slo import Counted
from .pack import Gap
from .recorded import Period
from .shown import Clock, duration

# So many are named where the same is missing of many.
_NAMED = 3


def find_gaps(
    counted: Iterable[Counted],
    never_pulled: Iterable[tuple[str, str]],
    alarms_asked: Mapping[str, Sequence[Stretch]],
    systems: Iterable[str],
    skipped: Iterable[tuple[str, str]],
    environment: str,
    period: Period,
) -> tuple[Gap, ...]:
    """All gaps: files that could not be read first, then what was never asked."""
    pull = f"tocsin history pull {environment}"
    clock = Clock.of(period.zone.key, period.span)
    found = [
        Gap(path, f"could not be read: {why}; {_mend(path, pull)}")
        for path, why in skipped
        if not _is_ours(path) or keys_of(path)[0] == environment
    ]
    by_hole: dict[tuple[str, tuple[Stretch, ...]], list[Counted]] = {}
    for one in counted:
        if hole := _hole(one, period):
            by_hole.setdefault((one.name[0], hole), []).append(one)
    for (system, hole), mine in by_hole.items():
        lacking, first = timedelta(seconds=length(hole)), moment(hole[0][0])
        if all(not one.month.covered for one in mine):
            what = "nothing of this month was asked of CloudWatch"
        else:
            what = f"{duration(lacking)} of this month, first from {clock.moment(first)}, were not asked of CloudWatch"
        found.append(
            Gap(f"{system}: {', '.join(one.name[1] for one in mine)}", f"{what}; run `{pull} --since {first:%Y-%m-%d}`")
        )
    for system, slo in never_pulled:
        found.append(Gap(f"{system}: {slo}", f"it is declared, and was never pulled; run `{pull}`"))
    begin, end = seconds(period.data.start), seconds(period.data.end)
    for system in systems:
        lacks = without((begin, end), list(alarms_asked.get(system, ())))
        if length(lacks) < HOUR:
            continue
        much = "of this month" if length(lacks) == end - begin else f"of {duration(timedelta(seconds=length(lacks)))}"
        found.append(
            Gap(
                system,
                f"the alarm history {much} was not read, so that alarms may have told more often; "
                f"CloudWatch keeps it for 30 days: run `{pull}` at least once a month",
            )
        )
    return tuple(found)


def _mend(path: str, pull: str) -> str:
    """What to do about a file: a pull leaves alone what it does not know."""
    return (
        f"run `{pull}`, which puts it aside and asks again"
        if _is_ours(path)
        else "update Tocsin, or take the file away"
    )


def _is_ours(path: str) -> bool:
    return any(is_table_file(path, table) for table in TABLES.values())


def _hole(counted: Counted, period: Period) -> tuple[Stretch, ...]:
    """What of the month was promised and not asked; nothing where that is less than an hour."""
    begin, end = seconds(period.data.start), seconds(period.data.end)
    promised = joined(piece for one in counted.in_month for piece in within([one.stretch], begin, end))
    hole = tuple(piece for one in promised for piece in without(one, counted.asked))
    return hole if length(hole) >= HOUR else ()


def gathered(gaps: Iterable[Gap]) -> tuple[Gap, ...]:
    """One line for all of which the same is missing: fifty systems that nobody pulled are one thing to do.

    A file has a line of its own, for its name is what is to be looked at.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for gap in gaps:
        own = gap.where if gap.where.endswith(f"/{FILE}") else ""
        found.setdefault((gap.what, own), []).append(gap.where)
    return tuple(Gap(_together(places), what) for (what, _), places in found.items())


def _together(places: Sequence[str]) -> str:
    if len(places) <= _NAMED + 1:
        return "; ".join(places)
    return f"{'; '.join(places[:_NAMED])}; and {len(places) - _NAMED} others"
