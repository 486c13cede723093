"""System → Plan: the only place that decides which alarms exist, what they are called and whom they tell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from .alarm import Actions, Alarm, CompositeAlarm, TreatMissingData
from .burn_rate import (
    WORKBOOK,
    Tier,
    UnreachableTier,
    heartbeat_condition,
    tiers,
    window_condition,
)
from .catalog import CATALOG
from .catalog.entry import AlarmKind, Condition, Inapplicable, NameSource, Panel, ResourceType, parameter_name
from .errors import DeclarationError, PlanError
from .model import Override, Resource, Severity, Slo, System, Unwatched, nearest
from .units import format_duration, format_number, format_ratio

#: Parameters that every alarm template has, beside one for each physical name.
ENVIRONMENT = "Environment"
TOPIC_PARAMETERS = {Severity.PAGE: "PageTopicArn", Severity.TICKET: "TicketTopicArn"}

# A ticket is held back while the same SLO pages: seconds to wait for the page, and to hold after it ends.
# AWS advises 60 for each (User Guide, "Alarm suppression").
_SUPPRESSOR_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Settings:
    """What generated texts point at.  ``runbooks`` is the address in front of ``<kind>.md``, ``dashboards`` the one
    in front of ``/d/<uid>``; empty where nothing is configured."""

    runbooks: str = "runbooks"
    dashboards: str = ""


@dataclass(frozen=True, slots=True)
class NameParameter:
    """A parameter of the alarm template that holds a physical name, and how to find it in the watched stack."""

    name: str
    logical_id: str
    type: str
    source: NameSource
    default: str | None
    description: str


@dataclass(frozen=True, slots=True)
class PlannedAlarm:
    """One alarm with what people need to know of it.

    ``severity`` is None for an alarm that only feeds a composite.  ``resource`` is the logical id it watches,
    ``slo`` the name of the promise; an SLO's alarm has both.
    """

    logical_id: str
    alarm: Alarm | CompositeAlarm
    kind: str
    severity: Severity | None
    title: str
    because: str
    threshold_because: str
    source: str
    resource: str
    slo: str | None = None

    @property
    def runbook(self) -> str:
        """The file under ``runbooks/`` that says what to do."""
        return f"{self.kind}.md"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An alarm that does not exist, on purpose.  ``subject`` is a logical id or an SLO's name."""

    subject: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class PlannedSlo:
    """A promise with its tiers.  ``alarms`` are logical ids: the composites or the heartbeat alarm people are told by."""

    slo: Slo
    tiers: tuple[Tier, ...]
    unreachable: tuple[UnreachableTier, ...]
    alarms: Mapping[Severity, str]


@dataclass(frozen=True, slots=True)
class PlannedPanels:
    """The graphs of one resource."""

    resource: Resource
    entry: ResourceType
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is decided for one system; everything in it is in its final order."""

    system: System
    settings: Settings
    parameters: tuple[NameParameter, ...]
    alarms: tuple[PlannedAlarm, ...]
    slos: tuple[PlannedSlo, ...]
    panels: tuple[PlannedPanels, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def unwatched(self) -> tuple[Unwatched, ...]:
        """Resources without alarms, with the reason."""
        return self.system.unwatched

    def __getitem__(self, logical_id: str) -> PlannedAlarm:
        """The planned alarm of that logical id.  Raises PlanError."""
        for planned in self.alarms:
            if planned.logical_id == logical_id:
                return planned
        raise PlanError(f"{self.system.name}: no alarm {logical_id!r} is planned")


def plan(system: System, settings: Settings = Settings()) -> Plan:
    """Decide every alarm, graph and parameter of a system.

    Raises DeclarationError for contradictions in the declaration and PlanError for promises that cannot be watched.
    """
    _check(system)
    causes, left_out = _causes(system, settings)
    promised, slo_alarms, slo_left_out = _promises(system, settings)
    alarms = (*slo_alarms, *causes)
    _refuse_twins(system, alarms)
    return Plan(
        system=system,
        settings=settings,
        parameters=_name_parameters(system, alarms),
        alarms=alarms,
        slos=promised,
        panels=tuple(
            PlannedPanels(resource, CATALOG[resource.type], panels)
            for resource in system.resources
            if (panels := CATALOG[resource.type].panels(resource))
        ),
        left_out=(*slo_left_out, *left_out),
    )


def _check(system: System) -> None:
    own = {resource.logical_id for resource in system.resources}
    seen: set[str] = set()
    for slo in system.slos:
        if slo.sli.resource.logical_id not in own:
            raise DeclarationError(
                f"system {system.name}: SLO {slo.name} is on {slo.sli.resource.logical_id}, "
                "which is not among the system's resources"
            )
        if slo.name in seen:
            raise DeclarationError(f"system {system.name}: two SLOs are called {slo.name!r}; give one a name=…")
        seen.add(slo.name)
    used: set[tuple[str, str]] = set()
    for exception in system.overrides:
        if exception.resource not in own:
            raise DeclarationError(
                f"system {system.name}: override of {exception.kind} on {exception.resource!r}: no such resource; "
                + nearest(exception.resource, own)
            )
        if (exception.kind, exception.resource) in used:
            raise DeclarationError(f"system {system.name}: two overrides of {exception.kind} on {exception.resource}")
        used.add((exception.kind, exception.resource))


# Causes: one alarm for each condition of each alarm kind of each resource.


def _causes(system: System, settings: Settings) -> tuple[tuple[PlannedAlarm, ...], tuple[LeftOut, ...]]:
    planned: list[PlannedAlarm] = []
    left_out: list[LeftOut] = []
    overrides = {(override.kind, override.resource): override for override in system.overrides}
    for resource in system.resources:
        for kind in CATALOG[resource.type].alarm_kinds:
            override = overrides.get((kind.id, resource.logical_id))
            if override is not None and not override.enabled:
                left_out.append(LeftOut(resource.logical_id, kind.id, f"switched off: {override.because}"))
                continue
            conditions = kind.conditions(resource)
            if isinstance(conditions, Inapplicable):
                if override is not None:
                    raise DeclarationError(
                        f"system {system.name}: override of {kind.id} on {resource.logical_id}: "
                        f"there is no such alarm: {conditions.reason}"
                    )
                left_out.append(LeftOut(resource.logical_id, kind.id, conditions.reason))
                continue
            planned.extend(_cause(system, settings, resource, kind, condition, override) for condition in conditions)
    return tuple(planned), tuple(left_out)


def _cause(
    system: System,
    settings: Settings,
    resource: Resource,
    kind: AlarmKind,
    condition: Condition,
    override: Override | None,
) -> PlannedAlarm:
    severity = kind.severity
    threshold, n, m = condition.threshold, condition.evaluation_periods, condition.datapoints_to_alarm
    because = condition.because
    if override is not None:
        severity = override.severity or severity
        threshold = threshold if override.threshold is None else override.threshold
        n = n if override.evaluation_periods is None else override.evaluation_periods
        m = min(m, n) if override.datapoints_to_alarm is None else override.datapoints_to_alarm
        because = override.because
        if not 1 <= m <= n:
            raise DeclarationError(
                f"system {system.name}: override of {kind.id} on {resource.logical_id}: "
                f"datapoints_to_alarm {m} must lie between 1 and evaluation_periods {n}"
            )
    suffix = f"-{condition.suffix}" if condition.suffix else ""
    shown = f" ({condition.suffix})" if condition.suffix else ""
    title = f"{resource.logical_id}{shown}: {kind.symptom}"
    alarm = Alarm(
        name=f"${{{ENVIRONMENT}}}-{system.name}-{resource.logical_id}-{kind.id}{suffix}",
        queries=condition.queries,
        comparison=condition.comparison,
        threshold=threshold,
        evaluation_periods=n,
        datapoints_to_alarm=m,
        treat_missing_data=condition.treat_missing_data,
        description=_description(settings, system, title, kind.because, because, kind.source, kind.id, severity),
        actions=_actions(severity),
    )
    logical_id = camel(resource.logical_id, kind.id, condition.suffix)
    return PlannedAlarm(
        logical_id, alarm, kind.id, severity, title, kind.because, because, kind.source, resource.logical_id
    )


# Promises: window alarms, their tiers joined per severity; or one heartbeat alarm.


def _promises(
    system: System, settings: Settings
) -> tuple[tuple[PlannedSlo, ...], tuple[PlannedAlarm, ...], tuple[LeftOut, ...]]:
    promised: list[PlannedSlo] = []
    alarms: list[PlannedAlarm] = []
    left_out: list[LeftOut] = []
    for slo in system.slos:
        if slo.objective is None:
            heartbeat = _heartbeat(system, settings, slo)
            alarms.append(heartbeat)
            promised.append(PlannedSlo(slo, (), (), {Severity.PAGE: heartbeat.logical_id}))
            continue
        reachable, unreachable = tiers(slo)
        composites: dict[Severity, str] = {}
        for severity in Severity:
            own = tuple(tier for tier in reachable if tier.severity is severity)
            if own:
                windows = tuple(window for tier in own for window in _windows(system, settings, slo, tier))
                composite = _composite(system, settings, slo, severity, own, composites.get(Severity.PAGE))
                alarms.extend((composite, *windows))
                composites[severity] = composite.logical_id
        promised.append(PlannedSlo(slo, reachable, unreachable, composites))
        left_out.extend(LeftOut(slo.name, f"burn-{_short(tier.long_window)}", tier.reason) for tier in unreachable)
    return tuple(promised), tuple(alarms), tuple(left_out)


def _kind(slo: Slo) -> str:
    return f"slo-{slo.sli.kind.value}"


def _windows(system: System, settings: Settings, slo: Slo, tier: Tier) -> Iterator[PlannedAlarm]:
    for which, window in (("long", tier.long_window), ("short", tier.short_window)):
        queries, comparison, threshold = window_condition(slo, tier, window, gated=which == "long")
        because = (
            f"a burn rate of {format_number(tier.burn_rate)}: more than {format_number(tier.bad_ratio * 100)} % bad "
            f"where the budget is {format_number(slo.error_budget * 100)} %"
        )
        title = f"{slo.name}: budget burns {format_number(tier.burn_rate)} times as fast as allowed over {format_duration(window)}"
        clipped = (
            ". CloudWatch evaluates it once an hour, on data up to the full hour" if window > timedelta(days=1) else ""
        )
        alarm = Alarm(
            name=_window_name(system, slo, tier, which),
            queries=queries,
            comparison=comparison,
            threshold=threshold,
            evaluation_periods=1,
            datapoints_to_alarm=1,
            treat_missing_data=TreatMissingData.NOT_BREACHING,
            description=_description(
                settings,
                system,
                title,
                "it feeds the composite alarm of this SLO and tells nobody itself" + clipped,
                because,
                WORKBOOK,
                _kind(slo),
                None,
            ),
        )
        yield PlannedAlarm(
            logical_id=camel(slo.name, f"burn-{_short(tier.long_window)}-{which}"),
            alarm=alarm,
            kind=_kind(slo),
            severity=None,
            title=title,
            because=slo.because,
            threshold_because=because,
            source=WORKBOOK,
            resource=slo.sli.resource.logical_id,
            slo=slo.name,
        )


def _window_name(system: System, slo: Slo, tier: Tier, which: str) -> str:
    return f"${{{ENVIRONMENT}}}-{system.name}-{slo.name}-burn-{_short(tier.long_window)}-{which}"


def _composite(
    system: System, settings: Settings, slo: Slo, severity: Severity, own: tuple[Tier, ...], page: str | None
) -> PlannedAlarm:
    rule = " OR ".join(
        f'(ALARM("{_window_name(system, slo, tier, "long")}") AND ALARM("{_window_name(system, slo, tier, "short")}"))'
        for tier in own
    )
    spoken = " or ".join(
        f"{format_number(tier.burn_rate)} over {format_duration(tier.long_window)} and {format_duration(tier.short_window)}"
        for tier in own
    )
    because = f"burn rate above {spoken}"
    what = f"{format_ratio(slo.objective)} {slo.sli.good}" if slo.objective is not None else slo.sli.good
    title = f"{slo.name}: the error budget burns too fast"
    promise = f"promised: {what} over {format_duration(slo.window)}" if slo.window is not None else ""
    composite = CompositeAlarm(
        name=f"${{{ENVIRONMENT}}}-{system.name}-{slo.name}-{severity.value}",
        rule=rule,
        description=_description(
            settings, system, title, slo.because or promise, because, WORKBOOK, _kind(slo), severity
        ),
        actions=_actions(severity),
        suppressor=f"${{{ENVIRONMENT}}}-{system.name}-{slo.name}-{Severity.PAGE.value}" if page else None,
        suppressor_wait=_SUPPRESSOR_SECONDS if page else 0,
        suppressor_extension=_SUPPRESSOR_SECONDS if page else 0,
    )
    return PlannedAlarm(
        logical_id=camel(slo.name, severity.value),
        alarm=composite,
        kind=_kind(slo),
        severity=severity,
        title=title,
        because=slo.because or promise,
        threshold_because=because,
        source=WORKBOOK,
        resource=slo.sli.resource.logical_id,
        slo=slo.name,
    )


def _heartbeat(system: System, settings: Settings, slo: Slo) -> PlannedAlarm:
    queries, comparison, threshold, window = heartbeat_condition(slo)
    length = timedelta(seconds=window.period * window.periods)
    because = f"no successful run in {format_duration(length)}"
    if length > timedelta(days=1):
        because += "; CloudWatch evaluates it once an hour, on data up to the full hour"
    title = f"{slo.name}: no run has succeeded in time"
    alarm = Alarm(
        name=f"${{{ENVIRONMENT}}}-{system.name}-{slo.name}-{Severity.PAGE.value}",
        queries=queries,
        comparison=comparison,
        threshold=threshold,
        evaluation_periods=window.periods,
        datapoints_to_alarm=window.periods,
        treat_missing_data=TreatMissingData.BREACHING,
        description=_description(
            settings, system, title, slo.because, because, slo.sli.source, _kind(slo), Severity.PAGE
        ),
        actions=_actions(Severity.PAGE),
    )
    return PlannedAlarm(
        logical_id=camel(slo.name, Severity.PAGE.value),
        alarm=alarm,
        kind=_kind(slo),
        severity=Severity.PAGE,
        title=title,
        because=slo.because,
        threshold_because=because,
        source=slo.sli.source,
        resource=slo.sli.resource.logical_id,
        slo=slo.name,
    )


# Texts and names.


def _actions(severity: Severity) -> Actions:
    topic = (f"${{{TOPIC_PARAMETERS[severity]}}}",)
    return Actions(alarm=topic, ok=topic)


def _description(
    settings: Settings,
    system: System,
    title: str,
    because: str,
    threshold_because: str,
    source: str,
    kind: str,
    severity: Severity | None,
) -> str:
    lines = [f"{title}.", f"Threshold: {threshold_because}."]
    if because:
        lines.append(f"Why: {because.rstrip('.')}.")
    if severity is not None:
        lines.append(f"Severity: {severity.value}. Owner: {system.owner}. System: {system.name}.")
    lines.append(f"Runbook: {settings.runbooks.rstrip('/')}/{kind}.md")
    if settings.dashboards:
        lines.append(f"Dashboard: {settings.dashboards.rstrip('/')}/d/{dashboard_uid(system.name)}")
    lines.append(f"Source: {source}")
    # Texts that people wrote must not be taken for placeholders of the template.
    return "\n".join(lines).replace("${", "${!")


def dashboard_uid(system: str) -> str:
    """The stable id of a system's dashboard; Grafana allows 40 characters."""
    return f"tocsin-{system}"[:40]


_WORD = re.compile(r"[A-Za-z0-9]+")


def camel(*parts: str) -> str:
    """A logical id from names: ``camel("Api-availability", "burn-1h-long")`` is ``ApiAvailabilityBurn1hLong``."""
    return "".join(word[0].upper() + word[1:] for part in parts for word in _WORD.findall(part))


def _short(window: timedelta) -> str:
    hours = window // timedelta(hours=1)
    return f"{hours // 24}d" if hours % 24 == 0 else f"{hours}h"


# Parameters.

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z0-9]+)\}")


def _name_parameters(system: System, alarms: Iterable[PlannedAlarm]) -> tuple[NameParameter, ...]:
    """One for each physical name that a dimension of any alarm needs."""
    used = {
        name
        for planned in alarms
        if isinstance(planned.alarm, Alarm)
        for metric in planned.alarm.metrics
        for _, value in metric.dimensions
        for name in _PLACEHOLDER.findall(value)
    }
    # A stage's alarms also need the name of its API, which need not be watched itself: hence the surroundings.
    resources = {resource.logical_id: resource for resource in system.resources}
    for resource in system.resources:
        for logical_id, other in resource.surroundings.items():
            resources.setdefault(logical_id, other)
    found = []
    for logical_id, resource in sorted(resources.items()):
        name = parameter_name(logical_id)
        entry = CATALOG.get(resource.type)
        if name in used and entry is not None:
            found.append(
                NameParameter(
                    name=name,
                    logical_id=logical_id,
                    type=resource.type,
                    source=entry.name_source,
                    default=resource.name,
                    description=f"Name of the {entry.title} {logical_id}",
                )
            )
    missing = used - {parameter.name for parameter in found}
    if missing:
        raise PlanError(f"system {system.name}: no resource gives the name for {', '.join(sorted(missing))}")
    return tuple(found)


def _refuse_twins(system: System, alarms: Iterable[PlannedAlarm]) -> None:
    seen: dict[str, str] = {}
    for planned in alarms:
        if planned.logical_id in seen:
            raise PlanError(
                f"system {system.name}: {planned.title!r} and {seen[planned.logical_id]!r} "
                f"would both be {planned.logical_id}; give one SLO another name"
            )
        seen[planned.logical_id] = planned.title
