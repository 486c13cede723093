"""Decides the conditions of a template, as far as its parameters allow: true, false, or None for undecided."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..errors import TemplateError
from .parameters import as_text
from .splitting import PLACEHOLDER
from .symbolic import Symbolic

_FUNCTIONS = ("Fn::Equals", "Fn::Not", "Fn::And", "Fn::Or")


class Conditions:
    """The conditions of one template; undecided, all of them, until ``use`` is called."""

    def __init__(
        self,
        path: str,
        parameters: Iterable[str],
        evaluate: Callable[[Any], Any],
        warn: Callable[[str], None],
    ) -> None:
        self._path, self._parameters = path, frozenset(parameters)
        self._evaluate, self._warn = evaluate, warn
        self._conditions: dict[str, Any] | None = None
        self._decided: dict[str, bool | None] = {}
        self._deciding: list[str] = []
        self._behind: dict[str, tuple[str, ...]] = {}

    def use(self, conditions: dict[str, Any]) -> None:
        """From now on these can be decided."""
        self._conditions = conditions
        self._decided.clear()

    def holds(self, name: str) -> bool | None:
        """Whether the condition of that name is true.  Raises TemplateError for a circle."""
        if name in self._decided:
            return self._decided[name]
        if self._conditions is None or name not in self._conditions:
            if self._conditions is not None:
                self._warn(f"the condition {name} is not in the template")
            return None
        if name in self._deciding:
            circle = " → ".join([*self._deciding[self._deciding.index(name) :], name])
            raise TemplateError(f"conditions refer to each other in a circle: {circle}", path=self._path)
        self._deciding.append(name)
        truth = self.decide(self._conditions[name])
        self._deciding.pop()
        self._decided[name] = truth
        return truth

    def decide(self, node: Any) -> bool | None:
        """Whether the expression is true."""
        if isinstance(node, dict) and len(node) == 1:
            ((name, argument),) = node.items()
            if name == "Condition" and isinstance(argument, str):
                return self.holds(argument)
            if name == "Fn::Equals" and isinstance(argument, list) and len(argument) == 2:
                return equal(self._evaluate(argument[0]), self._evaluate(argument[1]))
            if name == "Fn::Not" and isinstance(argument, list) and len(argument) == 1:
                truth = self.decide(argument[0])
                return None if truth is None else not truth
            if name in ("Fn::And", "Fn::Or") and isinstance(argument, list):
                truths = [self.decide(item) for item in argument]
                deciding = name == "Fn::Or"
                return deciding if deciding in truths else None if None in truths else not deciding
            if name in _FUNCTIONS:
                self._warn(f"{name} has the wrong arguments")
                return None
        value = self._evaluate(node)
        return value if isinstance(value, bool) else {"true": True, "false": False}.get(comparable(value))

    def parameters_behind(self, name: str) -> tuple[str, ...]:
        """The parameters of the template that decide the condition, sorted."""
        if name not in self._behind:
            self._behind[name] = self._find_parameters(name)
        return self._behind[name]

    def _find_parameters(self, name: str) -> tuple[str, ...]:
        found: set[str] = set()
        seen: set[str] = set()
        todo: list[Any] = [{"Condition": name}]
        while todo:
            node = todo.pop()
            if isinstance(node, list):
                todo += node
            elif isinstance(node, dict):
                todo += node.values()
                reference, condition = node.get("Ref"), node.get("Condition")
                if isinstance(reference, str):
                    found.add(reference)
                if isinstance(condition, str) and condition not in seen:
                    seen.add(condition)
                    todo.append((self._conditions or {}).get(condition))
            elif isinstance(node, str):
                found.update(PLACEHOLDER.findall(node))
        return tuple(sorted(found & self._parameters))


def equal(left: Any, right: Any) -> bool | None:
    """``Fn::Equals``: two values as text; None if either is not known, unless both are the same reference."""
    if left == right and type(left) is type(right):
        return True
    if holds_symbolic(left) or holds_symbolic(right):
        return None
    return comparable(left) == comparable(right)


def comparable(value: Any) -> str:
    """A value as text that is equal for equal values."""
    if isinstance(value, dict):
        return repr({key: comparable(value[key]) for key in sorted(value)})
    if isinstance(value, list):
        return repr([comparable(item) for item in value])
    return as_text(value)


def holds_symbolic(value: Any) -> bool:
    """Whether any text in ``value`` is Symbolic."""
    if isinstance(value, dict):
        return any(map(holds_symbolic, value.values()))
    if isinstance(value, list):
        return any(map(holds_symbolic, value))
    return isinstance(value, Symbolic)
