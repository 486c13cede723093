"""Links between dashboards and to runbooks, and the marks of alarms and deployments on every graph."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from grafanalib.core import DashboardLink

from ...plan import ENVIRONMENT, Settings, dashboard_uid
from .names import STACK, Names
from .targets import DATASOURCE, REGION

TAG = "tocsin"
OVERVIEW_NAME = "slo-overview"
OVERVIEW_UID = dashboard_uid(OVERVIEW_NAME)
# Keeps data source, region, environment and time range when following a link.
_CARRY = (
    f"${{cloudwatch_datasource:queryparam}}&${{region:queryparam}}&${{{ENVIRONMENT}:queryparam}}&${{__url_time_range}}"
)


def systems_dropdown() -> DashboardLink:
    """All dashboards of all systems."""
    return DashboardLink(
        type="dashboards", title="Systems", tags=[TAG], asDropdown=True, includeVars=False, keepTime=True
    )


def overview_link(names: Names | None) -> DashboardLink:
    """From a system up to the overview of promises; ``names`` are the overview's for it, if it shows one stack."""
    return DashboardLink(
        type="link",
        title="SLO overview",
        uri=f"/d/{OVERVIEW_UID}?{_CARRY}" + (f"&var-{names.stack}=${{{STACK}}}" if names else ""),
        tooltip="The promises of all systems",
        icon="dashboard",
        keepTime=False,
    )


def system_data_link(system: str, names: Names | None) -> dict[str, Any]:
    """From a tile of the overview down to the system; ``names`` are the overview's for it, if it shows one stack."""
    return {
        "title": f"Open {system}",
        "url": f"/d/{dashboard_uid(system)}?{_CARRY}" + (f"&var-{STACK}=${{{names.stack}}}" if names else ""),
        "targetBlank": False,
    }


def runbook_links(settings: Settings, kinds: Iterable[str]) -> list[dict[str, Any]]:
    """One link for each runbook; none while the runbooks have no address, for a relative one would lead nowhere."""
    if not _has_address(settings):
        return []
    return [
        {"title": f"Runbook: {kind}", "url": f"{settings.runbooks.rstrip('/')}/{kind}.md", "targetBlank": True}
        for kind in dict.fromkeys(kinds)
    ]


def runbook_text(settings: Settings, kinds: Iterable[str]) -> str:
    """The runbooks as a sentence of a panel's description, where they can be no links."""
    files = [f"{settings.runbooks.rstrip('/')}/{kind}.md" for kind in dict.fromkeys(kinds)]
    if not files or _has_address(settings):
        return ""
    return f" Runbook: {', '.join(files)}."


def _has_address(settings: Settings) -> bool:
    return "://" in settings.runbooks or settings.runbooks.startswith("/")


def marks(system: str | None) -> list[dict[str, Any]]:
    """Grafana's own marks, deployments and, for one system, the history of its alarms.

    CloudWatch is asked by prefix, and in that mode Grafana skips the query unless both prefixes are given: hence the
    action prefix.  Grafana reads metric alarms only, so the state of a composite shows in the panels, not as a mark.
    """
    found: list[dict[str, Any]] = [
        {
            "name": "Annotations & Alerts",
            "builtIn": 1,
            "type": "dashboard",
            "datasource": {"type": "grafana", "uid": "-- Grafana --"},
            "enable": True,
            "hide": True,
            "iconColor": "rgba(0, 211, 255, 1)",
        },
        {
            "name": "Deployments",
            "datasource": {"type": "grafana", "uid": "-- Grafana --"},
            "enable": True,
            "hide": False,
            "iconColor": "blue",
            "target": {
                "type": "tags",
                "tags": ["deploy", system] if system else ["deploy"],
                "limit": 100,
                "matchAny": False,
            },
        },
    ]
    if system:
        found.append(
            {
                "name": "CloudWatch alarms",
                "datasource": DATASOURCE,
                "enable": True,
                "hide": False,
                "iconColor": "red",
                "target": {
                    "refId": "Anno",
                    "queryMode": "Annotations",
                    "region": REGION,
                    "prefixMatching": True,
                    "actionPrefix": "arn:aws",
                    "alarmNamePrefix": f"${{{ENVIRONMENT}}}-{system}-",
                    "namespace": "",
                    "metricName": "",
                    "dimensions": {},
                    "statistic": "",
                },
            }
        )
    return found
