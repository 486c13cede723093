"""CloudFormation tree → YAML text: short-form tags, literal blocks, sorted keys, the same bytes everywhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from io import StringIO
from typing import Any

import yaml
from yaml.events import (
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the C emitter is about eight times as fast
_RESOLVER: Any = yaml.SafeDumper(StringIO())
_TEXT, _MAP, _SEQ = "tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"
# What a function takes in its short form.  Longer than this the long form reads as well.
_OF_TEXT = {"Ref": "!Ref", "Fn::Sub": "!Sub", "Fn::GetAtt": "!GetAtt", "Condition": "!Condition"}
_OF_LIST = {f"Fn::{name}": f"!{name}" for name in ("If", "Equals", "Not", "And", "Or", "Join")}


def to_yaml(tree: dict[str, Any], heading: str) -> str:
    """The template as YAML under a comment of one line.

    Goes straight to the emitter: PyYAML's own way by nodes, for which it looks for anchors and resolves each text
    twice, takes more than double the time.
    """
    text = StringIO()
    dumper = _Dumper(text, allow_unicode=True, width=120)
    emit: Callable[[Event], None] = dumper.emit
    emit(StreamStartEvent())
    emit(DocumentStartEvent(explicit=False))
    _write(emit, tree)
    emit(DocumentEndEvent(explicit=False))
    emit(StreamEndEvent())
    return f"# {heading}\n{text.getvalue()}"


def _write(emit: Callable[[Event], None], value: Any) -> None:
    if isinstance(value, str):
        emit(ScalarEvent(None, _TEXT, _implicit(value), value, style=_style(value)))
    elif isinstance(value, dict):
        if len(value) == 1 and _write_function(emit, *next(iter(value.items()))):
            return
        emit(MappingStartEvent(None, _MAP, True, flow_style=False))
        for key in sorted(value):
            _write(emit, key)
            _write(emit, value[key])
        emit(MappingEndEvent())
    elif isinstance(value, list):
        _write_list(emit, value, _SEQ, implicit=True)
    else:
        node = _RESOLVER.represent_data(value)
        emit(ScalarEvent(None, node.tag, (True, False), node.value))


def _write_function(emit: Callable[[Event], None], name: str, argument: Any) -> bool:
    """Write an intrinsic function in its short form, if it has one."""
    if name == "Fn::GetAtt" and isinstance(argument, list):
        argument = ".".join(argument)
    if name in _OF_TEXT and isinstance(argument, str):
        emit(ScalarEvent(None, _OF_TEXT[name], (False, False), argument, style=_style(argument)))
        return True
    if name in _OF_LIST and isinstance(argument, list):
        _write_list(emit, argument, _OF_LIST[name], implicit=False)
        return True
    return False


def _write_list(emit: Callable[[Event], None], items: list[Any], tag: str, *, implicit: bool) -> None:
    emit(SequenceStartEvent(None, tag, implicit, flow_style=False))
    for item in items:
        _write(emit, item)
    emit(SequenceEndEvent())


def _style(text: str) -> str | None:
    return "|" if "\n" in text else None


@lru_cache(maxsize=10_000)
def _implicit(text: str) -> tuple[bool, bool]:
    """Whether the text is read back as text when it is written plain, and when it is quoted."""
    return bool(_RESOLVER.resolve(yaml.ScalarNode, text, (True, False)) == _TEXT), True
