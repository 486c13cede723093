"""What the exporter shows: the promises and alarms of each system, under the names they have in one environment."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..cloud.committed import AlarmTemplate, Committed, read_alarm_templates
from ..cloud.environments import Environment, FromVariable
from ..cloud.names import resolve_names
from ..cloud.session import Cloud
from ..errors import CloudError, InputError, TocsinError, nearest
from ..history.watched import fill, names_in_account, read_template, watched
from ..model import Slo
from ..plan import ENVIRONMENT, Plan


@dataclass(frozen=True, slots=True)
class ShownAlarm:
    """One alarm by its name in CloudWatch.  ``severity`` and ``slo`` are empty where it has none."""

    name: str
    severity: str
    slo: str


@dataclass(frozen=True, slots=True)
class Subject:
    """One system in one environment; the metrics of its SLOs carry physical names.  ``problems`` says what is left out."""

    system: str
    owner: str
    slos: tuple[Slo, ...]
    alarms: tuple[ShownAlarm, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """A declared system and its committed alarms, from which a Subject is made once its stack can be asked."""

    plan: Plan
    template: AlarmTemplate

    @property
    def system(self) -> str:
        """The system's name."""
        return self.plan.system.name

    def resolve(self, environment: Environment, cloud: Cloud) -> Subject:
        """The same under the names of ``environment``, as `tocsin deploy` finds them.

        A promise on a resource that is not there is left out.  Raises CloudError where AWS refuses or fails, and where no
        promise is left.
        """
        path = self.template.file.path
        template = read_template(Path(path), environment.name)
        problems: Sequence[str] = ()
        try:
            names: Mapping[str, str] = {
                **resolve_names(cloud, environment.of(self.system).stack, template.rules, path),
                **_stated(environment, self.system),
            }
        except CloudError as error:
            if error.__cause__ is not None:  # AWS's own refusal; otherwise something is not deployed
                raise
            names, problems = names_in_account(cloud, environment, self.system, template)
        system = self.plan.system
        found = watched(system, template, environment.name, names, problems)
        lines = (*found.problems, *(f"SLO {name}: {why}" for name, why in sorted((found.unnamed or {}).items())))
        if not found.asked:
            raise CloudError(lines[0] if lines else f"nothing of {system.name} can be read")
        return Subject(
            system.name,
            system.owner,
            found.asked,
            tuple(
                ShownAlarm(
                    fill(planned.alarm.name, {ENVIRONMENT: environment.name}),
                    "" if planned.severity is None else planned.severity.value,
                    planned.slo or "",
                )
                for planned in self.plan.alarms
            ),
            lines,
        )


def find_sources(plans: Iterable[Plan], committed: Committed, only: Collection[str] = ()) -> tuple[Source, ...]:
    """The systems to be shown, by name: those that promise something, or those named.

    Raises InputError for a name that no declaration has, or where there is nothing to show, and for a system whose alarm
    template is not committed.
    """
    declared = {plan.system.name: plan for plan in plans}
    for name in only:
        if name not in declared:
            raise InputError(f"--system {name}: no such system is declared; {nearest(name, declared)}")
        if not declared[name].slos:
            raise InputError(f"--system {name}: it promises nothing, so there is nothing to show; declare an SLO")
    chosen = sorted(set(only) or {name for name, plan in declared.items() if plan.slos})
    if not chosen:
        raise InputError("no declared system promises anything, so there is nothing to show; declare an SLO")
    templates = {template.system: template for template in read_alarm_templates(committed, chosen)}
    return tuple(Source(declared[name], templates[name]) for name in chosen)


def resolve_all(
    sources: Iterable[Source], environment: Environment, cloud: Cloud
) -> tuple[dict[str, Subject], dict[str, TocsinError]]:
    """The subjects by system, and why the others cannot be had now: AWS refuses, or an alarm template is being replaced."""
    found: dict[str, Subject] = {}
    failed: dict[str, TocsinError] = {}
    for source in sources:
        try:
            found[source.system] = source.resolve(environment, cloud)
        except TocsinError as error:
            failed[source.system] = error
    return found, failed


def _stated(environment: Environment, system: str) -> dict[str, str]:
    """What the environment's file states for the system's alarms goes before what its stack says."""
    stated = {}
    for name, setting in environment.of(system).alarm_parameters.items():
        text = os.environ.get(setting.variable) if isinstance(setting, FromVariable) else setting
        if text is not None:
            stated[name] = text
    return stated
