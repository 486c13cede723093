"""The tables of a history: their columns, types and meaning, from which Parquet files, Glue tables and documents are made.

A history is a folder, or a prefix in S3, of Parquet files::

    <history>/v1/<table>/environment=<env>/system=<system>/month=<YYYY-MM>/rows.parquet

``environment``, ``system`` and ``month`` (of UTC) are partition keys: they stand in the path and not in the file.  A
partition is one file, always replaced as a whole, so no row is there twice.  All moments are UTC without a zone.  A change of meaning is a new ``VERSION``, so that old files are never misread.
"""

from __future__ import annotations

from dataclasses import dataclass

#: First folder of every path.  It changes whenever a column changes its meaning.
VERSION = "v1"

#: Decimal places of counts.  A counter that is not whole is rounded to a thousandth of an event when it is pulled.
DECIMALS = 3

#: What stands in each file's path, outermost first; all are text.
PARTITIONS = ("environment", "system", "month")


@dataclass(frozen=True, slots=True)
class Column:
    """One column.  ``type`` is written the same in DuckDB, and in Athena but for ``athena_type``."""

    name: str
    type: str
    meaning: str
    nullable: bool = False

    @property
    def athena_type(self) -> str:
        """As the Glue catalog writes it."""
        return {"VARCHAR": "string", "TIMESTAMP": "timestamp", "INTEGER": "int"}.get(self.type, self.type.lower())


@dataclass(frozen=True, slots=True)
class Table:
    """One table.  ``key`` are the columns that are unique within a partition, by which its rows are sorted."""

    name: str
    meaning: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]


_SLO = Column("slo", "VARCHAR", "name of the SLO within its system")
_COUNT = f"DECIMAL(18,{DECIMALS})"

SLI = Table(
    "sli",
    "Good and valid events of each SLO, a row for each period with a datapoint; a period without a row, inside what "
    "coverage says was asked, had no datapoint.",
    ("slo", "at"),
    (
        _SLO,
        Column("at", "TIMESTAMP", "start of the period"),
        Column("period", "INTEGER", "seconds that the row stands for: the finest that CloudWatch still had"),
        Column("good", _COUNT, "good events; of a heartbeat, successes"),
        Column("valid", _COUNT, "valid events; of a heartbeat, runs begun"),
    ),
)
COVERAGE = Table(
    "coverage",
    "What has been asked of CloudWatch, so that it is never asked twice; a span that is not here is unknown, not silent.",
    ("slo", "since"),
    (
        _SLO,
        Column("since", "TIMESTAMP", "start of the span"),
        Column("until", "TIMESTAMP", "end of the span; not part of it"),
        Column("period", "INTEGER", "seconds of the rows in it"),
    ),
)
PROMISE = Table(
    "promise",
    "What was promised from when on, as the declarations said at each pull that saw a change.  The first row of an SLO "
    "holds for all time before it; a row with kind 'vanished' ends it.",
    ("slo", "since"),
    (
        _SLO,
        Column("since", "TIMESTAMP", "when this was first seen"),
        Column("kind", "VARCHAR", "availability, latency, freshness, completeness, heartbeat, or vanished"),
        Column("objective", "VARCHAR", "the exact fraction, such as 999/1000; null for a heartbeat", nullable=True),
        Column("seconds", "INTEGER", "length of its rolling window; of a heartbeat, within which a success is due"),
        Column("good", "VARCHAR", "completes 'the share of …'"),
        Column("owner", "VARCHAR", "the team that is told"),
    ),
)
ALARM = Table(
    "alarm",
    "The alarms that tell somebody, as the committed templates had them at each pull that saw a change.",
    ("alarm", "since"),
    (
        Column("alarm", "VARCHAR", "its name in CloudWatch"),
        Column("since", "TIMESTAMP", "when this was first seen"),
        Column("severity", "VARCHAR", "page, ticket, or vanished"),
        Column("slo", "VARCHAR", "the SLO it tells of; null for an alarm on a cause", nullable=True),
        Column("kind", "VARCHAR", "the alarm kind, which names its runbook"),
    ),
)
ALARM_STATE = Table(
    "alarm_state",
    "Every change of state of those alarms.",
    ("alarm", "at"),
    (
        Column("alarm", "VARCHAR", "its name in CloudWatch"),
        Column("at", "TIMESTAMP", "when it changed"),
        Column(
            "before", "VARCHAR", "OK, ALARM or INSUFFICIENT_DATA; null where CloudWatch does not say", nullable=True
        ),
        Column("after", "VARCHAR", "OK, ALARM or INSUFFICIENT_DATA"),
        Column("reason", "VARCHAR", "CloudWatch's own words"),
    ),
)
ALARM_COVERAGE = Table(
    "alarm_coverage",
    "Of which spans the alarm history has been read; CloudWatch keeps 30 days of it.",
    ("since",),
    (
        Column("since", "TIMESTAMP", "start of the span"),
        Column("until", "TIMESTAMP", "end of the span; not part of it"),
    ),
)
ALERT = Table(
    "alert",
    "What the on-call tool says of each alert of those alarms, where it can be asked; alerts of drills are left out.",
    ("alarm", "opened"),
    (
        Column("alarm", "VARCHAR", "its alias in the tool: the alarm's name"),
        Column("opened", "TIMESTAMP", "when the tool opened it"),
        Column("acknowledged", "TIMESTAMP", "when somebody took it; null if nobody did", nullable=True),
        Column("closed", "TIMESTAMP", "when it was closed; null while it is open", nullable=True),
    ),
)
ALERT_COVERAGE = Table(
    "alert_coverage",
    "Of which spans the on-call tool has been asked what alerts were opened in them.",
    ("since",),
    (
        Column("since", "TIMESTAMP", "start of the span"),
        Column("until", "TIMESTAMP", "end of the span; not part of it"),
    ),
)

TABLES = {
    table.name: table for table in (SLI, COVERAGE, PROMISE, ALARM, ALARM_STATE, ALARM_COVERAGE, ALERT, ALERT_COVERAGE)
}
