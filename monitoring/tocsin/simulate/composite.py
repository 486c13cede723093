"""The rules of composite alarms: text to tree, tree to true or false.

User guide, page "Combining alarms"; API reference, PutCompositeAlarm.  AWS does not document the precedence of the
operators; taken by default: NOT before AND before OR.  Nor does it say how AT_LEAST rounds a percentage; taken by
default: up.  ``reading.py`` has the other readings.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from ..alarm import AlarmState
from ..errors import SimulationError
from .reading import DEFAULT, Precedence, Reading, Share

MAX_LENGTH = 10_240
MAX_CHILDREN = 100
MAX_ELEMENTS = 500
_MAX_DEPTH = 60

_TOKEN = re.compile(r'\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<sign>[(),])|(?P<word>[^\s(),"]+))', re.DOTALL)
_ARN = re.compile(r"arn:.*?:alarm:(?P<name>.+)", re.DOTALL)
_SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?)%")


@dataclass(frozen=True, slots=True)
class Constant:
    """TRUE or FALSE."""

    value: bool


@dataclass(frozen=True, slots=True)
class InState:
    """``ALARM("x")``, ``OK("x")``, ``INSUFFICIENT_DATA("x")``."""

    state: AlarmState
    alarm: str


@dataclass(frozen=True, slots=True)
class Not:
    """``NOT …``."""

    operand: Rule


@dataclass(frozen=True, slots=True)
class And:
    """Operands joined by AND."""

    operands: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Operands joined by OR."""

    operands: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class InOrder:
    """Operands joined from left to right, each by AND (True) or OR: only where no precedence is assumed."""

    first: Rule
    rest: tuple[tuple[bool, Rule], ...]


@dataclass(frozen=True, slots=True)
class AtLeast:
    """``AT_LEAST(count, [NOT] state, (alarms…))``; a percentage is already a count."""

    count: int
    state: AlarmState
    negated: bool
    alarms: tuple[str, ...]


Rule = Constant | InState | Not | And | Or | InOrder | AtLeast


@lru_cache(maxsize=4096)
def parse_rule(text: str, reading: Reading = DEFAULT) -> Rule:
    """The tree of an AlarmRule.  Raises SimulationError with the position (from 1), or for a broken limit."""
    if len(text) > MAX_LENGTH:
        raise SimulationError(f"alarm rule of {len(text)} characters; CloudWatch takes at most {MAX_LENGTH}")
    parser = _Parser(text, reading)
    rule = parser.any_of()
    if parser.kind != "end":
        raise parser.error(f"unexpected {parser.token!r}")
    children = len(names_in(rule))
    if children > MAX_CHILDREN:
        raise SimulationError(f"alarm rule over {children} alarms; CloudWatch takes at most {MAX_CHILDREN}")
    if parser.elements > MAX_ELEMENTS:
        raise SimulationError(f"alarm rule of {parser.elements} elements; CloudWatch takes at most {MAX_ELEMENTS}")
    return rule


def evaluate_rule(rule: Rule, states: Mapping[str, AlarmState]) -> bool:
    """True if the rule holds in ``states``, by alarm name.  Raises SimulationError for an alarm that is not there."""
    if unknown := [name for name in names_in(rule) if name not in states]:
        raise SimulationError(f"the rule names the unknown alarm {unknown[0]!r}")
    return _holds(rule, states)


def _holds(rule: Rule, states: Mapping[str, AlarmState]) -> bool:
    match rule:
        case Constant(value):
            return value
        case InState(state, alarm):
            return states[alarm] is state
        case Not(operand):
            return not _holds(operand, states)
        case And(operands):
            return all(_holds(operand, states) for operand in operands)
        case Or(operands):
            return any(_holds(operand, states) for operand in operands)
        case InOrder(first, rest):
            held = _holds(first, states)
            for both, operand in rest:
                other = _holds(operand, states)
                held = held and other if both else held or other
            return held
        case AtLeast(count, state, negated, alarms):
            return sum((states[alarm] is state) is not negated for alarm in alarms) >= count


def names_in(rule: Rule) -> tuple[str, ...]:
    """The names of the alarms a rule mentions, sorted, each once."""
    return tuple(sorted(set(_mentions(rule))))


def alarm_name(text: str) -> str:
    """The name of an alarm that is given by name or by ARN."""
    match = _ARN.fullmatch(text)
    return match.group("name") if match else text


class CircleError(SimulationError):
    """Composite alarms that mention each other; ``names`` are theirs, in the order in which they do."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        circle = " -> ".join((*names, names[0]))
        super().__init__(f"composite alarms mention each other in a circle: {circle}")


def evaluation_order(rules: Mapping[str, Rule]) -> tuple[str, ...]:
    """The composites so that each stands after those it mentions.  Raises CircleError."""
    order: dict[str, None] = {}
    path: list[str] = []
    for root in sorted(rules):
        work = [(root, False)]
        while work:
            name, leave = work.pop()
            if leave:
                path.pop()
                order[name] = None
            elif name in path:
                raise CircleError(tuple(path[path.index(name) :]))
            elif name not in order:
                path.append(name)
                work.append((name, True))
                work.extend((child, False) for child in reversed(names_in(rules[name])) if child in rules)
    return tuple(order)


def _mentions(rule: Rule) -> list[str]:
    match rule:
        case InState(_, alarm):
            return [alarm]
        case Not(operand):
            return _mentions(operand)
        case And(operands) | Or(operands):
            return [name for operand in operands for name in _mentions(operand)]
        case InOrder(first, rest):
            return [*_mentions(first), *(name for _, operand in rest for name in _mentions(operand))]
        case AtLeast(_, _, _, alarms):
            return list(alarms)
        case _:
            return []


class _Parser:
    def __init__(self, text: str, reading: Reading) -> None:
        self.reading = reading
        self.text, self.position, self.depth, self.elements = text, 0, 0, 0
        self.kind, self.token, self.start = "", "", 0
        self.advance()

    def advance(self) -> None:
        match = _TOKEN.match(self.text, self.position)
        if match is None or match.lastgroup is None:
            rest = self.text[self.position :].lstrip()
            self.start = len(self.text) - len(rest)
            if rest:
                raise self.error("a quotation mark is not closed")
            self.kind, self.token = "end", "the end"
            return
        self.kind, self.token = match.lastgroup, match.group(match.lastgroup)
        self.start, self.position = match.start(match.lastgroup), match.end()

    def error(self, message: str) -> SimulationError:
        return SimulationError(f"alarm rule, position {self.start + 1}: {message}")

    def accept(self, token: str) -> bool:
        if self.kind in ("sign", "word") and self.token == token:
            self.advance()
            return True
        return False

    def expect(self, token: str) -> None:
        if not self.accept(token):
            raise self.error(f"expected {token!r}, found {self.token!r}")

    def any_of(self) -> Rule:
        if self.reading.precedence is Precedence.LEFT_TO_RIGHT:
            return self.in_order()
        operands = [self.all_of()]
        while self.accept("OR"):
            operands.append(self.all_of())
        return operands[0] if len(operands) == 1 else Or(tuple(operands))

    def in_order(self) -> Rule:
        first, rest = self.negated(), []
        while (word := self.token) in ("AND", "OR") and self.accept(word):
            rest.append((word == "AND", self.negated()))
        return InOrder(first, tuple(rest)) if rest else first

    def all_of(self) -> Rule:
        operands = [self.negated()]
        while self.accept("AND"):
            operands.append(self.negated())
        return operands[0] if len(operands) == 1 else And(tuple(operands))

    def negated(self) -> Rule:
        negative = False
        while self.accept("NOT"):
            negative = not negative
        operand = self.one()
        return Not(operand) if negative else operand

    def one(self) -> Rule:
        if self.accept("("):
            self.elements += 1
            self.depth += 1
            if self.depth > _MAX_DEPTH:
                raise self.error(f"nested deeper than {_MAX_DEPTH} levels")
            rule = self.any_of()
            self.expect(")")
            self.depth -= 1
            return rule
        for word in ("TRUE", "FALSE"):
            if self.accept(word):
                self.elements += 1
                return Constant(word == "TRUE")
        if self.accept("AT_LEAST"):
            return self.at_least()
        state = self.state()
        self.expect("(")
        alarm = self.name()
        self.expect(")")
        return InState(state, alarm)

    def state(self) -> AlarmState:
        if self.kind == "word" and self.token in AlarmState.__members__:
            state = AlarmState(self.token)
            self.advance()
            return state
        raise self.error(
            f"expected ALARM, OK, INSUFFICIENT_DATA, AT_LEAST, TRUE, FALSE, NOT or a bracket, found {self.token!r}"
        )

    def name(self) -> str:
        if self.kind == "quoted":
            name = re.sub(r"\\(.)", r"\1", self.token[1:-1], flags=re.DOTALL)
        elif self.kind == "word":
            name = self.token
        else:
            raise self.error(f"expected the name or ARN of an alarm, found {self.token!r}")
        if not name:
            raise self.error("the name of an alarm is empty")
        self.advance()
        self.elements += 1
        return alarm_name(name)

    def at_least(self) -> Rule:
        self.expect("(")
        number, place = self.token, self.start
        if self.kind != "word" or not (number.isdecimal() or _SHARE.fullmatch(number)):
            raise self.error(f"AT_LEAST begins with a number or a percentage, found {number!r}")
        self.advance()
        self.expect(",")
        negated = self.accept("NOT")
        state = self.state()
        self.expect(",")
        self.expect("(")
        alarms = [self.name()]
        while self.accept(","):
            alarms.append(self.name())
        self.expect(")")
        self.expect(")")
        share = _SHARE.fullmatch(number)
        count = self.share(float(share.group(1)) * len(alarms) / 100) if share else int(number)
        if not 1 <= count <= len(alarms):
            self.start = place
            raise self.error(f"AT_LEAST {number} of {len(alarms)} alarms can never be, or always is, true")
        return AtLeast(count, state, negated, tuple(alarms))

    def share(self, alarms: float) -> int:
        # Rounded first: 7 % of 100 alarms is 7, not the 8 that 7.000000000000001 would give.
        exact = round(alarms, 6)
        match self.reading.at_least:
            case Share.UP:
                return math.ceil(exact)
            case Share.DOWN:
                return max(math.floor(exact), 1) if exact > 0 else 0
            case Share.NEAREST:
                return max(math.floor(exact + 0.5), 1) if exact > 0 else 0
