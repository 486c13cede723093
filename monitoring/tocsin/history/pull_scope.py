"""What a pull is about: which systems, from when to when, what is there of them already, and what could not be had."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..model import Slo
from .gaps import Moments
from .ledger import Ledger
from .watched import PulledSystem

#: How far the first pull goes back for promises without a window, and the furthest it goes for those with one: what an
#: SLO's own window needs.  Further back is for whoever says so: it is coarse by then, and a review says what is missing.
SHORTEST, LONGEST = timedelta(days=28), timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Scope:
    """One pull.  ``since`` is None where nobody said how far back; ``problems`` are told of each system."""

    systems: Sequence[PulledSystem]
    ledgers: Mapping[str, Ledger]
    since: datetime | None
    until: datetime
    now: datetime
    problems: Mapping[str, list[str]] = field(default_factory=dict)

    def tell(self, systems: Collection[str] | Mapping[str, int], problem: str) -> None:
        """Something of these systems cannot be had."""
        for name in systems:
            self.problems[name].append(problem)

    def reach(self, slos: Collection[Slo], covered: Collection[Moments], lost: Collection[datetime]) -> datetime:
        """How far back to ask for: what the windows need, and as far as it ever went."""
        if self.since is not None:
            return self.since
        window = min(max([SHORTEST, *(slo.window for slo in slos if slo.window)]), LONGEST)
        return min([self.until - window, *(start for start, _ in covered), *lost])


def by_gaps(
    systems: Sequence[PulledSystem], gaps_of: Mapping[str, Sequence[Moments]]
) -> Mapping[tuple[Moments, ...], list[PulledSystem]]:
    """Systems that lack the same spans are asked for together."""
    groups: dict[tuple[Moments, ...], list[PulledSystem]] = {}
    for system in systems:
        groups.setdefault(tuple(gaps_of[system.name]), []).append(system)
    return groups
