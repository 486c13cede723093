"""A promise in Prometheus' words: the burn-rate pairs as alerting rules, and the states expected minute by minute.

Both sides must look at the same minutes.  A minute's events carry the time at which the minute begins; CloudWatch, at
12:00, reads the hour [11:00, 12:00).  ``bad[1h] offset 30s`` reads from 10:59:30 to 11:59:30: the same sixty minutes,
and no sample lies on an edge, which Prometheus counted in before release 3 and leaves out at the left end since.

What CloudWatch does otherwise by its documentation, and Prometheus would not by itself, is written into the rules:

- a window over a day is evaluated once an hour, on data up to the full hour;
- the alarms' own gate for low traffic: so many bad events in the long window at least.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

from tocsin.burn_rate import Tier
from tocsin.model import Ranked, Severity, Slo

_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


def alert_of(tier: Tier) -> str:
    """The name of a tier's alert, such as ``burn-1h``: what stands in the names of its two alarms."""
    hours = tier.long_window // timedelta(hours=1)
    return f"burn-{hours}h" if hours < 24 else f"burn-{hours // 24}d"


def rules(
    slo: Slo,
    tiers: Sequence[Tier],
    *,
    gate: bool = True,
    hourly: bool = True,
    factors: Mapping[str, Fraction] | None = None,
) -> list[dict[str, str]]:
    """Recording rules for the windows, then alerts: one for each tier, one for each severity.

    The options break what the comparison must notice.
    """
    names = ("good", "bad", "valid") if isinstance(slo.sli.measure, Ranked) else ("bad", "valid")
    windows = sorted({window for tier in tiers for window in (tier.long_window, tier.short_window)})
    written = [
        {"record": _total(name, window), "expr": f"sum_over_time({name}[{window // _SECOND}s] offset 30s)"}
        for window in windows
        for name in names
    ]
    for tier in tiers:
        name = alert_of(tier)
        bad_ratio = tier.bad_ratio * (factors or {}).get(name, Fraction(1))
        least = slo.minimum_bad_events if gate else 1
        long = f"{_burning(slo, tier.long_window, bad_ratio)} and {_total('bad', tier.long_window)} >= {least}"
        if hourly and tier.long_window > _DAY:
            record = f"hourly:{name.replace('-', '_')}"
            written.append({"record": record, "expr": f"({long}) and on() (minute() == 0)"})
            long = f"last_over_time({record}[59m30s])"
        written.append({"alert": name, "expr": f"({long}) and ({_burning(slo, tier.short_window, bad_ratio)})"})
    for severity in Severity:
        own = "|".join(alert_of(tier) for tier in tiers if tier.severity is severity)
        if own:
            expression = f'count(ALERTS{{alertname=~"{own}", alertstate="firing"}})'
            written.append({"alert": severity.value, "expr": expression})
    return written


def _burning(slo: Slo, window: timedelta, bad_ratio: Fraction) -> str:
    """The window's share is beyond what the burn rate allows; a share of good ones is in percent, as CloudWatch's."""
    valid = _total("valid", window)
    if isinstance(slo.sli.measure, Ranked):
        return f"100 * {_total('good', window)} / {valid} < {float(100 * (1 - bad_ratio))!r}"
    return f"{_total('bad', window)} / {valid} > {float(bad_ratio)!r}"


def _total(series: str, window: timedelta) -> str:
    """The recorded number of events of a window."""
    return f"{series}:{window // _SECOND}s"


def write_test(
    folder: Path,
    rules: Sequence[Mapping[str, str]],
    series: Mapping[str, Sequence[int | None]],
    firing: Mapping[str, Iterable[bool]],
) -> Path:
    """The files of ``promtool test rules``: ``firing`` holds, by alert, its state at every minute from the first on."""
    (folder / "rules.json").write_text(json.dumps({"groups": [{"name": "slo", "rules": rules}]}), encoding="utf-8")
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": " ".join(_run_lengths(values))} for name, values in series.items()],
        "alert_rule_test": [
            {"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": [{}] if fires else []}
            for alert, states in firing.items()
            for minute, fires in enumerate(states)
        ],
    }
    # promtool reads YAML, of which JSON is a part.
    path = folder / "test.json"
    path.write_text(
        json.dumps({"rule_files": ["rules.json"], "evaluation_interval": "1m", "tests": [test]}), encoding="utf-8"
    )
    return path


def _run_lengths(values: Sequence[int | None]) -> Iterator[str]:
    """Values in promtool's notation: ``5x3`` is a five and three more, ``_x3`` three minutes without a sample."""
    begin = 0
    for end in range(1, len(values) + 1):
        if end == len(values) or values[end] != values[begin]:
            length = end - begin
            yield f"_x{length}" if values[begin] is None else f"{values[begin]}x{length - 1}"
            begin = end
