"""Tocsin: observability as code for AWS.  The public names, nothing else; each is loaded when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .declare import availability, completeness, discover, freshness, heartbeat, latency, override
    from .errors import TocsinError
    from .model import Severity, System
    from .own_metrics import counted, ranked, report, succeeded

_HOMES = {
    "Severity": "model",
    "System": "model",
    "TocsinError": "errors",
    "availability": "declare",
    "completeness": "declare",
    "counted": "own_metrics",
    "discover": "declare",
    "freshness": "declare",
    "heartbeat": "declare",
    "latency": "declare",
    "override": "declare",
    "ranked": "own_metrics",
    "report": "own_metrics",
    "succeeded": "own_metrics",
}

__all__ = [
    "Severity",
    "System",
    "TocsinError",
    "availability",
    "completeness",
    "counted",
    "discover",
    "freshness",
    "heartbeat",
    "latency",
    "override",
    "ranked",
    "report",
    "succeeded",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tocsin' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
