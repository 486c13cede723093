"""Evaluates intrinsic functions as far as the template, its parameters and the pseudo parameters allow.

What only a deployment can tell becomes Symbolic.  ``${Queue.Arn}`` is what ``Fn::Sub`` would say; where that notation
has no word for a value, the function's name stands in it: ``${Fn::ImportValue.vpc-id}``, and ``${Queue.Arn.[5]}`` for
the sixth piece of a split ARN.  A Symbolic without any placeholder is a guess, such as one branch of an ``Fn::If``
that cannot be decided, or a dynamic reference.

Source: AWS CloudFormation template reference, intrinsic functions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import TemplateError
from .conditions import Conditions, holds_symbolic
from .loops import PREFIX, VALUE_WORK, unroll
from .parameters import as_text, literal, number
from .splitting import PLACEHOLDER, Pieces, select, split
from .symbolic import Symbolic, escape, references

# Far above any real template (a template has at most 1 MB); below what would hold up a laptop.
MAX_WORK = 20_000_000


class _NoValue:
    """What ``AWS::NoValue`` becomes until it is removed."""


NO_VALUE = _NoValue()


class _Malformed(Exception):  # noqa: N818  never leaves this file
    """A function was given arguments that it cannot take."""


class Evaluator:
    """The functions of one template.  ``warnings`` collects what CloudFormation would refuse; ``place`` names where."""

    def __init__(
        self,
        path: str,
        parameters: Mapping[str, Any],
        mappings: Any,
        pseudo: Mapping[str, str],
    ) -> None:
        self.path = path
        self.place = ""
        self.warnings: dict[str, None] = {}
        self.conditions = Conditions(path, parameters, self._value, self.warn)
        self._parameters = parameters
        self._mappings: dict[str, Any] = mappings if isinstance(mappings, dict) else {}
        self._pseudo = pseudo
        self._work = 0
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._sub,
            "Fn::Join": self._join,
            "Fn::Split": self._split,
            "Fn::Select": self._select,
            "Fn::If": self._if,
            "Fn::FindInMap": self._find_in_map,
            "Fn::Base64": self._base64,
            "Fn::Cidr": self._cidr,
            "Fn::ImportValue": self._import_value,
            "Fn::Length": self._length,
            "Fn::ToJsonString": self._to_json_string,
            "Fn::GetAZs": lambda argument: Symbolic("${Fn::GetAZs}"),
            "Fn::Transform": lambda argument: Symbolic("${Fn::Transform}"),
            "Fn::GetStackOutput": lambda argument: Symbolic("${Fn::GetStackOutput}"),
        } | dict.fromkeys(("Fn::And", "Fn::Or", "Fn::Not", "Fn::Equals"), _misplaced)

    def spend(self, amount: int) -> None:
        """Count work done.  Raises TemplateError when a template unfolds beyond all measure."""
        self._work += amount
        if self._work > MAX_WORK:
            raise TemplateError("its functions and loops unfold beyond what a template can hold", path=self.path)

    def warn(self, text: str) -> None:
        """Note a one-line remark about the present place, once."""
        self.warnings[f"{self.place}: {text}" if self.place else text] = None

    def value(self, node: Any) -> Any:
        """``node`` with its functions evaluated and what is ``AWS::NoValue`` removed; None if all of it is."""
        found = self._value(node)
        return None if found is NO_VALUE else found

    def _value(self, node: Any) -> Any:
        self.spend(VALUE_WORK)
        if isinstance(node, str):
            return literal(node)
        if isinstance(node, list):
            return [item for item in map(self._value, node) if item is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((name, argument),) = node.items()
            if function := self._functions.get(name):
                return self._call(name, function, argument)
        if any(key.startswith(PREFIX) for key in node):
            node, stuck = unroll(node, self._value, self.spend)
            for loop in stuck:
                self.warn(f"{loop.key} is left out: {loop.reason}")
        made = {}
        for key, item in node.items():
            if (found := self._value(item)) is not NO_VALUE:
                made[key] = found
        return made

    def _call(self, name: str, function: Callable[[Any], Any], argument: Any) -> Any:
        try:
            return function(argument)
        except _Malformed as error:
            self.warn(f"{name} {error}")
            return Symbolic(f"${{{name}}}")

    def _text(self, node: Any) -> str:
        """The value of ``node`` as text to be put into other text."""
        value = self._value(node)
        if isinstance(value, list):
            return self._concatenate([_scalar(item) for item in value], ",")
        return _scalar(value)

    def _concatenate(self, parts: list[str], between: str = "") -> str:
        self.spend(sum(map(len, parts)) + len(between) * len(parts))
        if isinstance(between, Symbolic) or any(isinstance(part, Symbolic) for part in parts):
            return Symbolic(escape(between).join(map(escape, parts)))
        return between.join(parts)

    # References

    def _ref(self, name: Any) -> Any:
        name = _scalar(self._value(name))
        return NO_VALUE if name == "AWS::NoValue" else self._named(name)

    def _named(self, name: str) -> Any:
        for known in (self._parameters, self._pseudo):
            if name in known:
                value = known[name]
                self.spend(len(value) if isinstance(value, str | list) else 1)
                return value
        return _placeholder(name)

    def _get_att(self, argument: Any) -> Any:
        parts = argument.split(".", 1) if isinstance(argument, str) else _arguments(argument, 2, 10)
        return _placeholder(".".join(_scalar(self._value(part)) for part in parts))

    # Text

    def _sub(self, argument: Any) -> Any:
        given: Any = {}
        if not isinstance(argument, str):
            argument, given = _arguments(argument, 2)
        if not isinstance(argument, str) or not isinstance(given, dict):
            raise _Malformed("needs text, or a list of text and a mapping")
        values: dict[str, str] = {}
        parts: list[str] = []
        end = 0
        for match in PLACEHOLDER.finditer(argument):
            parts.append(literal(argument[end : match.start()]))
            end = match.end()
            name = match.group(1).strip()
            if name.startswith("!"):
                parts.append(f"${{{name[1:]}}}")
                continue
            if name not in values:
                values[name] = self._text(given[name] if name in given else _reference(name))
            parts.append(values[name])
        parts.append(literal(argument[end:]))
        return self._concatenate(parts)

    def _join(self, argument: Any) -> Any:
        separator, items = _arguments(argument, 2)
        between, values = _scalar(self._value(separator)), self._value(items)
        if isinstance(values, Symbolic):  # a list that is not known, such as a parameter without a value
            return values
        if not isinstance(values, list):
            raise _Malformed("needs a list to join")
        return self._concatenate([_scalar(value) for value in values], between)

    def _split(self, argument: Any) -> Any:
        separator, source = (self._value(item) for item in _arguments(argument, 2))
        if not isinstance(separator, str) or not separator or not isinstance(source, str):
            raise _Malformed("needs a separator and a text")
        self.spend(len(source))
        return split(source, separator)

    def _select(self, argument: Any) -> Any:
        index, items = (self._value(item) for item in _arguments(argument, 2))
        index = number(index)
        if isinstance(index, Symbolic):
            return Symbolic("${Fn::Select}")
        if not isinstance(index, int):
            raise _Malformed("needs a number")
        if not isinstance(items, list | Symbolic):
            raise _Malformed("needs a list to select from")
        try:
            return select(items, index)
        except IndexError:
            raise _Malformed(f"selects item {index} of a list of {len(items)}") from None

    def _base64(self, argument: Any) -> Any:
        import base64

        text = self._text(argument)
        if isinstance(text, Symbolic):
            return text
        self.spend(len(text))
        return base64.b64encode(text.encode()).decode()

    def _to_json_string(self, argument: Any) -> Any:
        value = self._value(argument)
        if value is NO_VALUE:
            raise _Malformed("needs a value")
        symbolic = holds_symbolic(value)
        text = json.dumps(_escaped(value) if symbolic else value, separators=(",", ":"), ensure_ascii=False)
        self.spend(len(text))
        return Symbolic(text) if symbolic else text

    # Lists and look-ups

    def _length(self, argument: Any) -> Any:
        value = self._value(argument)
        if isinstance(value, Symbolic) or (isinstance(value, Pieces) and value.certain < len(value)):
            return Symbolic("${Fn::Length}")
        if not isinstance(value, list):
            raise _Malformed("needs a list")
        return len(value)

    def _cidr(self, argument: Any) -> Any:
        block, count, *bits = (number(self._value(item)) for item in _arguments(argument, 2, 3))
        if any(isinstance(item, Symbolic) for item in (block, count, *bits)):
            return Symbolic("${Fn::Cidr}")
        import ipaddress
        import itertools

        try:
            network = ipaddress.ip_network(_scalar(block), strict=False)
            prefix = network.max_prefixlen - int(bits[0] if bits else 8)
            subnets = itertools.islice(network.subnets(new_prefix=prefix), min(int(count), 256))
            return [str(subnet) for subnet in subnets]
        except (ValueError, TypeError, OverflowError):
            raise _Malformed("needs an address block, a count and a number of bits") from None

    def _import_value(self, argument: Any) -> Any:
        name = _scalar(self._value(argument))
        return Symbolic("${Fn::ImportValue}") if "{" in name else _placeholder(f"Fn::ImportValue.{name}")

    def _find_in_map(self, argument: Any) -> Any:
        keys = _arguments(argument, 3, 4)
        name, top, second = (self._value(key) for key in keys[:3])
        default = keys[3].get("DefaultValue", NO_VALUE) if len(keys) == 4 and isinstance(keys[3], dict) else NO_VALUE
        if isinstance(name, Symbolic):
            return Symbolic("${Fn::FindInMap}")
        rows = _matching(self._mappings.get(_scalar(name)), top)
        candidates = [value for row in rows for value in _matching(row, second)]
        self.spend(len(candidates))
        if default is not NO_VALUE and (not candidates or isinstance(top, Symbolic) or isinstance(second, Symbolic)):
            candidates.append(default)
        if not candidates:
            raise _Malformed(f"finds nothing in {_scalar(name)} for {_scalar(top)}, {_scalar(second)}")
        # With a key that is not known there is still an answer if all candidates agree.
        if all(other == candidates[0] for other in candidates):
            return self._value(candidates[0])
        return _placeholder(f"Fn::FindInMap.{_scalar(name)}")

    def _if(self, argument: Any) -> Any:
        name, then, otherwise = _arguments(argument, 3)
        truth = self.conditions.holds(name) if isinstance(name, str) else self.conditions.decide(name)
        if truth is not None:
            return self._value(then if truth else otherwise)
        return _more_informative(self._value(then), self._value(otherwise))


def _misplaced(argument: Any) -> Any:  # noqa: ARG001  has the signature of a function
    raise _Malformed("stands where a value is needed")


def _arguments(argument: Any, least: int, most: int | None = None) -> list[Any]:
    if not isinstance(argument, list) or not least <= len(argument) <= (most or least):
        raise _Malformed(f"needs a list of {least}{f' to {most}' if most else ''}")
    return argument


def _reference(name: str) -> dict[str, str]:
    return {"Fn::GetAtt": name} if "." in name else {"Ref": name}


def _placeholder(name: str) -> Symbolic:
    return Symbolic(f"${{{name.translate({36: None, 123: None, 125: None})}}}")  # no "$", "{" or "}" inside


def _scalar(value: Any) -> str:
    if isinstance(value, dict | list):
        text = json.dumps(_escaped(value), default=str)
        return Symbolic(text) if holds_symbolic(value) else text
    return "" if value is NO_VALUE else as_text(value)


def _matching(rows: Any, key: Any) -> list[Any]:
    if not isinstance(rows, dict):
        return []
    if isinstance(key, Symbolic):
        return list(rows.values())
    return [rows[_scalar(key)]] if _scalar(key) in rows else []


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {escape(key): _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return escape(value) if isinstance(value, str) else value


def _more_informative(then: Any, otherwise: Any) -> Any:
    """The branch of an undecided ``Fn::If`` that says more, the first of equals; text is then a guess, so Symbolic."""
    if type(then) is type(otherwise) and then == otherwise:
        return then
    chosen = max(then, otherwise, key=_information)
    return Symbolic(escape(chosen)) if isinstance(chosen, str) else chosen


def _information(value: Any) -> tuple[int, int]:
    if value is NO_VALUE or value is None or value == "":
        return (0, 0)
    if isinstance(value, str):
        return (1, len(references(value)))
    return (2, len(value) if isinstance(value, dict | list) else 0)
