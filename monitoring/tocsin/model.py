"""System, Resource, Sli, Slo, Severity: what is promised to whom, and what it is promised about.

Only values.  Whether a promise can be kept an eye on is decided in ``plan.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from fractions import Fraction
from typing import Any

from .alarm import Metric
from .errors import DeclarationError, nearest
from .units import exact_decimal, format_number


class Severity(StrEnum):
    """Who is told: a PAGE wakes somebody, a TICKET waits for the morning."""

    PAGE = "page"
    TICKET = "ticket"


class SliKind(StrEnum):
    """What an SLI measures; also the last word of the alarm kind ``slo-…``."""

    AVAILABILITY = "availability"
    LATENCY = "latency"
    FRESHNESS = "freshness"
    COMPLETENESS = "completeness"
    HEARTBEAT = "heartbeat"


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of a watched template.

    ``properties`` are resolved as far as the template allows; what only a deployment can tell is Symbolic text
    (see ``cloudformation.symbolic``).  ``name`` is the physical name if the template states it.  ``role`` is
    ``"dlq"`` for a queue that another resource dead-letters into.  ``surroundings`` are all resources of the
    same template by logical id, watched or not: a queue's alarms depend on who reads it.
    """

    type: str
    logical_id: str
    name: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    conditional: bool = False
    role: str | None = None
    surroundings: Mapping[str, Resource] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Unwatched:
    """A resource of the template that gets no alarms, and why."""

    type: str
    logical_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Stack:
    """What discovery found in one template: each resource is in ``resources`` or in ``unwatched``, never in both.

    ``warnings`` are one-line remarks about the template, such as duplicate keys; ``parameters`` the names of those it
    declares.
    """

    path: str
    resources: tuple[Resource, ...]
    unwatched: tuple[Unwatched, ...] = ()
    warnings: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()

    def __getitem__(self, logical_id: str) -> Resource:
        """The watched resource of that logical id.  Raises DeclarationError with the nearest name."""
        for resource in self.resources:
            if resource.logical_id == logical_id:
                return resource
        for unwatched in self.unwatched:
            if unwatched.logical_id == logical_id:
                raise DeclarationError(
                    f"{self.path}: {logical_id} ({unwatched.type}) is not watched: {unwatched.reason}"
                )
        raise DeclarationError(
            f"{self.path}: no resource {logical_id!r}; {nearest(logical_id, (r.logical_id for r in self.resources))}"
        )


@dataclass(frozen=True, slots=True)
class Counted:
    """Bad over valid events, each the sum of counters.  Statistic is Sum unless ``*_statistic`` says otherwise.

    ``bad_in_valid`` is False where the valid counter leaves the bad events out: then valid is the sum of both.
    ``bad_is_level``: the bad metric is a gauge, such as the depth of a dead-letter queue, read by Maximum; what is
    added to it counts, so that a message that lies there for a week is one bad event.
    """

    bad: Metric
    valid: Metric
    bad_statistic: str = "Sum"
    valid_statistic: str = "Sum"
    bad_in_valid: bool = True
    bad_is_level: bool = False


@dataclass(frozen=True, slots=True)
class Ranked:
    """The share of samples of ``metric`` at or below ``limit``, by the statistic PR(:limit), in percent.

    ``limit`` is in the metric's own unit; ``unit`` is its name, where it is not the catalog's to tell.
    ``each_minute``: a gauge, such as the age of the oldest message, that has one sample a minute whatever the traffic;
    its events are minutes.
    """

    metric: Metric
    limit: Fraction
    unit: str = ""
    each_minute: bool = False

    @property
    def statistic(self) -> str:
        """CloudWatch's percentile rank of the limit, in percent: ``PR(:0.8)``."""
        return f"PR(:{exact_decimal(self.limit) or format_number(self.limit, 17)})"


@dataclass(frozen=True, slots=True)
class SinceSuccess:
    """Time since the last success: runs that were started less runs that failed.

    ``failed`` is None where ``started`` counts successes only; ``also`` are then further counters of successes, for a
    job that ends in one place or another.  The promise breaks when no success is seen for ``within`` (a whole number
    of hours when over a day, because CloudWatch then evaluates hourly).  ``every`` is how often the job is due, where
    that is known; no alarm depends on it.
    """

    started: Metric
    failed: Metric | None
    within: timedelta
    also: tuple[Metric, ...] = ()
    every: timedelta | None = field(default=None, compare=False)


Measure = Counted | Ranked | SinceSuccess


@dataclass(frozen=True, slots=True)
class Sli:
    """A service level indicator of one resource: what is measured and how it reads in a sentence.

    ``good`` completes "the share of …": "requests answered without a server error".  ``own``: measured by the team's
    own metrics.
    """

    kind: SliKind
    resource: Resource
    measure: Measure
    good: str
    source: str
    own: bool = False

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics it is measured by."""
        measure = self.measure
        if isinstance(measure, Counted):
            return measure.bad, measure.valid
        if isinstance(measure, Ranked):
            return (measure.metric,)
        return (measure.started, *((measure.failed,) if measure.failed else ()), *measure.also)


@dataclass(frozen=True, slots=True)
class Slo:
    """A promise: over ``window``, at least ``objective`` of the valid events are good.

    ``objective`` and ``window`` are None for a SinceSuccess measure, which is kept or broken, not a share.
    ``minimum_bad_events``: a burn-rate tier needs at least so many bad events in its long window.
    """

    name: str
    sli: Sli
    objective: Fraction | None
    window: timedelta | None
    because: str = ""
    minimum_bad_events: int = 1

    @property
    def error_budget(self) -> Fraction:
        """1 − objective: the share of events that may be bad."""
        if self.objective is None:
            raise DeclarationError(f"SLO {self.name} has no objective, so it has no error budget")
        return 1 - self.objective


@dataclass(frozen=True, slots=True)
class Reported:
    """Metrics of a team's own that are shown with a resource and promise nothing.

    ``unit`` is CloudWatch's: counters are summed, times ranked.
    """

    resource: Resource
    metrics: tuple[Metric, ...]
    unit: str


@dataclass(frozen=True, slots=True)
class Override:
    """A person's exception to a default alarm; ``because`` is not optional.

    ``kind`` is the alarm kind, ``resource`` the logical id it applies to.  None keeps the default.
    """

    kind: str
    resource: str
    because: str
    enabled: bool = True
    threshold: float | None = None
    severity: Severity | None = None
    evaluation_periods: int | None = None
    datapoints_to_alarm: int | None = None


_SYSTEM_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclass(frozen=True, init=False)
class System:
    """One system: what it consists of and what its owner promised.

    ``resources`` is a Stack, or any choice of its resources.  ``name`` names the generated files and begins every
    alarm name: lower-case letters, digits, ``-`` and ``_``, at most 63.  ``owner`` is the team that is told; the
    routing has a topic for each owner and severity.  ``reports`` are metrics of its own that its dashboard shows.
    Raises DeclarationError.
    """

    name: str
    owner: str
    resources: tuple[Resource, ...]
    slos: tuple[Slo, ...]
    overrides: tuple[Override, ...]
    reports: tuple[Reported, ...]
    description: str
    template: str
    unwatched: tuple[Unwatched, ...]

    def __init__(
        self,
        name: str,
        owner: str,
        resources: Stack | Iterable[Resource],
        slos: Iterable[Slo] = (),
        overrides: Iterable[Override] = (),
        description: str = "",
        reports: Iterable[Reported] = (),
    ) -> None:
        if not _SYSTEM_NAME.fullmatch(name):
            raise DeclarationError(
                f"system name {name!r}: use at most 63 lower-case letters, digits, '-' and '_', a letter first"
            )
        if not _SYSTEM_NAME.fullmatch(owner):
            raise DeclarationError(
                f"system {name}: owner {owner!r}: use at most 63 lower-case letters, digits, '-' and '_', a letter first"
            )
        stack = resources if isinstance(resources, Stack) else None
        chosen = resources.resources if isinstance(resources, Stack) else resources
        values = {
            "name": name,
            "owner": owner,
            "resources": tuple(sorted(chosen, key=lambda resource: resource.logical_id)),
            "slos": tuple(slos),
            "overrides": tuple(overrides),
            "reports": tuple(reports),
            "description": description,
            "template": stack.path if stack else "",
            "unwatched": stack.unwatched if stack else (),
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)
