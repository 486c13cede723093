"""The traffic of an invented October for both reference systems: seeded samples of every metric, minute by minute.

What happens in it is in ``EVENTS``.  `examples/make_month.py` puts it into an embedded AWS; a test holds the committed
history against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from tocsin.alarm import Metric
from tocsin.backtest.traffic import arrivals, by_chance, diurnal, generator
from tocsin.simulate.series import Store

SEED = 10
MONTH = "2026-10"
#: Two days before the month, so that every window holds data when it begins; and the end.
BEGIN, FIRST, END = (
    datetime(2026, 9, 29, tzinfo=UTC),
    datetime(2026, 10, 1, tzinfo=UTC),
    datetime(2026, 11, 1, tzinfo=UTC),
)
MINUTES = (END - BEGIN) // timedelta(minutes=1)

Floats = NDArray[np.float64]

#: Day and hour in October (UTC) → what happens, in the order of time.
EVENTS = {
    "06 09:30": "a drill: the page of api-availability is forced for three minutes, and nothing burns",
    "07 10:15": "a deployment: a fifth of the API's answers are errors for three minutes",
    "10 00:00": "a quiet weekend: an eighth of the usual requests for two days",
    "13 13:07": "an outage of the API: two of five answers are errors for 35 minutes",
    "16 05:45": "a slow table: messages wait for up to 100 minutes, for 40 minutes",
    "19 06:00": "a slow leak: ever more answers are slow, up to 7 % after 81 hours, when a restart ends it",
    "20 09:00": "a sender's new format: three of five files are rejected for three hours",
    "23 05:50": "a daily run that begins 80 minutes late: a third of the notifications come after 06:30",
    "26 15:00": "a dependency that flaps: five times six minutes with 8 % errors",
    "28 04:52": "a dead letter: the day is not done until somebody sends it back at 10:40",
    "29 14:14": "a failover of the database: no load succeeds for 17 minutes",
}

API, STAGE = (("ApiId", "${NotificationsApiName}"),), (("ApiId", "${NotificationsApiName}"), ("Stage", "live"))
LATE_MILLISECONDS, IN_TIME_MILLISECONDS = (1200.0, 2600.0), (45.0, 120.0, 310.0)


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """``counts[i, j]`` samples of ``values[j]`` in minute ``i``."""

    metric: Metric
    values: tuple[float, ...]
    counts: Floats
    unit: str = "Count"

    def at(self, minute: int) -> Iterator[tuple[float, float]]:
        """Value and count of what was sampled in a minute."""
        for value, count in zip(self.values, self.counts[minute], strict=True):
            if count:
                yield value, float(count)


def month(seed: int = SEED) -> tuple[Samples, ...]:
    """Every metric of the month, with placeholders for the names of what is deployed."""
    return (*_api(seed), *_daily_run(seed), *_pipeline(seed))


def named(samples: Samples, names: Mapping[str, str]) -> Samples:
    """With the values of placeholders."""
    dimensions = tuple(
        (key, names.get(value.removeprefix("${").removesuffix("}"), value)) for key, value in samples.metric.dimensions
    )
    return replace(samples, metric=replace(samples.metric, dimensions=dimensions))


def store(these: Sequence[Samples]) -> Store:
    """The samples as what an alarm reads."""
    found = Store()
    times = int(BEGIN.timestamp()) + 60 * np.arange(MINUTES, dtype=np.int64)
    for one in these:
        for place, value in enumerate(one.values):
            found.add_samples(one.metric, times, np.full(MINUTES, value), one.counts[:, place], unit=one.unit)
    return found


def minute(text: str) -> int:
    """The minute of a moment in October: ``"13 13:07"``."""
    return (datetime.strptime(f"2026-10-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC) - BEGIN) // timedelta(minutes=1)


def _during(text: str, minutes: int) -> slice:
    return slice(minute(text), minute(text) + minutes)


def _weekdays(quiet: float) -> Floats:
    """1 in each minute of a working day, ``quiet`` at weekends."""
    days = np.arange(MINUTES) // 1440 + BEGIN.weekday()
    return np.where(days % 7 >= 5, quiet, 1.0)


def _column(*columns: Floats) -> Floats:
    return np.column_stack(columns)


def _split(random: np.random.Generator, total: Floats, parts: int) -> list[Floats]:
    """Counts that add up to ``total``, about the same in each part."""
    left, found = total.astype(np.int64), []
    for rest in range(parts, 1, -1):
        one = random.binomial(left, 1 / rest)
        found.append(one.astype(np.float64))
        left = left - one
    return [*found, left.astype(np.float64)]


def _api(seed: int) -> Iterator[Samples]:
    random = generator(seed, "api")
    rate = diurnal(MINUTES, 120) * _weekdays(0.45)
    rate[_during("10 00:00", 2 * 1440)] *= 0.125 / 0.45
    valid = arrivals(random, rate)
    failing = np.full(MINUTES, 0.00003)
    failing[_during("07 10:15", 3)] = 0.2
    failing[_during("13 13:07", 35)] = 0.4
    for burst in range(5):
        begin = minute("26 15:00") + 30 * burst
        failing[begin : begin + 6] = 0.08
    bad = by_chance(random, valid, failing)
    slow = np.full(MINUTES, 0.002)
    leak = _during("19 06:00", 81 * 60)
    slow[leak] += np.linspace(0, 0.07, 81 * 60)
    late = by_chance(random, valid, slow)
    times = _column(
        *_split(random, valid - late, len(IN_TIME_MILLISECONDS)), *_split(random, late, len(LATE_MILLISECONDS))
    )
    for dimensions in (API, STAGE):
        yield Samples(Metric("AWS/ApiGateway", "Count", dimensions), (1.0,), _column(valid))
        yield Samples(Metric("AWS/ApiGateway", "5xx", dimensions), (0.0, 1.0), _column(valid - bad, bad))
        yield Samples(
            Metric("AWS/ApiGateway", "Latency", dimensions),
            (*IN_TIME_MILLISECONDS, *LATE_MILLISECONDS),
            times,
            "Milliseconds",
        )
    reader = (("FunctionName", "${GetNotificationsName}"),)
    yield Samples(Metric("AWS/Lambda", "Invocations", reader), (1.0,), _column(valid))
    yield Samples(Metric("AWS/Lambda", "Errors", reader), (0.0, 1.0), _column(valid - bad, bad))


def _daily_run(seed: int) -> Iterator[Samples]:
    """From 04:30 on, each day: some sixteen thousand records in fifty minutes."""
    random = generator(seed, "daily run")
    on_time, late, deleted, done = (np.zeros(MINUTES) for _ in range(4))
    age, letters = np.zeros(MINUTES), np.zeros(MINUTES)
    for day in range(MINUTES // 1440):
        midnight = day * 1440
        begin = minute("23 05:50") if midnight == minute("23 00:00") else midnight + 4 * 60 + 30
        length = int(random.integers(46, 54))
        during = np.arange(begin, begin + length)
        records = random.poisson(16_000 / length, length).astype(np.float64)
        deadline = midnight + 6 * 60 + 30
        on_time[during], late[during] = (
            np.where(during < deadline, records, 0),
            np.where(during >= deadline, records, 0),
        )
        deleted[during] = random.poisson(6, length)
        # Mondays have twice the messages of other days.
        monday = (BEGIN + timedelta(days=day)).weekday() == 0
        age[during] = np.linspace(20, 60 * length / (2 if monday else 4), length).round()
        done[begin + length] = 1
    slow = _during("16 05:45", 40)
    age[slow] = np.linspace(4600, 6000, 40).round()
    # The run of the 28th leaves a dead letter, and its day is done when that has been sent back.
    letters[minute("28 04:52") : minute("28 10:40")] = 1
    (ended,) = np.flatnonzero(done[minute("28 00:00") : minute("29 00:00")]) + minute("28 00:00")
    done[ended], done[minute("28 10:41")] = 0, 1
    generates = (("FunctionName", "${MessageGeneratorName}"),)
    for name, counts in (("RecordsOnTime", on_time), ("RecordsLate", late)):
        # A record is counted in batches of up to a thousand; here each minute's are one.
        yield Samples(Metric("Notification", name, generates), (1.0,), _column(counts))
    yield Samples(Metric("Notification", "RunCompleted", generates), (1.0,), _column(done))
    queue, dead = (("QueueName", "${GenerateMessageName}"),), (("QueueName", "${GenerateMessageDeadLettersName}"),)
    yield Samples(Metric("AWS/SQS", "NumberOfMessagesDeleted", queue), (1.0,), _column(deleted))
    yield _gauge(Metric("AWS/SQS", "ApproximateAgeOfOldestMessage", queue), age, "Seconds")
    yield _gauge(Metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", dead), letters)


def _gauge(metric: Metric, level: Floats, unit: str = "Count") -> Samples:
    """One sample a minute."""
    values = np.unique(level)
    return Samples(metric, tuple(values.tolist()), (level[:, None] == values[None, :]).astype(np.float64), unit)


def _pipeline(seed: int) -> Iterator[Samples]:
    random = generator(seed, "pipeline")
    hour = np.arange(MINUTES) // 60 % 24
    files = arrivals(random, np.where((hour >= 6) & (hour < 20), 0.24, 0.02) * _weekdays(0.2))
    refused = np.full(MINUTES, 0.002)
    refused[_during("20 09:00", 180)] = 0.6
    down = np.zeros(MINUTES, dtype=bool)
    down[_during("29 14:14", 17)] = True
    rejected = by_chance(random, files, refused)
    # While the database is away each load is tried three times; the files are loaded when it is back.
    failed = np.where(down, 3 * files, 0)
    waiting = float(files[down].sum())
    loaded = np.where(down, 0, files - rejected)
    rejected = np.where(down, 0, rejected)
    late = np.zeros(MINUTES)
    late[minute("29 14:31")] = waiting
    rows = random.poisson(4_000 * np.maximum(loaded, 0)).astype(np.float64)
    broken = np.full(MINUTES, 0.0004)
    broken[_during("20 09:00", 180)] = 0.004
    bad_rows = by_chance(random, rows, broken)
    loader = (("FunctionName", "${LoaderName}"),)
    loaded = loaded + late
    for name, counts in (("FilesLoaded", loaded), ("FilesRejected", rejected)):
        yield Samples(Metric("DataPipeline", name, loader), (1.0,), _column(counts))
    for name, counts in (("RowsRead", rows), ("RowsRejected", bad_rows)):
        yield Samples(Metric("DataPipeline", name, loader), (1.0,), _column(counts))
    quick, medium = _split(random, loaded - late, 2)
    yield Samples(
        Metric("DataPipeline", "SecondsToQueryable", loader),
        (6.0, 21.0, 1020.0),
        _column(quick, medium, late),
        "Seconds",
    )
    runs = loaded + rejected + failed
    yield Samples(Metric("AWS/Lambda", "Invocations", loader), (1.0,), _column(runs))
    yield Samples(Metric("AWS/Lambda", "Errors", loader), (0.0, 1.0), _column(runs - failed, failed))
    database = (("DBInstanceIdentifier", "${DatabaseName}"),)
    yield _gauge(Metric("AWS/RDS", "CPUUtilization", database), np.minimum(8 + 4 * np.round(runs), 60), "Percent")
