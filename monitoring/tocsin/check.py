"""Findings: all checks over a project's committed files, or over one template that somebody else wrote."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from .checks.alarm_mistakes import alarm_mistakes
from .checks.never_fires import never_fires
from .checks.notifications import missing_runbooks, sealed_topics, unheard
from .checks.on_call import on_call
from .checks.quotas import alarm_quotas, plan_quotas, template_quotas
from .checks.source import Source, SourceAlarm, read_source
from .cloudformation.document import Document, load, parse
from .cost import PER_ALARM_METRIC, PER_COMPOSITE, PER_HIGH_RESOLUTION_METRIC, monthly_cost
from .errors import QuotaError, TemplateError
from .findings import Finding
from .model import Resource
from .plan import Plan
from .project import Project

# With these a template is too large for the library that makes it, so there is nothing to compare with.
_NOT_EVEN_MADE = ("T010", "T012")


@dataclass(frozen=True, slots=True)
class CostLine:
    """What the alarms of one SLO or resource cost a month."""

    system: str
    subject: str
    alarms: int
    usd: Decimal


@dataclass(frozen=True, slots=True)
class Report:
    """Findings in a fixed order, and the bill."""

    findings: tuple[Finding, ...]
    costs: tuple[CostLine, ...]

    @property
    def alarms(self) -> int:
        """How many alarms there are."""
        return sum(line.alarms for line in self.costs)

    @property
    def usd(self) -> Decimal:
        """US dollars a month."""
        return sum((line.usd for line in self.costs), Decimal(0))

    def as_json(self) -> dict[str, Any]:
        """For a machine: findings, and cost in US dollars a month."""
        return {
            "findings": [
                {"id": finding.id, "where": finding.where, "message": finding.message, "detail": finding.detail}
                for finding in self.findings
            ],
            "cost": {
                "usd_a_month": float(self.usd),
                "lines": [
                    {
                        "system": line.system,
                        "subject": line.subject,
                        "alarms": line.alarms,
                        "usd_a_month": float(line.usd),
                    }
                    for line in self.costs
                ],
            },
        }


def check_project(project: Project, plans: list[Plan], budget: float | None = None) -> Report:
    """Check what is committed against what is declared, and both against the limits and habits of CloudWatch.

    Raises InputError for a file that cannot be read and DeclarationError for owners that would share a topic.
    """
    from .workspace import compare, generate

    costs = tuple(line for plan in plans for line in _costs(plan))
    planned = {plan.system.name: tuple(plan_quotas(plan, _path(project, plan))) for plan in plans}
    too_large = tuple(one for some in planned.values() for one in some if one.id in _NOT_EVEN_MADE)
    if too_large:
        return Report(too_large, costs)
    try:
        generated = generate(plans, project)
    except QuotaError as error:
        return Report((Finding("T018", project.dashboards, str(error)),), costs)
    findings: list[Finding] = []
    for drift in compare(project.root, generated, (project.alarms, project.dashboards)):
        rule = {"missing": "T002", "belongs to no declared system": "T003"}.get(drift.what, "T001")
        findings.append(Finding(rule, drift.path, drift.what, drift.diff))
    texts = {file.path: file.text for file in generated}
    for plan in plans:
        path = _path(project, plan)
        if path in texts:
            document, size = _committed(project.root, path, texts[path])
            watched = {resource.logical_id: resource for resource in plan.system.resources}
            judged = list(_check(document, size, {}, watched))
            # The plan knows what a name can become in any environment, the template only its default.
            known = {(finding.id, finding.where) for finding in judged}
            findings += [one for one in planned[plan.system.name] if (one.id, one.where) not in known]
            findings += judged
        findings += _dashboards(project.root, f"{project.dashboards}/{plan.system.name}.json", texts)
    findings += _dashboards(project.root, f"{project.dashboards}/slo-overview.json", texts)
    routing = parse(texts[project.routing], project.routing)
    size = len(texts[project.routing].encode())
    findings += _check(routing, size, {}, {})
    costs = (*costs, _cost_of_routing(read_source(routing, size, {}, {})))
    findings += missing_runbooks(plans, project.root / project.runbooks, project.runbooks)
    findings += on_call(project.root, project.oncall, project.environments, plans, datetime.now(UTC))
    findings += _over(budget, sum((line.usd for line in costs), Decimal(0)))
    return Report(tuple(findings), costs)


def _path(project: Project, plan: Plan) -> str:
    return f"{project.alarms}/{plan.system.name}.yaml"


def check_template(path: Path, parameters: Mapping[str, str], budget: float | None = None) -> Report:
    """Check the alarms of any CloudFormation template.

    Resources in the same template are known, so that alarms beside what they watch are checked against it.
    Raises TemplateError or InputError.
    """
    from .discovery import discover

    document = load(path)
    stack = discover(path, parameters)
    watched = {resource.logical_id: resource for resource in stack.resources}
    size = path.stat().st_size
    findings = list(_check(document, size, parameters, watched))
    source = read_source(document, size, parameters, watched)
    name = path.stem
    costs = tuple(
        [CostLine(name, alarm.logical_id, 1, _cost(alarm)) for alarm in source.alarms]
        + [CostLine(name, composite.logical_id, 1, PER_COMPOSITE) for composite in source.composites]
    )
    findings += _over(budget, sum((line.usd for line in costs), Decimal(0)))
    return Report(tuple(findings), costs)


def _check(
    document: Document, size: int, parameters: Mapping[str, str], watched: Mapping[str, Resource]
) -> Iterator[Finding]:
    source: Source = read_source(document, size, parameters, watched)
    yield from template_quotas(source)
    yield from alarm_quotas(source)
    yield from alarm_mistakes(source)
    yield from never_fires(source)
    yield from unheard(source)
    yield from sealed_topics(source)


def _dashboards(root: Path, path: str, texts: Mapping[str, str]) -> Iterator[Finding]:
    """The committed dashboard is judged; where it is missing or unreadable, what would be written."""
    import json

    from .render.dashboard_lint import lint

    if path not in texts:
        return
    dashboard = json.loads(texts[path])
    with suppress(OSError, ValueError):  # it is found to differ already
        dashboard = json.loads((root / path).read_bytes())
    try:
        broken = lint(dashboard)
    except (AttributeError, KeyError, TypeError):  # a file edited by hand may have any shape
        yield Finding("T080", path, "not a Grafana dashboard: its JSON has another shape")
        return
    for one in broken:
        rule = "T018" if one.rule == "too-many-queries" else "T080"
        yield Finding(rule, f"{path}#{one.panel}" if one.panel else path, f"{one.rule}: {one.message}")


def _committed(root: Path, path: str, declared: str) -> tuple[Document, int]:
    """The committed template and its size in bytes; where it is missing or unreadable, what would be written."""
    try:
        data = (root / path).read_bytes()
        return parse(data.decode("utf-8"), path), len(data)
    except (OSError, UnicodeDecodeError, TemplateError):  # it is found to differ already
        return parse(declared, path), len(declared.encode())


def _costs(plan: Plan) -> Iterable[CostLine]:
    subjects: dict[str, list[Decimal]] = {}
    for planned in plan.alarms:
        subjects.setdefault(planned.slo or planned.resource, []).append(monthly_cost(planned.alarm))
    return [
        CostLine(plan.system.name, subject, len(costs), sum(costs, Decimal(0)))
        for subject, costs in sorted(subjects.items())
    ]


def _cost_of_routing(source: Source) -> CostLine:
    """What the alarms about the way of a page itself cost."""
    costs = [*(_cost(alarm) for alarm in source.alarms), *(PER_COMPOSITE for _ in source.composites)]
    return CostLine("routing", "deliveries", len(costs), sum(costs, Decimal(0)))


def _cost(alarm: SourceAlarm) -> Decimal:
    periods = [query.period for query in alarm.queries if query.period is not None]
    rate = PER_HIGH_RESOLUTION_METRIC if periods and min(periods) < 60 else PER_ALARM_METRIC
    return rate * max(1, sum(query.metric is not None for query in alarm.queries))


def _over(budget: float | None, usd: Decimal) -> Iterator[Finding]:
    if budget is not None and usd > Decimal(str(budget)):
        yield Finding(
            "T070", "--budget", f"all alarms together cost USD {usd:.2f} a month, the budget is USD {budget:.2f}"
        )
