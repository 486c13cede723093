"""How many connections an RDS instance allows: the engine's default formula, or what its parameter group says.

Source of the formulas: RDS User Guide, "Quotas and constraints", maximum number of database connections; Aurora User
Guide, "Maximum connections to an Aurora MySQL DB instance"; of their grammar: RDS User Guide, "Specifying DB
parameters".
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable

from ..cloudformation.symbolic import Symbolic
from ..model import Resource
from .entry import Inapplicable
from .properties import known_when_deployed, mappings, named_by

PAGE = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html#RDS_Limits.MaxConnections"

_POSTGRES = "LEAST({DBInstanceClassMemory/9531392},5000)"
_AURORA_MYSQL = "GREATEST({log(DBInstanceClassMemory/805306368)*45},{log(DBInstanceClassMemory/8187281408)*1000})"

# Engine: the parameter that limits connections and its default.  The first entry that begins the engine's name holds.
_DEFAULTS: tuple[tuple[str, str, str], ...] = (
    ("aurora-postgresql", "max_connections", _POSTGRES),
    ("aurora", "max_connections", _AURORA_MYSQL),
    ("postgres", "max_connections", _POSTGRES),
    ("mysql", "max_connections", "{DBInstanceClassMemory/12582880}"),
    ("mariadb", "max_connections", "LEAST({DBInstanceClassMemory/25165760},12000)"),
    ("oracle", "processes", "LEAST({DBInstanceClassMemory/9868951},20000)"),
    ("custom-oracle", "processes", "LEAST({DBInstanceClassMemory/9868951},20000)"),
    ("db2", "max_connections", "64000"),
)


def connection_limit(instance: Resource, engine: str, memory: float) -> tuple[int, str] | Inapplicable:
    """The most connections ``instance`` allows and where that figure comes from; ``memory`` in GiB."""
    found = next((entry for entry in _DEFAULTS if engine.startswith(entry[0])), None)
    if found is None:
        return Inapplicable(f"engine {engine} sets no limit on connections by default")
    _, parameter, formula = found
    what = f"{engine}'s default {parameter}"
    group = named_by(instance.properties.get("DBParameterGroupName"), instance)
    if group is not None:
        own = next(iter(mappings(group.properties.get("Parameters"))), {}).get(parameter)
        if isinstance(own, Symbolic):
            return known_when_deployed(f"its {parameter}")
        if own is not None:
            formula, what = str(own), f"{parameter} of parameter group {group.logical_id}"
    limit = evaluate(formula, usable_memory(memory, small_aurora=formula == _AURORA_MYSQL and memory <= 8))
    if limit is None or limit < 1:
        return Inapplicable(f"its {parameter} is {formula!r}, which is no number of connections")
    return math.floor(limit), what


def usable_memory(memory: float, *, small_aurora: bool = False) -> float:
    """DBInstanceClassMemory in bytes for a class of ``memory`` GiB, rather too low than too high.

    RDS takes a share for the operating system and itself and does not publish it.  0.3 GiB and 4 % fit AWS's
    examples from below: about 60 connections for MySQL with 1 GiB, about 630 with 8 GiB.  The small classes of Aurora
    MySQL keep three quarters: 45 connections with 2 GiB, 90 with 4, 135 with 8.
    """
    if small_aurora:
        return memory * 0.75 * 2**30
    return (memory * 0.96 - 0.3) * 2**30


_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_FUNCTIONS: dict[str, Callable[[list[float]], float]] = {
    "GREATEST": max,
    "LEAST": min,
    "SUM": sum,
    "LOG": lambda values: math.log2(values[0]),
}


def evaluate(formula: str, memory: float) -> float | None:
    """The value of a parameter formula for DBInstanceClassMemory = ``memory`` bytes; None if it cannot be read."""
    try:
        tree = ast.parse(formula.replace("{", "(").replace("}", ")").strip(), mode="eval")
        value = _value(tree.body, memory)
    except (ValueError, SyntaxError, ArithmeticError, TypeError, IndexError, RecursionError, MemoryError):
        return None
    return value if math.isfinite(value) else None


def _value(node: ast.expr, memory: float) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)
        case ast.Name(id="DBInstanceClassMemory"):
            return memory
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, memory), _value(right, memory))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name.upper() in _FUNCTIONS:
            return _FUNCTIONS[name.upper()]([_value(argument, memory) for argument in arguments])
    raise ValueError(ast.dump(node))
