"""Says values of a review as a reader takes them: percentages that never flatter, counts, durations, times of the zone.

HTML, Markdown and the terminal share these words, so that a number reads the same wherever it stands.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from ..units import format_duration, format_number
from .pack import InForce, Span, State

NOTHING = "–"

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_MOST_DECIMALS = 12

#: A shape for each state, so that no state is told by its colour alone.
SIGNS = {
    State.BROKEN: "✕",
    State.AT_RISK: "▲",
    State.KEPT: "●",
    State.TOO_FEW: "≈",
    State.NO_DATA: "○",
    State.UNKNOWN: "?",
}


def plain(text: str) -> str:
    """``text`` in one line, with every character that would change how its neighbours are shown written as its code.

    A name may hold control characters, marks that reverse the direction of reading, or half a surrogate pair, which no
    file can hold.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character) for character in " ".join(text.split()))


def _visible(character: str) -> str:
    # Cf holds the marks of direction, and the joiner that emoji and Persian words need.
    if unicodedata.category(character) in ("Cc", "Cf", "Cs") and character not in "\u200c\u200d":
        return f"\\u{ord(character):04x}"
    return character


def decimals_of(objective: Fraction) -> int:
    """How many decimals an objective takes in percent: one for 99.9 %."""
    for decimals in range(_MOST_DECIMALS):
        if (objective * 100 * 10**decimals).denominator == 1:
            return decimals
    return 2


def attained(value: Fraction | None, objective: Fraction | None = None) -> str:
    """A share of good events, one digit finer than its objective.

    Digits are added until rounding neither lifts a broken promise to its objective nor makes 100 % of less.
    """
    if value is None:
        return NOTHING
    if value in (0, 1):
        return f"{int(value * 100)} %"
    least = max(2, decimals_of(objective) + 1) if objective is not None else 2
    below = (Fraction(1),) if objective is None else (objective, Fraction(1))
    for decimals in range(least, _MOST_DECIMALS + 1):
        shown = round(value, decimals + 2)
        if shown > 0 and all(shown < mark for mark in below if value < mark):
            return f"{_decimal(shown * 100, decimals)} %"
    mark = min((mark for mark in below if value < mark), default=Fraction(1))
    return f"just under {_short(mark)} %" if value * 2 > mark else "just over 0 %"


def share(value: Fraction | None) -> str:
    """A share of a budget, or of pages: whole percent, finer where that would hide whether it is 0, a half or all."""
    if value is None:
        return NOTHING
    if value in (0, 1):  # most are, and the search below is slow
        return f"{int(value * 100)} %"
    for decimals in range(1 if abs(value) < Fraction(1, 10) and value else 0, _MOST_DECIMALS + 1):
        shown = round(value, decimals + 2)
        if all(_sign(value - mark) == _sign(shown - mark) for mark in (0, Fraction(1, 2), 1)):
            text = _decimal(shown * 100, decimals)
            return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"
    return f"just {'under' if value < round(value, 2) else 'over'} {_short(round(value, 2))} %"


def spent(value: Fraction | None) -> str:
    """How much of a budget is gone: a share, or how many times it was spent."""
    if value is None:
        return NOTHING
    return f"{_times(value)} times" if value >= 2 else share(value)


def budget_left(value: Fraction | None) -> str:
    """What is left of a budget of which ``value`` is spent."""
    if value is None:
        return NOTHING
    if value <= 1:
        return f"{share(1 - value)} left"
    if value < 2:
        return f"{share(value - 1)} overspent"
    return f"spent {_times(value)} times"


def _times(value: Fraction) -> str:
    return number(round(value)) if value >= 10 else _decimal(round(value, 1), 1).removesuffix(".0")


def _sign(value: Fraction) -> int:
    return (value > 0) - (value < 0)


def _short(value: Fraction) -> str:
    return format_number(value * 100, 12)


def _decimal(value: Fraction, decimals: int) -> str:
    scaled = round(value * 10**decimals)
    whole, rest = divmod(abs(scaled), 10**decimals)
    sign = "−" if scaled < 0 else ""
    return f"{sign}{whole}.{rest:0{decimals}d}" if decimals else f"{sign}{whole}"


def number(value: Fraction | int) -> str:
    """A count, such as ``1,234,567``; not whole, with at most three decimals."""
    value = Fraction(value)
    sign, value = ("−" if value < 0 else ""), abs(value)
    if value.denominator == 1:
        return f"{sign}{int(value):,}"
    rounded = round(value * 1000)
    if not rounded:
        return "under 0.001"
    whole, rest = divmod(rounded, 1000)
    return f"{sign}{whole:,}" + (f".{rest:03d}".rstrip("0") if rest else "")


def rate(value: Fraction) -> str:
    """A burn rate, to three digits."""
    return format_number(value, 3) if value < 1000 else number(round(value))


def duration(value: timedelta | None) -> str:
    """How long, in whole minutes from an hour on and whole seconds below."""
    if value is None:
        return NOTHING
    sign, value = ("−" if value < timedelta(0) else ""), abs(value)
    unit = timedelta(minutes=1) if value >= timedelta(hours=1) else timedelta(seconds=1)
    value = unit * round(value / unit)
    return sign + format_duration(value) if value else "0 s"


def month_name(month: str) -> str:
    """``2026-10`` as ``October 2026``; text that is no month as it is."""
    year, _, number_of_month = month.partition("-")
    if number_of_month.isdigit() and 1 <= int(number_of_month) <= 12:
        return f"{MONTHS[int(number_of_month) - 1]} {year}"
    return plain(month)


def short_month(month: str) -> str:
    """``2026-10`` as ``Oct``."""
    name = month_name(month)
    return name[:3] if name != plain(month) else name


def day(value: date) -> str:
    """``14 Oct``."""
    return f"{value.day} {MONTHS[value.month - 1][:3]}"


def full_day(value: date) -> str:
    """``14 October 2026``."""
    return f"{value.day} {MONTHS[value.month - 1]} {value.year}"


@dataclass(frozen=True, slots=True)
class Clock:
    """Says moments in one zone.  ``shifts``: clocks are changed within the month, so each moment names its offset."""

    zone: ZoneInfo
    shifts: bool

    @classmethod
    def of(cls, name: str, span: Span) -> Clock:
        """The clock of a review: its zone, and whether clocks change within ``span``."""
        zone = ZoneInfo(name)
        last = span.end - timedelta(seconds=1)
        return cls(zone, span.start.astimezone(zone).utcoffset() != last.astimezone(zone).utcoffset())

    @property
    def name(self) -> str:
        """The zone's name."""
        return self.zone.key

    def local(self, at: datetime) -> datetime:
        """``at`` as the clocks of the zone show it."""
        return at.astimezone(self.zone)

    def moment(self, at: datetime) -> str:
        """``14 Oct 09:32``, with the offset's name in a month in which clocks change."""
        local = self.local(at)
        return f"{day(local)} {local:%H:%M}" + (f" {local.tzname()}" if self.shifts else "")

    def full(self, at: datetime) -> str:
        """``14 October 2026, 09:32 CEST``."""
        local = self.local(at)
        return f"{full_day(local)}, {local:%H:%M} {local.tzname()}"

    def span(self, span: Span) -> str:
        """``1 Oct to 31 Oct`` for whole days, and otherwise with the times; the last day is part of it."""
        start, end = self.local(span.start), self.local(span.end)
        midnights = (start.hour, start.minute, end.hour, end.minute) == (0, 0, 0, 0)
        if midnights and span.end > span.start:
            first, last = start.date(), end.date() - timedelta(days=1)
            if first == last:
                return full_day(first)
            if first.year != last.year:
                return f"{full_day(first)} to {full_day(last)}"
            return f"{day(first)} to {day(last)} {last.year}"
        return f"{self.moment(span.start)} to {self.moment(span.end)}"


def iso(at: datetime) -> str:
    """For machines: ``2026-10-14T07:32:00Z``."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"


def in_force_at(promises: tuple[InForce, ...], at: datetime) -> InForce | None:
    """What was promised at a moment; before the first promise, the first."""
    found = None
    for promise in promises:
        if found is None or promise.since is None or promise.since <= at:
            found = promise
    return found


def changed_within(promises: tuple[InForce, ...], span: Span) -> tuple[InForce, ...]:
    """The promises that began within a span."""
    return tuple(
        promise for promise in promises[1:] if promise.since is not None and span.start < promise.since < span.end
    )
