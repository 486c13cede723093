"""What one refresh has found out, as values that a scrape may read while the next one is under way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..alarm import AlarmState
from .ledger import Number


@dataclass(frozen=True, slots=True)
class SloFigures:
    """One SLO: counts since the exporter's start, and what is left and how fast it goes at the end of its data.

    ``objective``, ``window`` and ``remaining`` are None for a heartbeat, ``remaining`` also where nothing valid happened in the
    window: nobody can say then how the promise is kept.  ``burn_rates`` are by window.  ``within`` and ``last_success``
    are a heartbeat's; None for no success in all that was read.
    """

    name: str
    good: Number
    valid: Number
    objective: float | None = None
    window: timedelta | None = None
    remaining: float | None = None
    burn_rates: tuple[tuple[timedelta, float], ...] = ()
    within: timedelta | None = None
    last_success: datetime | None = None


@dataclass(frozen=True, slots=True)
class AlarmFigure:
    """An alarm's state; ``severity`` and ``slo`` are empty where it has none."""

    name: str
    severity: str
    slo: str
    state: AlarmState


@dataclass(frozen=True, slots=True)
class SystemFigures:
    """All of one system as of its last good refresh.  ``until`` is the end of the data, ``missing_…`` count what
    is declared and not in the account."""

    owner: str
    refreshed: datetime
    until: datetime
    slos: tuple[SloFigures, ...]
    alarms: tuple[AlarmFigure, ...]
    missing_alarms: int
    missing_slos: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything there is to show.  ``systems`` has those that have been read at least once, ``failures`` counts by
    (system, reason), ``calls`` by (operation, outcome)."""

    environment: str
    systems: Mapping[str, SystemFigures] = field(default_factory=dict)
    refreshes: int = 0
    failures: Mapping[tuple[str, str], int] = field(default_factory=dict)
    calls: Mapping[tuple[str, str], int] = field(default_factory=dict)
