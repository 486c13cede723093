"""The syntax of metric math: text to tree.

User guide, page "Using math expressions with CloudWatch metrics".  AWS does not document the precedence of the
operators; taken here, from strong to weak: sign, ^, * and /, + and -, comparisons, AND, OR.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from ..errors import SimulationError

MAX_LENGTH = 2048
_MAX_DEPTH = 50

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<text>"[^"]*"|'[^']*')
      | (?P<operator>&&|\|\||==|!=|<=|>=|[-+*/^<>(),\[\]])
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Number:
    """A number."""

    value: float


@dataclass(frozen=True, slots=True)
class Text:
    """A quoted text, the argument of METRICS."""

    value: str


@dataclass(frozen=True, slots=True)
class Keyword:
    """A bare word that is an argument: REPEAT, LINEAR, ASC, DESC or a function's name for SORT."""

    name: str


@dataclass(frozen=True, slots=True)
class Id:
    """The id of another query."""

    name: str


@dataclass(frozen=True, slots=True)
class Negative:
    """A minus sign before an operand."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Chain:
    """Operands joined by operators of one precedence, worked off from left to right."""

    first: Node
    rest: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Array:
    """``[m1, m2]``."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its arguments."""

    name: str
    arguments: tuple[Node, ...]


Node = Number | Text | Keyword | Id | Negative | Chain | Array | Call

_LEVELS: tuple[dict[str, str], ...] = (
    {"OR": "OR", "||": "OR"},
    {"AND": "AND", "&&": "AND"},
    {sign: sign for sign in ("==", "!=", "<=", ">=", "<", ">")},
    {sign: sign for sign in ("+", "-")},
    {sign: sign for sign in ("*", "/")},
    {"^": "^"},
)
_KEYWORDS = frozenset({"REPEAT", "LINEAR", "ASC", "DESC", "AVG", "MAX", "MIN", "SUM", "STDDEV", "LAST"})


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


@lru_cache(maxsize=4096)
def parse(expression: str) -> Node:
    """The tree of an expression.  Raises SimulationError with the position (from 1) of what is wrong."""
    if len(expression) > MAX_LENGTH:
        raise SimulationError(f"expression of {len(expression)} characters; CloudWatch takes at most {MAX_LENGTH}")
    parser = _Parser(expression, _tokens(expression))
    node = parser.level(0)
    parser.expect("end")
    return node


def names(node: Node) -> frozenset[str]:
    """The ids that an expression mentions."""
    match node:
        case Id(name):
            return frozenset({name})
        case Negative(operand):
            return names(operand)
        case Chain(first, rest):
            return names(first).union(*(names(operand) for _, operand in rest))
        case Array(items) | Call(_, items):
            return frozenset().union(*(names(item) for item in items))
        case _:
            return frozenset()


def _tokens(expression: str) -> list[_Token]:
    tokens, position, end = [], 0, len(expression.rstrip())
    while position < end:
        match = _TOKEN.match(expression, position)
        if match is None or match.lastgroup is None:
            start = position + len(expression[position:]) - len(expression[position:].lstrip())
            raise _error(expression, start, f"unexpected {expression[start]!r}")
        tokens.append(_Token(match.lastgroup, match.group(match.lastgroup), match.start(match.lastgroup)))
        position = match.end()
    tokens.append(_Token("end", "", end))
    return tokens


def _error(expression: str, position: int, message: str) -> SimulationError:
    shown = expression if len(expression) <= 80 else expression[:79] + "…"
    return SimulationError(f"expression {shown!r}, position {position + 1}: {message}")


class _Parser:
    def __init__(self, expression: str, tokens: list[_Token]) -> None:
        self.expression, self.tokens, self.index, self.depth = expression, tokens, 0, 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.index]

    def error(self, message: str) -> SimulationError:
        return _error(self.expression, self.token.position, message)

    def accept(self, text: str) -> bool:
        if self.token.kind in ("operator", "name") and self.token.text == text:
            self.index += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if text == "end":
            if self.token.kind != "end":
                raise self.error(f"unexpected {self.token.text!r}")
        elif not self.accept(text):
            found = repr(self.token.text) if self.token.kind != "end" else "the end"
            raise self.error(f"expected {text!r}, found {found}")

    def level(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self.signed()
        first = self.level(level + 1)
        rest = []
        while self.token.kind in ("operator", "name") and (operator := _LEVELS[level].get(self.token.text)):
            self.index += 1
            rest.append((operator, self.level(level + 1)))
        return Chain(first, tuple(rest)) if rest else first

    def signed(self) -> Node:
        negative = False
        while self.token.kind == "operator" and self.token.text in "+-":
            negative ^= self.token.text == "-"
            self.index += 1
        operand = self.operand()
        return Negative(operand) if negative else operand

    def operand(self) -> Node:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise self.error(f"nested deeper than {_MAX_DEPTH} levels")
        try:
            return self.one()
        finally:
            self.depth -= 1

    def one(self) -> Node:
        token = self.token
        if token.kind == "end":
            raise self.error("ends where a value was expected")
        self.index += 1
        if token.kind == "number":
            return Number(float(token.text))
        if token.kind == "text":
            return Text(token.text[1:-1])
        if token.kind == "name":
            if self.accept("("):
                return Call(token.text, self.items(")"))
            if token.text[0].islower():
                return Id(token.text)
            if token.text in _KEYWORDS:
                return Keyword(token.text)
        elif token.text == "(":
            inner = self.level(0)
            self.expect(")")
            return inner
        elif token.text == "[":
            return Array(self.items("]"))
        self.index -= 1
        raise self.error(f"unexpected {token.text!r}")

    def items(self, close: str) -> tuple[Node, ...]:
        if self.accept(close):
            return ()
        found = [self.level(0)]
        while self.accept(","):
            found.append(self.level(0))
        self.expect(close)
        return tuple(found)
