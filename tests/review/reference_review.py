"""The figures of a review once more: row by row, minute by minute, with nothing but Fractions."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from tests.review.reference_tables import DAY, HOUR, MINUTE, History


@dataclass(frozen=True)
class Row:
    at: datetime
    end: datetime
    good: Fraction
    valid: Fraction
    objective: Fraction

    @property
    def bad(self) -> Fraction:
        return self.valid - self.good

    @property
    def allowed(self) -> Fraction:
        return self.valid * (1 - self.objective)

    @property
    def burns(self) -> bool:
        return bool(self.valid) and self.bad / self.valid > 1 - self.objective


@dataclass(frozen=True)
class Figures:
    good: Fraction
    valid: Fraction
    allowed: Fraction
    covered: Fraction
    silent: Fraction


class Reference:
    """One SLO of a history in one month: from local midnight of the first to ``until``."""

    def __init__(self, history: History, slo: str, zone: str, until: datetime, month_end: datetime) -> None:
        self.zone = ZoneInfo(zone)
        self.until, self.month_end = until, month_end
        first = (month_end - HOUR).astimezone(self.zone).date().replace(day=1)
        self.month = first
        self.start = self.midnight(first)
        system = "shop"
        self.promises = [
            (row[1], None if row[2] == "vanished" else Fraction(row[3]))
            for row in sorted(history.rows["promise", system], key=lambda row: row[1])
            if row[0] == slo
        ]
        self.rows = [
            Row(at, at + timedelta(seconds=period), good, valid, objective)
            for name, at, period, good, valid in sorted(history.rows["sli", system], key=lambda row: row[1])
            if name == slo and (objective := self.objective(at)) is not None
        ]
        asked: set[int] = set()
        for name, since, end, _ in history.rows["coverage", system]:
            if name == slo:
                asked.update(range(minute(since), minute(end)))
        changes = [since for since, _ in self.promises[1:]] + [month_end + DAY]
        for begin, end in pairwise(changes):
            if self.objective(begin) is None:
                asked.difference_update(range(minute(begin), minute(end)))
        self.asked = sorted(asked)

    def midnight(self, day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(UTC)

    def objective(self, at: datetime) -> Fraction | None:
        found = self.promises[0][1]
        for since, objective in self.promises:
            if since <= at:
                found = objective
        return found

    def between(self, start: datetime, end: datetime) -> list[Row]:
        return [row for row in self.rows if start <= row.at < end]

    def figures(self, start: datetime, end: datetime) -> Figures:
        rows = self.between(start, end)
        known = bisect_left(self.asked, minute(end)) - bisect_left(self.asked, minute(start))
        live = sum((row.end - row.at for row in rows if row.valid), timedelta())
        return Figures(
            good=total(row.good for row in rows),
            valid=total(row.valid for row in rows),
            allowed=total(row.allowed for row in rows),
            covered=Fraction(known, (end - start) // MINUTE),
            silent=max(Fraction(0), 1 - Fraction(live // MINUTE, known)) if known else Fraction(0),
        )

    def trend(self) -> list[tuple[str, Figures]]:
        found = []
        last = self.month
        for _ in range(3):
            end = self.midnight(last)
            last = (last - DAY).replace(day=1)
            found.append((f"{last:%Y-%m}", self.figures(self.midnight(last), end)))
        return found[::-1]

    def days(self) -> list[tuple[date, Figures]]:
        found, day = [], self.month
        while (begin := self.midnight(day)) < self.until:
            found.append((day, self.figures(begin, min(self.midnight(day + DAY), self.until))))
            day += DAY
        return found

    def hours(self) -> list[datetime]:
        found, at = [], self.start + HOUR
        while at < self.until:
            found.append(at)
            at += HOUR
        return [*found, self.until]

    def burn_down(self) -> list[tuple[datetime, Fraction]]:
        budget = self.figures(self.start, self.until).allowed
        if not budget:
            return []
        rows, found, gone, number = self.between(self.start, self.until), [], Fraction(0), 0
        for at in self.hours():
            while number < len(rows) and rows[number].at < at:
                gone += rows[number].bad
                number += 1
            found.append((at, 1 - gone / budget))
        return found

    def burn_rates(self, window: timedelta) -> list[tuple[datetime, Fraction | None]]:
        found = []
        times = [row.at for row in self.rows]
        for at in self.hours():
            rows = self.rows[bisect_left(times, at - window) : bisect_left(times, at)]
            allowed = total(row.allowed for row in rows)
            found.append((at, total(row.bad for row in rows) / allowed if allowed else None))
        return found

    def incidents(self) -> list[dict[str, Any]]:
        """Those that spent a hundredth of the budget."""
        running = self.until < self.month_end
        last = self.until if running else self.until + 75 * MINUTE
        islands: list[list[Row]] = []
        for row in self.between(self.start - 3 * DAY, last):
            if not row.burns:
                continue
            if islands and row.at - islands[-1][-1].end <= 15 * MINUTE:
                islands[-1].append(row)
            else:
                islands.append([row])
        budget = self.figures(self.start, self.until).allowed
        found = []
        for island in islands:
            inside = [row for row in island if self.start <= row.at < self.until]
            bad = total(row.bad for row in inside)
            if not inside or not budget or bad / budget < Fraction(1, 100):
                continue
            end = island[-1].end
            found.append(
                {
                    "start": max(island[0].at, self.start),
                    "end": min(end, self.until),
                    "bad": bad,
                    "valid": total(row.valid for row in inside),
                    "spent": bad / budget,
                    "open": end >= self.until - 15 * MINUTE if running else end > self.until,
                    "began": island[0].at if island[0].at < self.start else None,
                }
            )
        return found


def minute(at: datetime) -> int:
    """Whole minutes since 1970."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // MINUTE


def total(values: Iterable[Fraction]) -> Fraction:
    return sum(values, Fraction(0))
