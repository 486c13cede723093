"""Our rules on a dashboard's shape: ids, places, schema version, threshold steps."""

from __future__ import annotations

from typing import Any

from .subject import Found, Subject, title

_UID_LENGTH = 40  # Grafana's limit
_COLUMNS = 24
_PAGE = 20  # rows of a state timeline on a page, unless it says otherwise


def grid_bounds(subject: Subject) -> Found:
    """Panels lie inside the 24 columns."""
    for panel in subject.panels:
        place = panel.get("gridPos") or {}
        x, width = place.get("x", 0), place.get("w", 0)
        if x < 0 or width < 1 or place.get("h", 0) < 1 or x + width > _COLUMNS:
            yield title(panel), f"x {x} and width {width} leave the {_COLUMNS} columns, or it has no size"


def grid_overlap(subject: Subject) -> Found:
    """No two panels of one level cover each other."""
    levels = [subject.dashboard.get("panels", ())]
    levels += [panel["panels"] for panel in subject.panels if panel.get("panels")]
    for level in levels:
        covered: dict[tuple[int, int], str] = {}
        for panel in level:
            place = panel.get("gridPos") or {}
            cells = [
                (x, y)
                for x in range(place.get("x", 0), place.get("x", 0) + place.get("w", 0))
                for y in range(place.get("y", 0), place.get("y", 0) + place.get("h", 0))
            ]
            under = sorted({covered[cell] for cell in cells if cell in covered})
            if under:
                yield title(panel), f"covers {', '.join(under)}"
            covered.update(dict.fromkeys(cells, title(panel)))


def panel_ids(subject: Subject) -> Found:
    """Every panel has an id of its own."""
    seen: dict[Any, str] = {}
    for panel in subject.panels:
        number = panel.get("id")
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            yield title(panel), "no id"
        elif number in seen:
            yield title(panel), f"has id {number}, as {seen[number]!r} has"
        else:
            seen[number] = title(panel)


def uid_length(subject: Subject) -> Found:
    """The uid is there and has at most 40 characters."""
    uid = str(subject.dashboard.get("uid") or "")
    if not uid or len(uid) > _UID_LENGTH:
        yield "", f"uid {uid!r} must have 1 to {_UID_LENGTH} characters"


def threshold_steps(subject: Subject) -> Found:
    """Threshold steps are numbers in rising order after a first null."""
    for panel in subject.panels:
        config = panel.get("fieldConfig", {})
        found = [config.get("defaults", {}).get("thresholds")]
        found += [
            option.get("value")
            for override in config.get("overrides", ())
            for option in override.get("properties", ())
            if option.get("id") == "thresholds"
        ]
        for thresholds in found:
            steps = (thresholds or {}).get("steps") or ()
            values = [step.get("value") for step in steps]
            rest = values[1:]
            if values and values[0] is not None:
                yield title(panel), f"the first threshold step must have the value null, not {values[0]!r}"
            if not all(isinstance(value, int | float) for value in rest):
                yield title(panel), "a threshold step has no number as its value"
            elif rest != sorted(rest):
                yield title(panel), "threshold steps must rise"


def schema_version(subject: Subject) -> Found:
    """A modern schema version: Grafana replays migrations for an older one, and drops support for the oldest."""
    version = subject.dashboard.get("schemaVersion")
    if not isinstance(version, int) or not 39 <= version <= 42:
        yield "", f"schemaVersion {version!r}: write 41, so that Grafana 11 to 13 read the file as it is"


def timeline_pages(subject: Subject) -> Found:
    """A state timeline shows all its rows on one page: what is on the second one is not seen."""
    for panel in subject.panels:
        if panel.get("type") == "state-timeline":
            rows = sum(1 for target in panel.get("targets") or () if not target.get("hide"))
            page = panel.get("options", {}).get("perPage", _PAGE)
            if rows > page:
                yield title(panel), f"{rows} rows, {page} a page: set perPage"


def legend_shown(subject: Subject) -> Found:
    """Time series say whether their legend is shown: without a word newer Grafana hides it."""
    for panel in subject.panels:
        if panel.get("type") == "timeseries" and "showLegend" not in panel.get("options", {}).get("legend", {}):
            yield title(panel), "legend without showLegend"
