"""The counts before the minutes that the exporter keeps: from a history where it has them, else from CloudWatch by the hour."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from ..cloud.session import Cloud
from ..errors import CloudError, InputError
from ..history.partitions import Partition, month_of, read_rows
from ..history.schema import COVERAGE, SLI
from ..history.store import Store
from ..model import Slo
from .ledger import Count, hour_of
from .reading import Key, read_counts

_HOUR = timedelta(hours=1)

#: From the start to before the end; both are full hours.
Span = tuple[datetime, datetime]


def read_older(
    cloud: Cloud,
    store: Store | None,
    environment: str,
    slos: Mapping[Key, Slo],
    spans: Mapping[Key, Span],
    tell: Callable[[str], None],
) -> dict[Key, list[Count]]:
    """The counts of each SLO in its span.  A history that cannot be read is told of and done without.

    Raises CloudError.
    """
    found: dict[Key, list[Count]] = {key: [] for key in slos}
    wanted = {key: set(_hours(*span)) for key, span in spans.items()}
    if store is not None:
        for key in slos:
            try:
                counts, covered = _recorded(store, environment, key, spans[key])
            except (InputError, CloudError) as error:
                tell(f"{error}; the budget of {key[0]}/{key[1]} comes from CloudWatch by the hour")
                continue
            found[key] = [count for count in counts if hour_of(count[0]) in covered]
            wanted[key] -= covered
    # Those that lack the same span are asked together.
    lacking: dict[Span, dict[Key, Slo]] = {}
    for key, hours in wanted.items():
        if hours:
            lacking.setdefault((min(hours), max(hours) + _HOUR), {})[key] = slos[key]
    for (since, until), some in sorted(lacking.items()):
        for key, counts in read_counts(cloud, some, 3600, since, until).items():
            found[key] += [count for count in counts if count[0] in wanted[key]]
    return found


def _recorded(store: Store, environment: str, key: Key, span: Span) -> tuple[list[Count], set[datetime]]:
    """What a history holds of an SLO in a span, and the hours of which it has all."""
    system, slo = key
    counts: list[Count] = []
    asked: list[tuple[datetime, datetime]] = []
    for month in sorted({month_of(hour) for hour in _hours(*span)}):
        for name, at, _period, good, valid in read_rows(store, Partition(SLI, environment, system, month)):
            moment = at.replace(tzinfo=UTC)
            if name == slo and span[0] <= moment < span[1]:
                counts.append((moment, Fraction(good), Fraction(valid)))
        for row in read_rows(store, Partition(COVERAGE, environment, system, month)):
            if row[0] == slo:
                asked.append((row[1].replace(tzinfo=UTC), row[2].replace(tzinfo=UTC)))
    return counts, {hour for since, until in _joined(asked) for hour in _hours(*span) if since <= hour <= until - _HOUR}


def _joined(spans: list[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Spans that touch are one."""
    joined: list[tuple[datetime, datetime]] = []
    for since, until in sorted(spans):
        if joined and since <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], until))
        else:
            joined.append((since, until))
    return joined


def _hours(since: datetime, until: datetime) -> Iterator[datetime]:
    hour = since
    while hour < until:
        yield hour
        hour += _HOUR
