"""Mistakes in a Grafana dashboard that Grafana itself accepts without a word.

The rules with a name that ends in ``-rule`` (and ``uneditable-dashboard``) are those of Grafana's dashboard-linter, as
far as they concern CloudWatch dashboards; its PromQL and LogQL rules have nothing to look at here.  The others are ours.
Works on plain JSON, also on dashboards that nobody generated.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from . import linter_rules, query_rules, reference_rules, shape_rules
from .subject import Found, Subject, inspect

__all__ = ["RULES", "LintFinding", "lint", "rule_texts"]


@dataclass(frozen=True, slots=True)
class LintFinding:
    """One mistake: the rule's id, the panel's title (empty for the dashboard itself) and what is wrong."""

    rule: str
    panel: str
    message: str


def lint(dashboard: Mapping[str, Any], known_uids: Collection[str] | None = None) -> tuple[LintFinding, ...]:
    """Every finding, in the order of ``RULES``.

    ``known_uids`` are the dashboards that links may lead to; None does not check where links lead.
    """
    subject = inspect(dashboard, known_uids)
    return tuple(
        LintFinding(rule, panel, message) for rule, check in RULES.items() for panel, message in check(subject)
    )


#: Rule id → its check; the first sentence of the check's docstring says what the rule wants.
RULES: Mapping[str, Callable[[Subject], Found]] = {
    "template-datasource-rule": linter_rules.template_datasource,
    "panel-datasource-rule": linter_rules.panel_datasource,
    "panel-title-description-rule": linter_rules.panel_title_description,
    "panel-units-rule": linter_rules.panel_units,
    "panel-no-targets-rule": linter_rules.panel_no_targets,
    "template-on-time-change-reload-rule": linter_rules.template_reload,
    "uneditable-dashboard": linter_rules.uneditable,
    "schema-version": shape_rules.schema_version,
    "uid-length": shape_rules.uid_length,
    "panel-id": shape_rules.panel_ids,
    "grid-bounds": shape_rules.grid_bounds,
    "grid-overlap": shape_rules.grid_overlap,
    "variable-undefined": reference_rules.variable_undefined,
    "variable-unused": reference_rules.variable_unused,
    "target-incomplete": query_rules.target_incomplete,
    "target-statistic": query_rules.target_statistic,
    "target-id": query_rules.target_ids,
    "math-unknown-id": query_rules.math_ids,
    "expression-length": query_rules.expression_length,
    "too-many-queries": query_rules.too_many_queries,
    "insights-range": query_rules.insights_range,
    "threshold-steps": shape_rules.threshold_steps,
    "timeline-pages": shape_rules.timeline_pages,
    "legend-shown": shape_rules.legend_shown,
    "dimension-empty": reference_rules.dimension_empty,
    "link-unknown-dashboard": reference_rules.links,
    "panel-runbook": reference_rules.runbook,
}


def rule_texts() -> dict[str, str]:
    """Rule id → what it wants, in a sentence."""
    return {rule: (check.__doc__ or "").strip() for rule, check in RULES.items()}
