"""grafanalib object → classic dashboard JSON that Grafana 11 to 13 reads without a migration.

grafanalib 0.7.1 writes schema version 12 with keys that Grafana's migrations turn into wrong data: a string "null" as
threshold, shared-crosshair flags that overwrite ``graphTooltip``, 100 data points a panel.  Nothing it emits leaves
this package without passing here.
"""

from __future__ import annotations

from json.encoder import encode_basestring
from typing import Any

#: What Grafana 11.6 writes itself; 42 is the last of the classic format.
SCHEMA_VERSION = 41

_DASHBOARD_KEYS = frozenset({"__inputs", "gnetId", "hideControls", "id", "rows", "sharedCrosshair", "style", "version"})
_PANEL_KEYS = frozenset(
    {
        "cacheTimeout",
        "editable",
        "error",
        "height",
        "hideTimeOverride",
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
    fields = panel["fieldConfig"]
    fields.setdefault("overrides", [])
    if not fields["defaults"].get("mappings"):
        fields["defaults"].pop("mappings", None)
    return panel


def _plain(value: Any) -> Any:
    """``value`` with every grafanalib object replaced by its data and every null key left out.

    A null inside a list of numbers or in a threshold's first ``value`` is data and stays.
    """
    if hasattr(value, "to_json_data"):
        value = value.to_json_data()
    if isinstance(value, dict):
        return {
            key: _plain(item)
            for key, item in value.items()
            if item is not None or (key == "value" and "color" in value)
        }
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def to_json(dashboard: dict[str, Any]) -> str:
    """The file's text: keys sorted, two spaces, a newline at the end; the same bytes for the same dashboard.

    Equal to ``json.dumps(…, indent=2, sort_keys=True, ensure_ascii=False)`` in a third of its time: with an indent
    the standard library does not use its C encoder.
    """
    parts: list[str] = []
    _write(dashboard, "\n", parts.append)
    parts.append("\n")
    return "".join(parts)


def _write(value: Any, newline: str, out: Any) -> None:
    if isinstance(value, str):
        out(encode_basestring(value))
    elif value is None:
        out("null")
    elif value is True:
        out("true")
    elif value is False:
        out("false")
    elif isinstance(value, dict):
        if not value:
            out("{}")
            return
        inner = newline + "  "
        opening = "{" + inner
        for key in sorted(value):
            out(opening)
            out(encode_basestring(key))
            out(": ")
            _write(value[key], inner, out)
            opening = "," + inner
        out(newline + "}")
    elif isinstance(value, list | tuple):
        if not value:
            out("[]")
            return
        inner = newline + "  "
        opening = "[" + inner
        for item in value:
            out(opening)
            _write(item, inner, out)
            opening = "," + inner
        out(newline + "]")
    else:
        out(repr(value))
