"""What OpenSLO v1 asks of a document, written from its specification (README of github.com/OpenSLO/OpenSLO).

The JSON schemas that are published beside it cannot be met in places: an entry of ``conditions`` has to have a
``duration``, which no text mentions, and ``ratioMetric`` is spelt ``rationMetric``.  So these rules are from the text.
"""

from __future__ import annotations

import re
from typing import Any

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
LABEL = re.compile(r"[a-zA-Z0-9]([-._a-zA-Z0-9]{0,61}[a-zA-Z0-9])?")
ANNOTATION = re.compile(
    r"([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*/)?[a-zA-Z0-9]([-._a-zA-Z0-9]{0,61}[a-zA-Z0-9])?"
)
DURATION = re.compile(r"[0-9]+[mhdwMQY]")
FIELDS = {
    "DataSource": {"description": str, "type": str, "connectionDetails": dict},
    "Service": {"description": str},
    "SLI": {"description": str, "thresholdMetric": dict, "ratioMetric": dict},
    "SLO": {
        "description": str,
        "service": str,
        "indicator": dict,
        "indicatorRef": str,
        "timeWindow": list,
        "budgetingMethod": str,
        "objectives": list,
        "alertPolicies": list,
    },
    "AlertPolicy": {
        "description": str,
        "alertWhenNoData": bool,
        "alertWhenResolved": bool,
        "alertWhenBreaching": bool,
        "conditions": list,
        "notificationTargets": list,
    },
    "AlertCondition": {"description": str, "severity": str, "condition": dict},
    "AlertNotificationTarget": {"description": str, "target": str},
}
REQUIRED = {
    "DataSource": {"type"},
    "SLO": {"service", "budgetingMethod", "objectives"},
    "AlertPolicy": {"conditions", "notificationTargets"},
    "AlertCondition": {"severity", "condition"},
    "AlertNotificationTarget": {"target"},
}


def problems(documents: list[Any]) -> list[str]:
    """Everything that the specification would not have, over all documents together; references among them."""
    found: list[str] = []
    known = {(one["kind"], one["metadata"]["name"]) for one in documents}
    if len(known) != len(documents):
        found.append("two documents of one kind share a name")
    for one in documents:
        kind, metadata, spec = one["kind"], one["metadata"], one["spec"]
        where = f"{kind} {metadata['name']}"
        found += [f"{where}: {said}" for said in _header(one, metadata)]
        found += [f"{where}: {key} is no field" for key in spec.keys() - FIELDS[kind].keys()]
        found += [f"{where}: {key} is missing" for key in REQUIRED.get(kind, set()) - spec.keys()]
        found += [
            f"{where}: {key} of a wrong type"
            for key in spec
            if not isinstance(spec[key], FIELDS[kind].get(key, object))
        ]
        if len(spec.get("description", "")) > 1050:
            found.append(f"{where}: description too long")
        found += [f"{where}: {said}" for said in RULES.get(kind, lambda spec, known: [])(spec, known)]
    return found


def _header(one: Any, metadata: Any) -> list[str]:
    found = []
    if one.keys() != {"apiVersion", "kind", "metadata", "spec"} or one["apiVersion"] != "openslo/v1":
        found.append("header")
    if metadata.keys() - {"name", "displayName", "labels", "annotations"}:
        found.append("a field of metadata that is none")
    if not NAME.fullmatch(metadata["name"]):
        found.append("name is not of RFC 1123")
    if len(metadata.get("displayName", "")) > 63:
        found.append("displayName too long")
    found += [
        f"label {key}"
        for key, value in metadata.get("labels", {}).items()
        if not LABEL.fullmatch(key) or not isinstance(value, str)
    ]
    found += [
        f"annotation {key}"
        for key, value in metadata.get("annotations", {}).items()
        if not ANNOTATION.fullmatch(key) or not isinstance(value, str)
    ]
    return found


def _sli(spec: Any, known: Any) -> list[str]:
    if ("thresholdMetric" in spec) == ("ratioMetric" in spec):
        return ["thresholdMetric or ratioMetric"]
    ratio = spec.get("ratioMetric")
    if ratio is None:
        return []
    found = [] if isinstance(ratio["counter"], bool) else ["counter"]
    if ("good" in ratio) == ("bad" in ratio) or "total" not in ratio:
        found.append("good or bad, and total")
    for role in ("good", "bad", "total"):
        source = ratio.get(role, {}).get("metricSource")
        if source is None:
            continue
        if ("DataSource", source.get("metricSourceRef")) not in known or not source.get("spec"):
            found.append(f"{role}: metricSource")
    return found


def _slo(spec: Any, known: Any) -> list[str]:
    found = []
    if ("indicator" in spec) == ("indicatorRef" in spec) or ("SLI", spec.get("indicatorRef")) not in known:
        found.append("indicator")
    if ("Service", spec["service"]) not in known:
        found.append("service")
    if len(spec["timeWindow"]) != 1 or not DURATION.fullmatch(spec["timeWindow"][0]["duration"]):
        found.append("timeWindow")
    if spec["budgetingMethod"] not in ("Occurrences", "Timeslices", "RatioTimeslices"):
        found.append("budgetingMethod")
    for objective in spec["objectives"]:
        if ("target" in objective) == ("targetPercent" in objective) or not 0 <= objective.get("target", 0) < 1:
            found.append("target")
    found += [
        f"policy {one['alertPolicyRef']}"
        for one in spec["alertPolicies"]
        if ("AlertPolicy", one["alertPolicyRef"]) not in known
    ]
    return found


def _policy(spec: Any, known: Any) -> list[str]:
    found = [] if len(spec["conditions"]) == 1 else ["exactly one condition"]
    found += ["condition" for one in spec["conditions"] if ("AlertCondition", one["conditionRef"]) not in known]
    targets = spec["notificationTargets"]
    found += [] if targets else ["no target"]
    found += ["target" for one in targets if ("AlertNotificationTarget", one["targetRef"]) not in known]
    return found


def _condition(spec: Any, known: Any) -> list[str]:
    condition = spec["condition"]
    found = [] if condition["kind"] == "burnrate" else ["kind"]
    found += [] if condition.get("op") in ("lte", "gte", "lt", "gt") else ["op"]
    found += [] if isinstance(condition["threshold"], int | float) else ["threshold"]
    return found + [key for key in ("lookbackWindow", "alertAfter") if not DURATION.fullmatch(condition[key])]


RULES = {"SLI": _sli, "SLO": _slo, "AlertPolicy": _policy, "AlertCondition": _condition}
