"""OpenSLO v1 documents as values: services and their SLOs, held against the specification line by line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ..errors import InputError, nearest
from .mapping import PREFIX, VERSION
from .node import LeftOutError, Node, read_documents

_KINDS = ("AlertCondition", "AlertNotificationTarget", "AlertPolicy", "DataSource", "SLI", "SLO", "Service")
# General Schema: what implementations are encouraged to take, in capital letters too.
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._|/\\-]{0,253}[A-Za-z0-9])?")
_DURATION = re.compile(r"([1-9][0-9]{0,5})([mhdwMQY])")
_DAYS = {"m": Fraction(1, 1440), "h": Fraction(1, 24), "d": Fraction(1), "w": Fraction(7)}
_METHODS = ("Occurrences", "Timeslices", "RatioTimeslices")


@dataclass(frozen=True, slots=True)
class ReadService:
    """One service, and its SLOs in their order."""

    name: str
    owner: str | None
    description: str
    template: str | None
    slos: tuple[ReadSlo, ...]


@dataclass(frozen=True, slots=True)
class ReadSlo:
    """One SLO.  ``notes`` are Tocsin's annotations without their prefix; ``shown`` is its displayName.

    ``conditions`` are the ``spec`` of each condition that its alert policies name; None for one in none of the files.
    """

    name: str
    shown: str | None
    notes: Mapping[str, str]
    spec: Node
    indicator: Node | None
    description: str
    conditions: tuple[Node | None, ...] = ()

    @property
    def what(self) -> str:
        """How a line names it."""
        return self.notes.get("slo") or self.shown or self.name

    def told_by(self) -> set[tuple[str, Fraction, Fraction] | None]:
        """Severity, burn rate and days of the window of each of its alerts; None for one that is no such thing."""
        found: set[tuple[str, Fraction, Fraction] | None] = set()
        for spec in self.conditions:
            condition = spec.get("condition") if spec is not None else None
            length = condition.optional_text("lookbackWindow") if condition is not None else None
            match = _DURATION.fullmatch(length or "")
            if spec is None or condition is None or match is None or match[2] not in _DAYS:
                found.add(None)
            else:
                days = int(match[1]) * _DAYS[match[2]]
                found.add((spec.need("severity").text(), condition.need("threshold").number(), days))
        return found

    def window(self) -> Fraction:
        """Days of its rolling window.  Raises LeftOutError and InputError."""
        windows = list(self.spec.need("timeWindow").items()) if self.spec.has("timeWindow") else []
        if not windows:
            raise LeftOutError("it has no time window")
        if len(windows) > 1:
            raise windows[1].error("a time window too many; OpenSLO takes one")
        (window,) = windows
        window.keys("duration", "isRolling", "calendar")
        length = window.need("duration")
        match = _DURATION.fullmatch(length.text())
        if match is None:
            raise length.error(f"not a duration: {length.text()!r}; write it as 28d")
        rolling = window.get("isRolling")
        if rolling is not None and rolling.boolean() and window.has("calendar"):
            raise window.error("isRolling: true and calendar, one of the two")
        if window.has("calendar") or rolling is None or not rolling.boolean():
            raise LeftOutError("its window is of the calendar; burn rates need a rolling one")
        if match[2] not in _DAYS:
            raise LeftOutError(f"its window of {length.text()} has no fixed length; burn rates need one in days")
        return int(match[1]) * _DAYS[match[2]]

    def objective(self) -> Fraction:
        """Its target, exactly.  Raises LeftOutError and InputError."""
        method = self.spec.need("budgetingMethod")
        if method.text() not in _METHODS:
            raise method.error(f"{method.text()!r}; {nearest(method.text(), _METHODS)}")
        if method.text() != "Occurrences":
            raise LeftOutError(f"it counts {method.text()}; Tocsin counts events (Occurrences)")
        objectives = list(self.spec.need("objectives").items())
        if not objectives:
            raise self.spec.need("objectives").error("needs one entry")
        if any(one.has("indicator") or one.has("indicatorRef") for one in objectives):
            raise LeftOutError("it is composed of several indicators; Tocsin has one for each SLO")
        if len(objectives) > 1:
            raise LeftOutError(f"it has {len(objectives)} objectives; Tocsin has one for each SLO")
        (only,) = objectives
        only.keys("displayName", "op", "value", "target", "targetPercent", "timeSliceTarget", "timeSliceWindow")
        if only.has("target") == only.has("targetPercent"):
            raise only.error("give target or targetPercent, one of the two")
        given = only.get("target") or only.need("targetPercent")
        share = given.number() / (1 if only.has("target") else 100)
        if not 0 <= share < 1:
            raise given.error(f"{given.text()} is not from 0 up to, but not, {'1' if only.has('target') else '100'}")
        return share


@dataclass(frozen=True, slots=True)
class ReadFiles:
    """What all the files hold.  ``sources`` are the types of data sources by name."""

    services: tuple[ReadService, ...]
    sources: Mapping[str, str]


def read_files(paths: Iterable[Path]) -> ReadFiles:
    """Read OpenSLO files together, so that one may refer to what another holds.  Raises InputError."""
    found: dict[tuple[str, str], Node] = {}
    for path in paths:
        for document in read_documents(path):
            kind, name = _kind(document), _name(document)
            if (kind, name) in found:
                before = found[kind, name]
                raise document.error(f"{kind} {name!r} stands in {before.file}:{before.line} too; rename one")
            found[kind, name] = document
    slos = {name: _slo(name, node, found) for (kind, name), node in found.items() if kind == "SLO"}
    if not slos:
        raise InputError(f"{next(iter(found.values())).file}: holds no SLO; give the files that do")
    sources = {
        name: node.need("spec").need("type").text() for (kind, name), node in found.items() if kind == "DataSource"
    }
    by_service: dict[str, list[ReadSlo]] = {}
    for slo in slos.values():
        by_service.setdefault(slo.spec.need("service").text(), []).append(slo)
    return ReadFiles(tuple(_service(name, found, these) for name, these in by_service.items()), sources)


def _kind(document: Node) -> str:
    document.keys("apiVersion", "kind", "metadata", "spec")
    version, kind = document.need("apiVersion"), document.need("kind")
    if version.text() != VERSION:
        raise version.error(f"{version.text()!r} is not read; write {VERSION}")
    if kind.text() not in _KINDS:
        raise kind.error(f"{kind.text()!r} is none of OpenSLO v1; {nearest(kind.text(), _KINDS)}")
    return kind.text()


def _name(document: Node) -> str:
    document.need("metadata").keys("name", "displayName", "labels", "annotations")
    name = document.need("metadata").need("name")
    if not _NAME.fullmatch(name.text()):
        raise name.error(f"{name.text()!r} is no name; use letters, digits and '-'")
    return name.text()


def _notes(document: Node) -> dict[str, str]:
    annotations = document.need("metadata").get("annotations")
    if annotations is None:
        return {}
    found = {key: annotations.need(key).text() for key in annotations.names() if key.startswith(PREFIX)}
    return {key.removeprefix(PREFIX): value for key, value in found.items()}


def _slo(name: str, document: Node, found: Mapping[tuple[str, str], Node]) -> ReadSlo:
    spec = document.need("spec")
    spec.keys(
        "description",
        "service",
        "indicator",
        "indicatorRef",
        "timeWindow",
        "budgetingMethod",
        "objectives",
        "alertPolicies",
    )
    if spec.has("indicator") and spec.has("indicatorRef"):
        raise spec.error("indicator and indicatorRef, one of the two")
    spec.need("service").text()
    reference = spec.optional_text("indicatorRef")
    holder = found.get(("SLI", reference)) if reference is not None else spec.get("indicator")
    indicator = None if holder is None else holder.need("spec")
    if indicator is not None:
        indicator.keys("description", "thresholdMetric", "ratioMetric")
        if indicator.has("thresholdMetric") == indicator.has("ratioMetric"):
            raise indicator.error("give thresholdMetric or ratioMetric, one of the two")
    shown = document.need("metadata").optional_text("displayName")
    description = spec.optional_text("description") or ""
    return ReadSlo(name, shown, _notes(document), spec, indicator, description, tuple(_conditions(spec, found)))


def _conditions(spec: Node, found: Mapping[tuple[str, str], Node]) -> Iterator[Node | None]:
    policies = spec.get("alertPolicies")
    for policy in policies.items() if policies is not None else ():
        inside = _resolved(policy, "alertPolicyRef", "AlertPolicy", found)
        conditions = None if inside is None else inside.get("conditions")
        if conditions is None:
            yield None
        else:
            yield from (_resolved(one, "conditionRef", "AlertCondition", found) for one in conditions.items())


def _resolved(entry: Node, key: str, kind: str, found: Mapping[tuple[str, str], Node]) -> Node | None:
    """The ``spec`` of what stands there itself, or of what it refers to."""
    reference = entry.optional_text(key)
    holder = entry if reference is None else found.get((kind, reference))
    return None if holder is None else holder.get("spec")


def _service(name: str, found: Mapping[tuple[str, str], Node], slos: Iterable[ReadSlo]) -> ReadService:
    document = found.get(("Service", name))
    if document is None:  # "may refer (depends on implementation) to existing object Kind: Service"
        return ReadService(name, None, "", None, tuple(slos))
    labels, notes = document.need("metadata").get("labels"), _notes(document)
    owner = labels.get("owner") if labels is not None else None
    description = document.need("spec").optional_text("description") or ""
    return ReadService(
        notes.get("system", name),
        None if owner is None or owner.is_list else owner.text(),
        description,
        notes.get("template"),
        tuple(slos),
    )
