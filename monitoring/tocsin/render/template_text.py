"""CloudFormation tree → YAML text: short-form tags, literal blocks, sorted keys, the same bytes everywhere."""

from __future__ import annotations

from typing import Any

import yaml

_Base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the C emitter is about eight times as fast


class _Dumper(_Base):  # type: ignore[misc]
    """Writes intrinsic functions in their short form."""

    def ignore_aliases(self, _data: Any) -> bool:
        """Never write anchors: a template is read by people."""
        return True


def _text(dumper: Any, value: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


def _mapping(dumper: Any, value: dict[str, Any]) -> Any:
    if len(value) == 1:
        ((name, argument),) = value.items()
        if name == "Ref":
            return dumper.represent_scalar("!Ref", argument)
        if name == "Fn::Sub" and isinstance(argument, str):
            return dumper.represent_scalar("!Sub", argument, style="|" if "\n" in argument else None)
        if name == "Fn::GetAtt":
            return dumper.represent_scalar("!GetAtt", argument if isinstance(argument, str) else ".".join(argument))
        if name in ("Condition",) and isinstance(argument, str):
            return dumper.represent_scalar("!Condition", argument)
        if name in ("Fn::If", "Fn::Equals", "Fn::Not", "Fn::And", "Fn::Or", "Fn::Join"):
            return dumper.represent_sequence(f"!{name[4:]}", argument)
    return dumper.represent_mapping("tag:yaml.org,2002:map", value)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(dict, _mapping)


def to_yaml(tree: dict[str, Any], heading: str) -> str:
    """The template as YAML under a comment of one line."""
    body: str = yaml.dump(tree, Dumper=_Dumper, sort_keys=True, allow_unicode=True, width=120)
    return f"# {heading}\n{body}"
