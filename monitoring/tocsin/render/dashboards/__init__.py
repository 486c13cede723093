"""Plan → Grafana dashboards: the only package that imports grafanalib."""

from __future__ import annotations

from .normaliser import to_json
from .overview import slo_overview
from .system import system_dashboard

__all__ = ["slo_overview", "system_dashboard", "to_json"]
