"""Draws docs/timeline.svg: what the alarms of the notification system do in an outage, by the simulator.

``python -m docs.picture`` writes it, ``--check`` fails where it is out of date.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tocsin.alarm import AlarmState, Metric
from tocsin.simulate.series import Store
from tocsin.simulate.statistics import StatisticSet
from tocsin.simulate.template import read_template
from tocsin.simulate.timeline import Timeline, simulate
from tocsin.workspace import GeneratedFile, compare, write

ROOT = Path(__file__).parents[1]
PATH = "docs/timeline.svg"

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
FAULT, MENDED, END = START + timedelta(minutes=60), START + timedelta(minutes=80), START + timedelta(minutes=180)
REQUESTS_A_MINUTE = 120
PREFIX = "prod-notification-api-availability"

# One row for each alarm, top to bottom, and what it is called in the picture.
ROWS = (
    ("burn-1h-short", "5 min window"),
    ("burn-1h-long", "1 h window"),
    ("burn-6h-short", "30 min window"),
    ("burn-6h-long", "6 h window"),
    ("page", "page"),
)

WIDTH, LEFT, TOP, ROW, GRAPH = 860, 130, 40, 26, 90
INK, MUTED, LINE, BAD, CALM = "#24292f", "#57606a", "#d0d7de", "#b3261e", "#8fb8de"


def outage() -> Timeline:
    """A day of good service, then every request fails for twenty minutes."""
    store = Store()
    name = (("ApiId", "notifications"),)
    count, errors = Metric("AWS/ApiGateway", "Count", name), Metric("AWS/ApiGateway", "5xx", name)
    at = START - timedelta(hours=6)
    while at < END:
        failing = FAULT <= at < MENDED
        requests = REQUESTS_A_MINUTE
        store.add_statistics(count, at, StatisticSet(requests, requests, 1, 1))
        bad = requests if failing else 0
        store.add_statistics(errors, at, StatisticSet(requests, bad, int(failing), int(failing)))
        at += timedelta(minutes=1)
    template = read_template(ROOT / "alarms" / "notification.yaml", {"NotificationsApiName": "notifications"})
    return simulate(template, store, START, END)


def draw(timeline: Timeline) -> str:
    """The picture, as SVG text."""
    height = TOP + GRAPH + 34 + ROW * len(ROWS) + 46
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="13" role="img" aria-labelledby="title description">',
        '<title id="title">An outage, and what the alarms make of it</title>',
        f'<desc id="description">{_description(timeline)}</desc>',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(LEFT, 24, "Every request fails for 20 minutes: what the alarms make of it", weight=600, size=15),
        *_graph(),
        *(part for index, row in enumerate(ROWS) for part in _strip(timeline, *row, index)),
        *_axis(height),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _x(at: datetime) -> float:
    share = (at - START) / (END - START)
    return round(LEFT + share * (WIDTH - LEFT - 20), 1)


def _text(
    x: float, y: float, text: str, *, fill: str = INK, anchor: str = "start", weight: int = 400, size: int = 13
) -> str:
    return f'<text x="{x}" y="{y}" fill="{fill}" text-anchor="{anchor}" font-weight="{weight}" font-size="{size}">{text}</text>'


def _graph() -> list[str]:
    bottom = TOP + GRAPH
    points = [(START, 0), (FAULT, 0), (FAULT, 1), (MENDED, 1), (MENDED, 0), (END, 0)]
    path = " ".join(f"{_x(at)},{bottom - share * (GRAPH - 14)}" for at, share in points)
    return [
        f'<line x1="{LEFT}" y1="{bottom}" x2="{WIDTH - 20}" y2="{bottom}" stroke="{LINE}"/>',
        f'<polyline points="{path}" fill="none" stroke="{BAD}" stroke-width="2"/>',
        _text(LEFT - 10, bottom - GRAPH + 20, "100 %", fill=MUTED, anchor="end"),
        _text(LEFT - 10, bottom, "failing 0 %", fill=MUTED, anchor="end"),
    ]


def _strip(timeline: Timeline, name: str, label: str, index: int) -> list[str]:
    top = TOP + GRAPH + 18 + index * ROW
    record = timeline.changes[f"{PREFIX}-{name}"]
    told = name == "page"
    parts = [
        _text(LEFT - 10, top + 15, label, anchor="end", weight=600 if told else 400),
        f'<rect x="{LEFT}" y="{top + 4}" width="{WIDTH - 20 - LEFT}" height="{ROW - 10}" fill="#f0f3f6"/>',
    ]
    for change, following in zip(record, (*record[1:], None), strict=True):
        if change.state is AlarmState.ALARM:
            end = following.at if following else END
            width = round(_x(end) - _x(change.at), 1)
            parts.append(
                f'<rect x="{_x(change.at)}" y="{top + 4}" width="{width}" height="{ROW - 10}" fill="{BAD if told else CALM}"/>'
            )
            if told:
                parts.append(_text(_x(end) + 6, top + 15, f"{change.at:%H:%M} page, {end:%H:%M} closed", fill=MUTED))
    return parts


def _axis(height: int) -> list[str]:
    base = height - 26
    parts = [f'<line x1="{LEFT}" y1="{base}" x2="{WIDTH - 20}" y2="{base}" stroke="{LINE}"/>']
    at = START
    while at <= END:
        parts.append(f'<line x1="{_x(at)}" y1="{base}" x2="{_x(at)}" y2="{base + 5}" stroke="{MUTED}"/>')
        parts.append(_text(_x(at), base + 19, f"{at:%H:%M}", fill=MUTED, anchor="middle", size=12))
        at += timedelta(minutes=30)
    return parts


def _description(timeline: Timeline) -> str:
    page = [change for change in timeline.changes[f"{PREFIX}-page"] if change.at > FAULT]
    return (
        f"All requests fail from {FAULT:%H:%M} to {MENDED:%H:%M}. The page alarm goes into ALARM at {page[0].at:%H:%M} "
        f"and back to OK at {page[-1].at:%H:%M}."
    )


def main() -> None:
    """Write the picture, or compare it."""
    files = [GeneratedFile(PATH, draw(outage()))]
    if "--check" in sys.argv[1:]:
        drifts = compare(ROOT, files)
        for drift in drifts:
            print(f"{drift.path}: {drift.what}; run `make docs`", file=sys.stderr)
        sys.exit(bool(drifts))
    for path in write(ROOT, files).written:
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
