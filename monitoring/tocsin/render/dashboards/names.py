"""How a physical name that only a deployment knows is written on a dashboard, and what is left to look up of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ...catalog import CATALOG
from ...catalog.entry import NameSource, parameter_name
from ...cloudformation.symbolic import Symbolic
from ...model import Resource
from ...plan import Plan

#: The variable with the name of the stack that is shown, and the text box that its choice is narrowed by.
STACK, STACK_PART = "Stack", "StackPart"

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z0-9]+)\}")
_TOKEN = re.compile(r"(\$\{(?!!)[^}]*\})")
_STACK_NAME = "${AWS::StackName}"

# CloudFormation names an unnamed resource <stack>-<logical id>-<random>; where that is too long for the service it
# shortens the logical id, so only its beginning can be relied on.
_CERTAIN_PART = 20
# These services know no capital letters: the stack's name inside their names is not written as the stack writes it.
_LOWER_CASE = ("AWS::RDS::", "AWS::S3::")
# Fewer letters than this tell no resource apart, so the choice is shown to the reader.
_TELLING_LETTERS = 3


@dataclass(frozen=True, slots=True)
class Lookup:
    """A physical name: text that is known, around a part that CloudWatch must be asked for.

    ``before`` and ``after`` are literal but for the stack's name, written ``${AWS::StackName}``.  ``pattern`` is the
    JavaScript pattern of the part between, None where nothing is left to ask.  ``stated`` is a name that the template
    states whole.  Text around the part matters: CloudWatch refuses an empty dimension value, and one refused query
    empties the whole panel; so while nothing is found, such as a dead-letter queue that was never used, the text
    alone stands for it.
    """

    before: str = ""
    after: str = ""
    pattern: str | None = None
    stated: str | None = None

    @property
    def in_stack(self) -> bool:
        """Whether the stack's name is part of the name."""
        return _STACK_NAME in self.before + (self.pattern or "") + self.after

    @property
    def is_stack(self) -> bool:
        """Whether it is the stack's name and nothing else."""
        return self == Lookup(before=_STACK_NAME)

    @property
    def bare(self) -> bool:
        """Whether nothing known stands around the part that is looked up."""
        return not self.before + self.after

    @property
    def tells(self) -> bool:
        """Whether enough of the name is known to choose without the reader."""
        known = _TOKEN.sub("", f"{self.before}{self.pattern}{self.after}")
        return len(re.findall(r"[A-Za-z0-9]", re.sub(r"\[[^]]*\]", "", known))) >= _TELLING_LETTERS

    def regex(self, stack: str) -> str:
        """The pattern for whole names, which captures what is looked up; ``stack`` is the pattern of the stack's name."""
        return self._pattern("(" if self.pattern is not None else "").replace(_STACK_NAME, stack)

    def stack_regex(self, stack: str) -> str:
        """The pattern for whole names that captures the stack's name, which is matched by ``stack``."""
        whole = self._pattern("(?:" if self.pattern is not None else "")
        return whole.replace(_STACK_NAME, f"({stack})", 1).replace(_STACK_NAME, ".*")

    def _pattern(self, bracket: str) -> str:
        looked_up = f"{bracket}{self.pattern})" if bracket else ""
        return f"^{_escaped(self.before)}{looked_up}{_escaped(self.after)}$"


class Names:
    """How the placeholders of the alarm template are written on one dashboard.

    ``prefix`` tells the names of several systems on one dashboard apart.
    """

    def __init__(self, plan: Plan, prefix: str = "") -> None:
        self.prefix = prefix
        self._resources = _resources(plan)
        self._defaults = {parameter.name: parameter.default for parameter in plan.parameters}
        self._lookups: dict[str, Lookup] = {}
        self._texts: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        """The text of a dimension as a dashboard writes it."""
        if text not in self._texts:
            self._texts[text] = _PLACEHOLDER.sub(lambda found: self._written(found[1]), text).replace("${!", "${")
        return self._texts[text]

    @property
    def stack(self) -> str:
        """The variable that holds the stack's name."""
        return self.prefix + STACK

    def resource(self, name: str) -> Resource | None:
        """The resource that a placeholder is the name of."""
        return self._resources.get(name)

    def lookup(self, name: str) -> Lookup:
        """What is known of the physical name that a placeholder stands for."""
        if name not in self._lookups:
            self._lookups[name] = _lookup(self._resources.get(name), self._defaults.get(name))
        return self._lookups[name]

    def _written(self, name: str) -> str:
        found = self.lookup(name)
        text = f"{found.before}${{{self.prefix}{name}}}{found.after}" if found.pattern or found.stated else found.before
        return text.replace(_STACK_NAME, f"${{{self.stack}}}")


def _resources(plan: Plan) -> Mapping[str, Resource]:
    found: dict[str, Resource] = {}
    for resource in plan.system.resources:
        found[parameter_name(resource.logical_id)] = resource
    for resource in plan.system.resources:
        for logical_id, other in resource.surroundings.items():
            found.setdefault(parameter_name(logical_id), other)
    return found


def _lookup(resource: Resource | None, default: str | None) -> Lookup:
    if default is not None:
        return Lookup(stated=default)
    entry = CATALOG.get(resource.type) if resource is not None else None
    if resource is None or entry is None:
        return Lookup(pattern=".*")
    stated = resource.name
    if stated is None and entry.name_property is not None:
        value = resource.properties.get(entry.name_property)
        stated = value if isinstance(value, str) and value else None
    if stated is not None and not isinstance(stated, Symbolic):
        return Lookup(stated=stated)
    if stated is not None:
        return _with_placeholders(stated)
    if entry.name_property is None or entry.name_source is NameSource.REST_API_NAME:
        return Lookup(pattern=".*")  # its name is stated or it has none that could be guessed
    logical_id = resource.logical_id
    if len(logical_id) > _CERTAIN_PART:
        logical_id = f"{logical_id[:_CERTAIN_PART]}[A-Za-z0-9]*"
    pattern = rf"{logical_id}-[A-Za-z0-9]+(?:\.fifo)?"
    if resource.type.startswith(_LOWER_CASE):
        return Lookup(pattern=f"{_STACK_NAME}-{pattern}")
    return Lookup(before=f"{_STACK_NAME}-", pattern=pattern)


def _with_placeholders(stated: str) -> Lookup:
    """Only what lies between the first and the last unknown placeholder is looked up."""
    tokens = [token for token in _TOKEN.split(stated) if token]
    unknown = [index for index, token in enumerate(tokens) if _TOKEN.fullmatch(token) and token != _STACK_NAME]
    if not unknown:
        return Lookup(before=_literal(stated))
    before, after = "".join(tokens[: unknown[0]]), "".join(tokens[unknown[-1] + 1 :])
    inner = tokens[unknown[0] : unknown[-1] + 1]
    pattern = "".join(
        token if token == _STACK_NAME else ".*" if _TOKEN.fullmatch(token) else _escaped(_literal(token))
        for token in inner
    )
    return Lookup(before=_literal(before), after=_literal(after), pattern=pattern)


def _literal(text: str) -> str:
    return text.replace("${!", "${")


def _escaped(text: str) -> str:
    """``text`` as a JavaScript pattern, the stack's name left in."""
    return _STACK_NAME.join(re.sub(r"[\\^$.|?*+()\[\]{}/]", r"\\\g<0>", part) for part in text.split(_STACK_NAME))
