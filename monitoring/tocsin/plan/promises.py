"""Alarms on promises: window alarms, their tiers joined for each severity; or one heartbeat alarm."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from ..alarm import Alarm, CompositeAlarm, TreatMissingData
from ..burn_rate import WORKBOOK, Tier, heartbeat_condition, tiers, window_condition
from ..model import Severity, Slo, System
from ..units import format_duration, format_number, format_ratio
from .decisions import ENVIRONMENT, LeftOut, PlannedAlarm, PlannedSlo, Settings
from .texts import actions, camel, description, short, where_measured

# A ticket is held back while the same SLO pages: seconds to wait for the page, and to hold after it ends.
# AWS advises 60 for each (User Guide, "Alarm suppression").
_SUPPRESSOR_SECONDS = 60


def promises(
    system: System, settings: Settings
) -> tuple[tuple[PlannedSlo, ...], tuple[PlannedAlarm, ...], tuple[LeftOut, ...]]:
    """The SLOs with their alarms, and the tiers that are out of reach.  Raises PlanError."""
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
        left_out.extend(LeftOut(slo.name, f"burn-{short(tier.long_window)}", tier.reason) for tier in unreachable)
    return tuple(promised), tuple(alarms), tuple(left_out)


def _kind(slo: Slo) -> str:
    return f"slo-{slo.sli.kind.value}"


def _watched(slo: Slo) -> tuple[str, ...]:
    return where_measured(slo.sli.resource.logical_id, slo.sli.metrics)


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
            description=description(
                settings,
                system,
                title,
                "it feeds the composite alarm of this SLO and tells nobody itself" + clipped,
                because,
                WORKBOOK,
                _kind(slo),
                None,
                _watched(slo),
            ),
        )
        yield PlannedAlarm(
            logical_id=camel(slo.name, f"burn-{short(tier.long_window)}-{which}"),
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
    return f"${{{ENVIRONMENT}}}-{system.name}-{slo.name}-burn-{short(tier.long_window)}-{which}"


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
        description=description(
            settings,
            system,
            title,
            slo.because or promise,
            because,
            WORKBOOK,
            _kind(slo),
            severity,
            _watched(slo),
            _in_numbers(slo),
        ),
        actions=actions(severity),
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


def _in_numbers(slo: Slo) -> str:
    """``api-availability, 99.9 % over 28 d``, or the name of a promise that is no share.  Programs read it (paging/alert.py)."""
    if slo.objective is None or slo.window is None:
        return slo.name
    return f"{slo.name}, {format_ratio(slo.objective)} over {format_duration(slo.window)}"


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
        description=description(
            settings,
            system,
            title,
            slo.because,
            because,
            slo.sli.source,
            _kind(slo),
            Severity.PAGE,
            _watched(slo),
            _in_numbers(slo),
        ),
        actions=actions(Severity.PAGE),
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
