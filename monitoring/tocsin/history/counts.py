"""Counts: an SLI as plain metric queries, and their values as good and valid events, as the SLO's alarms count them.

The alarms do it in metric math (`burn_rate`), once for a whole window; here it is done once for each period, without
their gate for little traffic, so that the counts of any stretch of time add up to what an alarm over it would count.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from fractions import Fraction

from ..alarm import MetricQuery, MetricStat
from ..model import Counted, Ranked, Slo

Values = Mapping[str, Mapping[datetime, float]]
Count = tuple[datetime, Fraction, Fraction]

_HALF = Fraction(1, 2)


def queries_of(slo: Slo, period: int) -> tuple[MetricQuery, ...]:
    """The metrics an SLI is counted by, in datapoints of ``period`` seconds; the ids are unique within the SLO."""
    measure = slo.sli.measure
    if isinstance(measure, Counted):
        bad = "Maximum" if measure.bad_is_level else measure.bad_statistic
        stats = {
            "bad": MetricStat(measure.bad, bad, period),
            "valid": MetricStat(measure.valid, measure.valid_statistic, period),
        }
    elif isinstance(measure, Ranked):
        rank = measure.statistic
        stats = {
            "good": MetricStat(measure.metric, rank, period),
            "count": MetricStat(measure.metric, "SampleCount", period),
        }
    else:
        stats = {"started": MetricStat(measure.started, "Sum", period)}
        if measure.failed is not None and not measure.also:
            stats["failed"] = MetricStat(measure.failed, "Sum", period)
        for number, metric in enumerate(measure.also, 2):
            stats[f"started{number}"] = MetricStat(metric, "Sum", period)
    return tuple(MetricQuery(id=name, stat=stat) for name, stat in stats.items())


def needs_before(slo: Slo) -> tuple[str, ...]:
    """The queries of which the datapoint before the first period is needed, too: a level counts what it rose by."""
    measure = slo.sli.measure
    return ("bad",) if isinstance(measure, Counted) and measure.bad_is_level else ()


def counts_of(slo: Slo, period: int, values: Values) -> list[Count]:
    """Start of the period, good and valid events of each period with a datapoint, oldest first.

    ``values`` is query id → start of the period → value; a query that is not there has no datapoint.  A level is held
    against the period before, where it was 0 if it has no datapoint there, as the alarms have it.

    Exact.  Good events are those that are valid and not bad: where the bad ones of a period outnumber its valid ones,
    because they began in the period before, there are fewer than none, and only the sum over both is meaningful.
    """
    measure = slo.sli.measure
    if isinstance(measure, Counted):
        return _counted(measure, period, values)
    if isinstance(measure, Ranked):
        return _ranked(values)
    return _heartbeat(values)


def _counted(measure: Counted, period: int, values: Values) -> list[Count]:
    bad_values, valid_values = values.get("bad", {}), values.get("valid", {})
    before = timedelta(seconds=period)
    found = []
    for at in sorted(bad_values.keys() | valid_values.keys()):
        bad = Fraction(bad_values.get(at, 0))
        if measure.bad_is_level:
            bad = max(Fraction(0), bad - Fraction(bad_values.get(at - before, 0)))
        valid = Fraction(valid_values.get(at, 0))
        if not measure.bad_in_valid:
            valid += bad
        found.append((at, valid - bad, valid))
    return found


def _ranked(values: Values) -> list[Count]:
    """The rank is a percentage of whole samples that CloudWatch has rounded; to the next whole sample it is exact.

    Where the events are minutes there is one sample in each, so that this counts minutes.
    """
    good_values, count_values = values.get("good", {}), values.get("count", {})
    found = []
    for at in sorted(count_values):
        count = Fraction(count_values[at])
        good = Fraction((count * Fraction(good_values.get(at, 100)) / 100 + _HALF).__floor__())
        found.append((at, min(max(good, Fraction(0)), count), count))
    return found


def _heartbeat(values: Values) -> list[Count]:
    """Runs begun and those that did not fail; of counters of successes the two are the same."""
    failed = values.get("failed", {})
    started = [series for name, series in values.items() if name != "failed"]
    found = []
    for at in sorted({at for series in (*started, failed) for at in series}):
        begun = sum((Fraction(series.get(at, 0)) for series in started), Fraction(0))
        found.append((at, begun - Fraction(failed.get(at, 0)), begun))
    return found
