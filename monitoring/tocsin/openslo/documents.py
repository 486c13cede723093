"""OpenSLO documents as YAML text: the same bytes for the same documents, numbers as exact as they were."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from ..errors import InputError
from ..units import exact_decimal


class Decimals(str):
    """A number that is written as these digits."""

    __slots__ = ()


def decimals(value: Fraction) -> Decimals | None:
    """The exact decimal of a ratio, such as ``0.999``; None where it never ends."""
    text = exact_decimal(value)
    return None if text is None else Decimals(text)


def to_yaml(documents: Iterable[dict[str, Any]]) -> str:
    """The documents as one stream.  Raises InputError for text that YAML cannot hold."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Numbers as they are, texts of several lines as blocks, no aliases."""

        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 (no value is one of another's)
            return True

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 (lists are indented)
            super().increase_indent(flow, False)

    def number(dumper: yaml.SafeDumper, value: Decimals) -> yaml.ScalarNode:
        kind = "float" if "." in value else "int"
        return dumper.represent_scalar(f"tag:yaml.org,2002:{kind}", str(value))

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        # Unicode's next line is a line break to YAML, and PyYAML escapes it in double quotes only.
        style = '"' if "\x85" in value else "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(Decimals, number)
    Dumper.add_representer(str, text)
    try:
        return yaml.dump_all(
            documents, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=10_000, explicit_start=True
        )
    except yaml.YAMLError as error:
        raise InputError(f"cannot be written as YAML: {error}") from None
