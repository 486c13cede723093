"""Declared systems as OpenSLO v1 documents, and a line for each thing that OpenSLO cannot say."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from ..burn_rate import Tier, tiers
from ..model import Ranked, Severity, SinceSuccess, Slo, System
from .documents import decimals
from .indicator import SOURCE_NAME, SOURCE_TYPE, ratio_metric
from .mapping import PREFIX, VERSION

# OpenSLO v1, General Schema: names follow RFC 1123 and have at most 63 characters; texts that describe 1,050.
NAME_LENGTH, TEXT_LENGTH = 63, 1050
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Exported:
    """The documents, and what is not in them."""

    documents: tuple[dict[str, Any], ...]
    left_out: tuple[str, ...]


@dataclass(slots=True)
class _Export:
    left_out: list[str] = field(default_factory=list)
    conditions: dict[str, dict[str, Any]] = field(default_factory=dict)
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    targets: dict[str, dict[str, Any]] = field(default_factory=dict)
    names: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

    def name(self, kind: str, *parts: str) -> str:
        """The name of a document; no two of a kind share one."""
        name = document_name(*parts)
        if self.names.setdefault((kind, name), parts) != parts:
            name = document_name(*parts, apart=True)
        return name

    def text(self, what: str, text: str) -> str:
        """``text``, cut where OpenSLO cuts it."""
        if len(text) <= TEXT_LENGTH:
            return text
        self.left_out.append(
            f"{what}: {len(text) - TEXT_LENGTH + 1} characters over OpenSLO's limit of 1,050 are cut off"
        )
        return f"{text[: TEXT_LENGTH - 1]}…"


def export(systems: Iterable[System]) -> Exported:
    """The documents of the systems, in an order that depends on nothing but them.  Raises PlanError."""
    run = _Export()
    documents: list[dict[str, Any]] = []
    for system in sorted(systems, key=lambda one: one.name):
        documents += _system(run, system)
    shared = [*run.conditions.values(), *run.policies.values(), *run.targets.values()]
    shared.sort(key=lambda one: (one["kind"], one["metadata"]["name"]))
    if documents:
        source = {"type": SOURCE_TYPE, "connectionDetails": {}}
        documents.insert(0, _document("DataSource", SOURCE_NAME, source, shown="Amazon CloudWatch"))
    return Exported((*documents, *shared), tuple(run.left_out))


def document_name(*parts: str, apart: bool = False) -> str:
    """A name that RFC 1123 allows; a digest keeps it apart from others where it is too long, or ``apart`` asks for it."""
    name = _NOT_IN_NAMES.sub("-", "-".join(parts).lower()).strip("-")
    if name and len(name) <= NAME_LENGTH and not apart:
        return name
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]
    return f"{name[: NAME_LENGTH - 9].strip('-')}-{digest}".lstrip("-")


def shorthand(value: timedelta) -> str:
    """A whole number of minutes as OpenSLO writes a duration."""
    minutes = value // timedelta(minutes=1)
    for unit, size in (("d", 1440), ("h", 60)):
        if minutes % size == 0 and minutes:
            return f"{minutes // size}{unit}"
    return f"{minutes}m"


def _system(run: _Export, system: System) -> list[dict[str, Any]]:
    name = run.name("Service", system.name)
    notes = {"system": system.name} if name != system.name else {}
    if system.template:
        notes["template"] = system.template
    spec = {"description": run.text(system.name, system.description)} if system.description else {}
    service = _document("Service", name, spec, labels={"owner": system.owner}, notes=notes)
    found = [service]
    for slo in system.slos:
        found += _slo(run, system, slo, name)
    beside = [
        f"{len(these)} {noun}{'' if len(these) == 1 else 's'}"
        for these, noun in ((system.overrides, "override"), (system.reports, "reported metric"))
        if these
    ]
    if beside:
        run.left_out.append(f"{system.name}: {' and '.join(beside)}: not about an SLO")
    if any(one["kind"] == "SLO" for one in found):
        for what, because in (
            ("short windows of its burn-rate alarms", "other tools look at the long ones alone"),
            ("least numbers of bad events", "other tools do not wait for them"),
        ):
            run.left_out.append(f"{system.name}: {what}: kept in annotations; {because}")
    return found


def _slo(run: _Export, system: System, slo: Slo, service: str) -> list[dict[str, Any]]:
    what, measure = f"{system.name}/{slo.name}", slo.sli.measure
    if isinstance(measure, SinceSuccess) or slo.objective is None or slo.window is None:
        run.left_out.append(f"{what}: {slo.sli.kind.value} is kept or broken; OpenSLO knows shares only")
        return []
    target = decimals(slo.objective)
    if target is None:
        run.left_out.append(f"{what}: an objective of {slo.objective} ends in no decimal, which OpenSLO's target is")
        return []
    name = run.name("SLO", system.name, slo.name)
    notes = {
        "kind": slo.sli.kind.value,
        "minimum-bad-events": str(slo.minimum_bad_events),
        "resource": slo.sli.resource.logical_id,
        **({"unit": measure.unit} if isinstance(measure, Ranked) and measure.unit else {}),
    }
    shown = slo.name if len(slo.name) <= NAME_LENGTH else ""
    if not shown:
        notes["slo"] = slo.name
    indicator = {
        "description": run.text(f"{what}: what is counted", f"the share of {slo.sli.good}"),
        "ratioMetric": ratio_metric(measure),
    }
    spec: dict[str, Any] = {"description": run.text(what, slo.because)} if slo.because else {}
    spec |= {
        "service": service,
        "indicatorRef": name,
        "timeWindow": [{"duration": shorthand(slo.window), "isRolling": True}],
        "budgetingMethod": "Occurrences",
        "objectives": [{"target": target}],
        "alertPolicies": [{"alertPolicyRef": _policy(run, system.owner, slo.window, tier)} for tier in tiers(slo)[0]],
    }
    return [
        _document("SLI", name, indicator, shown=shown),
        _document("SLO", name, spec, shown=shown, notes=notes),
    ]


def _policy(run: _Export, owner: str, window: timedelta, tier: Tier) -> str:
    """The name of the policy of one tier; the documents it needs are made once."""
    length, severity = shorthand(tier.long_window), tier.severity.value
    condition = run.name("AlertCondition", "burn", shorthand(window), length, severity)
    run.conditions[condition] = _document(
        "AlertCondition",
        condition,
        {
            "severity": severity,
            "condition": {
                "kind": "burnrate",
                "op": "gt",
                "threshold": decimals(tier.burn_rate),
                "lookbackWindow": length,
                "alertAfter": "0m",
            },
        },
        notes={"short-window": shorthand(tier.short_window)},
    )
    target = run.name("AlertNotificationTarget", owner, severity)
    told = "Pages" if tier.severity is Severity.PAGE else "Opens a ticket for"
    run.targets[target] = _document(
        "AlertNotificationTarget", target, {"description": f"{told} the team {owner}.", "target": "sns"}
    )
    policy = run.name("AlertPolicy", owner, shorthand(window), length, severity)
    run.policies[policy] = _document(
        "AlertPolicy",
        policy,
        {
            "alertWhenNoData": False,
            "alertWhenResolved": True,
            "alertWhenBreaching": True,
            "conditions": [{"conditionRef": condition}],
            "notificationTargets": [{"targetRef": target}],
        },
    )
    return policy


def _document(
    kind: str,
    name: str,
    spec: dict[str, Any],
    *,
    shown: str = "",
    labels: dict[str, str] | None = None,
    notes: dict[str, str] | None = None,
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name}
    if shown:
        metadata["displayName"] = shown
    if labels:
        metadata["labels"] = labels
    if notes:
        metadata["annotations"] = {f"{PREFIX}{key}": notes[key] for key in sorted(notes)}
    return {"apiVersion": VERSION, "kind": kind, "metadata": metadata, "spec": spec}
