"""The committed templates a deployment ships: ``alarms/<system>.yaml`` and the routing; nothing else is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..cloudformation.document import Document, load
from ..errors import InputError, TemplateError, nearest
from .names import NameRule, name_rules


@dataclass(frozen=True, slots=True)
class TemplateParameter:
    """A parameter of a template.  ``default`` is None where there is none; ``secret`` is CloudFormation's NoEcho."""

    name: str
    default: str | None
    secret: bool = False


@dataclass(frozen=True, slots=True)
class CommittedTemplate:
    """One committed file: its text as reviewed, the parameters it asks for, and what it makes.

    ``resources`` is logical id → type, ``outputs`` the names; ``conditional`` are the resources that have a condition.
    ``secrets`` are parameters whose value is the current version of a secret → the secret's name, in which
    ``{Environment}`` stands for the environment.  ``owners`` are those whose topics a routing has.
    """

    path: str
    text: str
    parameters: Mapping[str, TemplateParameter]
    resources: Mapping[str, str]
    outputs: frozenset[str]
    conditional: frozenset[str] = frozenset()
    secrets: Mapping[str, str] = field(default_factory=dict)
    owners: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AlarmTemplate:
    """The alarms of one system, the team that owns it, and where its name parameters come from."""

    system: str
    owner: str
    file: CommittedTemplate
    names: tuple[NameRule, ...]


@dataclass(frozen=True, slots=True)
class Committed:
    """Where the committed files are: the folder of alarm templates, and the routing template."""

    alarms: Path = Path("alarms")
    routing: Path = Path("deploy/routing.yaml")


def read_alarm_templates(committed: Committed, systems: Sequence[str] = ()) -> tuple[AlarmTemplate, ...]:
    """The alarm templates of ``systems``, or of all that are committed, by name.

    Raises InputError for an unknown system and TemplateError for a file that cannot be used.
    """
    known = committed_systems(committed)
    for system in systems:
        if system not in known:
            raise InputError(f"no {as_written(committed.alarms) / f'{system}.yaml'}; {nearest(system, known)}")
    return tuple(_read_alarms(known[system]) for system in sorted(set(systems) or known))


def committed_systems(committed: Committed) -> Mapping[str, Path]:
    """The systems that have a committed alarm template.  Raises InputError when there are none."""
    folder = as_written(committed.alarms)
    found = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if not found:
        raise InputError(f"no alarm templates in {folder}; run `tocsin build` first")
    return found


def read_routing(committed: Committed) -> CommittedTemplate:
    """The routing template.  Raises TemplateError when there is none."""
    path = as_written(committed.routing)
    if not path.exists():
        raise TemplateError("no such file; run `tocsin build` first", path=path)
    return read_template(path)


def read_template(path: Path) -> CommittedTemplate:
    """A template of any kind.  Raises TemplateError."""
    return _file(path, load(path))


def as_written(path: Path) -> Path:
    """The path as somebody in the present folder would write it, so that messages are short and the same everywhere."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_absolute() and path.is_relative_to(here) else path


def _read_alarms(path: Path) -> AlarmTemplate:
    document = load(path)
    stated = _stated(document)
    if not all(isinstance(stated.get(key), str) for key in ("System", "Owner")):
        raise TemplateError("no System and Owner under Metadata.Tocsin; run `tocsin build` again", path=path)
    if stated["System"] != path.stem:
        raise TemplateError(f"holds the alarms of system {stated['System']!r}; name it after the system", path=path)
    return AlarmTemplate(stated["System"], stated["Owner"], _file(path, document), name_rules(document))


def _file(path: Path, document: Document) -> CommittedTemplate:
    parameters = {
        name: TemplateParameter(
            name,
            None if body.get("Default") is None else str(body["Default"]),
            str(body.get("NoEcho")).lower() == "true",
        )
        for name, body in _section(document, "Parameters").items()
    }
    stated = _section(document, "Resources")
    return CommittedTemplate(
        path=path.as_posix(),
        text=path.read_text(encoding="utf-8-sig"),
        parameters=parameters,
        resources={name: str(body.get("Type")) for name, body in sorted(stated.items())},
        outputs=frozenset(_section(document, "Outputs")),
        conditional=frozenset(name for name, body in stated.items() if "Condition" in body),
        secrets=_secrets(path, document, parameters),
        owners=tuple(str(owner) for owner in _stated(document).get("Owners") or ()),
    )


def _secrets(path: Path, document: Document, parameters: Mapping[str, TemplateParameter]) -> Mapping[str, str]:
    """What ``Metadata.Tocsin.Secrets`` says.  Raises TemplateError."""
    stated = _stated(document).get("Secrets") or {}
    found = {}
    for parameter, body in stated.items() if isinstance(stated, Mapping) else ():
        name = body.get("Secret") if isinstance(body, Mapping) else None
        if parameter not in parameters or not isinstance(name, str):
            where = f"Metadata.Tocsin.Secrets.{parameter}"
            raise TemplateError(
                f"{where} is no parameter with the name of a secret; run `tocsin build` again", path=path
            )
        found[str(parameter)] = name
    return found


def _stated(document: Document) -> Mapping[str, Any]:
    metadata = document.tree.get("Metadata")
    stated = metadata.get("Tocsin") if isinstance(metadata, Mapping) else None
    return stated if isinstance(stated, Mapping) else {}


def _section(document: Document, name: str) -> Mapping[str, Mapping[str, object]]:
    stated = document.tree.get(name)
    items = stated.items() if isinstance(stated, Mapping) else ()
    return {str(key): body for key, body in items if isinstance(body, Mapping)}
