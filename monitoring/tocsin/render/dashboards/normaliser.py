"""grafanalib object → classic dashboard JSON that Grafana 11 to 13 reads without a migration.

grafanalib 0.7.1 writes schema version 12 with keys that Grafana's migrations turn into wrong data: a string "null" as
threshold, shared-crosshair flags that overwrite ``graphTooltip``, 100 data points a panel.  Nothing it emits leaves
this package without passing here.
"""

from __future__ import annotations

from functools import cache, lru_cache
from json.encoder import encode_basestring
from typing import Any

from .targets import DATASOURCE, MetricsTarget

#: What Grafana 11.6 writes itself; 42 is the last of the classic format.
SCHEMA_VERSION = 41

_CONSTANTS: dict[Any, str] = {None: "null", True: "true", False: "false"}
_SCALARS = frozenset({str, int, bool, float})
_DASHBOARD_KEYS = frozenset({"__inputs", "gnetId", "hideControls", "id", "rows", "sharedCrosshair", "style", "version"})
_PANEL_KEYS = frozenset(
    {
        "cacheTimeout",
        "editable",
        "error",
        "height",
        "maxDataPoints",
        "minSpan",
        "repeatDirection",
        "span",
    }
)
_ROW_KEYS = frozenset({"collapsed", "gridPos", "id", "panels", "title", "type"})
_TIMEPICKER_KEYS = frozenset({"time_options"})


def normalise(dashboard: Any) -> dict[str, Any]:
    """The dashboard as plain data, with unknown keys and nulls gone and the schema version set."""
    raw = _plain(dashboard)
    result = {key: value for key, value in raw.items() if key not in _DASHBOARD_KEYS}
    result["schemaVersion"] = SCHEMA_VERSION
    result["panels"] = [_panel(panel) for panel in raw["panels"]]
    result["timepicker"] = {key: value for key, value in raw["timepicker"].items() if key not in _TIMEPICKER_KEYS}
    return result


def _panel(raw: dict[str, Any]) -> dict[str, Any]:
    if raw["type"] == "row":
        row = {key: value for key, value in raw.items() if key in _ROW_KEYS}
        row["panels"] = [_panel(panel) for panel in raw["panels"]]
        return row
    panel = {key: value for key, value in raw.items() if key not in _PANEL_KEYS}
    if not panel.get("hideTimeOverride"):
        panel.pop("hideTimeOverride", None)
    fields = panel["fieldConfig"]
    fields.setdefault("overrides", [])
    if not fields["defaults"].get("mappings"):
        fields["defaults"].pop("mappings", None)
    return panel


def _plain(value: Any) -> Any:
    """``value`` with every grafanalib object replaced by its data and every null key left out.

    A null inside a list of numbers or in a threshold's first ``value`` is data and stays.
    """
    kind = type(value)
    if kind is MetricsTarget:
        return value.to_json_data()  # plain already, and most of a dashboard
    if kind is not dict and kind is not list and hasattr(value, "to_json_data"):
        value = value.to_json_data()
    if isinstance(value, dict):
        return {
            key: item if type(item) in _SCALARS else _plain(item)
            for key, item in value.items()
            if item is not None or (key == "value" and "color" in value)
        }
    if isinstance(value, list | tuple):
        return [item if type(item) in _SCALARS else _plain(item) for item in value]
    return value


def to_json(dashboard: dict[str, Any]) -> str:
    """The file's text: keys sorted, two spaces, a newline at the end; the same bytes for the same dashboard.

    Equal to ``json.dumps(…, indent=2, sort_keys=True, ensure_ascii=False)`` in half its time: with an indent
    the standard library does not use its C encoder.
    """
    return _text(dashboard, "\n") + "\n"


@cache
def _datasource(newline: str) -> str:
    # Every query carries it.
    return _text(dict(DATASOURCE), newline)


@lru_cache(maxsize=1024)
def _form(keys: tuple[str, ...], newline: str) -> tuple[tuple[str, ...], str]:
    """The keys in their order and the text around their values: hundreds of queries have the same."""
    order = tuple(sorted(keys))
    inner = newline + "  "
    lines = [f"{encode_basestring(key)}: ".replace("%", "%%") + "%s" for key in order]
    return order, "{" + inner + ("," + inner).join(lines) + newline + "}"


def _text(value: Any, newline: str) -> str:
    kind = type(value)
    if kind is str:
        return encode_basestring(value)
    if value is DATASOURCE:
        return _datasource(newline)
    if kind is dict:
        if not value:
            return "{}"
        inner = newline + "  "
        order, form = _form(tuple(value), newline)
        # Nine of ten values are texts, numbers and switches: those need no call of their own.
        texts = []
        for key in order:
            item = value[key]
            kind = type(item)
            if kind is str:
                texts.append(encode_basestring(item))
            elif kind is bool:
                texts.append("true" if item else "false")
            elif kind is int:
                texts.append(repr(item))
            else:
                texts.append(_text(item, inner))
        return form % tuple(texts)
    if kind is list:
        if not value:
            return "[]"
        inner = newline + "  "
        return "[" + inner + ("," + inner).join([_text(item, inner) for item in value]) + newline + "]"
    if isinstance(value, str):
        return encode_basestring(value)
    return _CONSTANTS[value] if value is None or kind is bool else repr(value)
