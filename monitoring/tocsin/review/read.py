"""Every statement that a review asks of a history, as text that DuckDB and Athena (Trino) both run.

Moments are whole seconds since 1970 and counts thousandths of an event, all integers: nothing is rounded on the way, and both
engines give the same Python values.  A row of events belongs to the moment at which its period starts, and to the promise in
force at that moment.
"""

# Everything that is put into a statement is a number, a moment, or quoted by ``quoted``.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction

from ..history.schema import DECIMALS
from .months import seconds

#: Burning periods with at most so many seconds between them are one incident.
JOINED_OVER = 900
#: Thousandths: what counts are multiplied with to be integers.
SCALE = 10**DECIMALS

_EPOCH = "TIMESTAMP '1970-01-01 00:00:00'"
_FOREVER = 253_402_300_799  # the last second of the year 9999


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose rows are read: an environment's, of all systems (None) or of some."""

    environment: str
    systems: tuple[str, ...] | None = None

    def where(self, table: str) -> str:
        """The condition on the partition keys of ``table``."""
        text = f"{table}.environment = {quoted(self.environment)}"
        if self.systems is not None:
            text += f" AND {table}.system IN ({', '.join(quoted(name) for name in self.systems)})"
        return text


def quoted(text: str) -> str:
    """A text literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def known() -> str:
    """environment, system: what there is a history of."""
    return "SELECT DISTINCT environment, system FROM promise ORDER BY environment, system"


def asked(scope: Scope) -> str:
    """begin, end: from the first to the last moment that was asked of CloudWatch; NULL where nothing was."""
    return f"SELECT min({_in_seconds('c.since')}), max({_in_seconds('c.until')}) FROM coverage AS c WHERE {scope.where('c')}"


def promises(scope: Scope) -> str:
    """system, slo, since, kind, objective, seconds, good, owner: everything that was ever promised."""
    return f"""
SELECT p.system, p.slo, {_in_seconds("p.since")}, p.kind, p.objective, p.seconds, p.good, p.owner
FROM promise AS p WHERE {scope.where("p")} ORDER BY 1, 2, 3"""


def coverage(scope: Scope, since: datetime, until: datetime) -> str:
    """system, slo, since, until: what was asked, as far as it touches the span."""
    return f"""
SELECT c.system, c.slo, {_in_seconds("c.since")}, {_in_seconds("c.until")}
FROM coverage AS c WHERE {scope.where("c")} AND c.since < {_literal(until)} AND c.until > {_literal(since)}
ORDER BY 1, 2, 3"""


def sums(scope: Scope, since: datetime, until: datetime, grid: int) -> str:
    """system, slo, p, q, begin, good, valid, live: events in stretches of ``grid`` seconds.

    The objective in force was p/q (NULL for a heartbeat); ``live`` are the seconds of rows with a valid event.
    """
    return f"""
WITH {_promised(scope)},
{_counted(scope, since, until)}
SELECT c.system, c.slo, c.p, c.q, c.t - (c.t % {grid}), {_summed("c.good")}, {_summed("c.valid")}, {_LIVE}
FROM counted AS c GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 5, 3, 4"""


def totals(scope: Scope, cuts: Sequence[datetime]) -> str:
    """system, slo, p, q, n, good, valid, live: the same between the n-th of the ``cuts`` and the next."""
    numbered = " ".join(f"WHEN c.t < {seconds(cut)} THEN {number}" for number, cut in enumerate(cuts[1:]))
    return f"""
WITH {_promised(scope)},
{_counted(scope, cuts[0], cuts[-1])}
SELECT c.system, c.slo, c.p, c.q, CASE {numbered} END, {_summed("c.good")}, {_summed("c.valid")}, {_LIVE}
FROM counted AS c GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 5, 3, 4"""


def incidents(
    scope: Scope,
    since: datetime,
    start: datetime,
    end: datetime,
    until: datetime,
    least: Iterable[tuple[str, str, int]],
) -> str:
    """system, slo, begin, end, bad, valid: burning periods from ``since`` to ``until``, joined over short gaps.

    Only what burned from ``start`` to ``end`` is summed, and only where it is at least ``least`` (system, SLO, bad events
    in thousandths).
    """
    inside = f"n.t >= {seconds(start)} AND n.t < {seconds(end)}"
    return f"""
WITH {_promised(scope)},
{_counted(scope, since, until)},
{_BURNING},
marked AS (
  SELECT b.system, b.slo, b.t, b.ended, b.good, b.valid,
    CASE WHEN b.t - lag(b.ended) OVER (PARTITION BY b.system, b.slo ORDER BY b.t) <= {JOINED_OVER} THEN 0 ELSE 1 END AS opens
  FROM burning AS b
),
numbered AS (
  SELECT m.system, m.slo, m.t, m.ended, m.good, m.valid,
    sum(m.opens) OVER (PARTITION BY m.system, m.slo ORDER BY m.t ROWS UNBOUNDED PRECEDING) AS island
  FROM marked AS m
),
joined AS (
  SELECT n.system, n.slo, min(n.t) AS begun, max(n.ended) AS ended,
    {_summed(f"CASE WHEN {inside} THEN n.valid - n.good ELSE 0 END")} AS bad,
    {_summed(f"CASE WHEN {inside} THEN n.valid ELSE 0 END")} AS valid
  FROM numbered AS n GROUP BY n.system, n.slo, n.island
),
limits (system, slo, bad) AS (VALUES {", ".join(f"({quoted(a)}, {quoted(b)}, {bad})" for a, b, bad in least)})
SELECT j.system, j.slo, j.begun, j.ended, j.bad, j.valid
FROM joined AS j JOIN limits AS l ON l.system = j.system AND l.slo = j.slo
WHERE j.bad > 0 AND j.bad >= l.bad ORDER BY 1, 2, 3"""


def burned(scope: Scope, spans: Sequence[tuple[int, str, str, datetime, datetime]]) -> str:
    """n: of the spans (n, system, SLO, from, to), those in which budget burned."""
    since, until = min(one[3] for one in spans), max(one[4] for one in spans)
    values = ", ".join(f"({n}, {quoted(a)}, {quoted(b)}, {seconds(x)}, {seconds(y)})" for n, a, b, x, y in spans)
    return f"""
WITH {_promised(scope)},
{_counted(scope, datetime.fromtimestamp(seconds(since) - _LONGEST_PERIOD, UTC), until)},
{_BURNING},
told (n, system, slo, begun, ended) AS (VALUES {values})
SELECT DISTINCT w.n FROM told AS w JOIN burning AS b ON b.system = w.system AND b.slo = w.slo
WHERE b.t < w.ended AND b.ended > w.begun ORDER BY 1"""


def lone_successes(scope: Scope, since: datetime, until: datetime) -> str:
    """system, slo, begin, end, next: each heartbeat's first and last period with a success, and those with none soon after.

    ``next`` is when the next period with a success starts; NULL after the last.  Soon is within the least limit it ever had.
    """
    return f"""
WITH {_promised(scope)},
{_counted(scope, since, until)},
succeeded AS (
  SELECT c.system, c.slo, c.t, c.t + c.period AS ended, c.least_limit,
    lead(c.t) OVER (PARTITION BY c.system, c.slo ORDER BY c.t) AS following,
    row_number() OVER (PARTITION BY c.system, c.slo ORDER BY c.t) AS number
  FROM counted AS c WHERE c.kind = 'heartbeat' AND c.good > 0
)
SELECT s.system, s.slo, s.t, s.ended, s.following FROM succeeded AS s
WHERE s.number = 1 OR s.following IS NULL OR s.following - s.ended > s.least_limit ORDER BY 1, 2, 3"""


def straddling(scope: Scope, borders: Sequence[datetime]) -> str:
    """system, slo: those with a period that a border lies in."""
    across = " OR ".join(f"(c.t < {seconds(one)} AND c.t + c.period > {seconds(one)})" for one in borders)
    first = datetime.fromtimestamp(seconds(min(borders)) - _LONGEST_PERIOD, UTC)
    return f"""
WITH {_promised(scope)},
{_counted(scope, first, max(borders))}
SELECT DISTINCT c.system, c.slo FROM counted AS c WHERE {across} ORDER BY 1, 2"""


def alarms(scope: Scope) -> str:
    """system, alarm, since, severity, slo, kind: all that ever told somebody."""
    return f"""
SELECT a.system, a.alarm, {_in_seconds("a.since")}, a.severity, a.slo, a.kind
FROM alarm AS a WHERE {scope.where("a")} ORDER BY 1, 2, 3"""


def states(scope: Scope, since: datetime, until: datetime) -> str:
    """system, alarm, at (in thousandths of a second), before, after: changes of state from ``since`` on, and each last before it.

    A second can hold two of them, so their order needs more than seconds.
    """
    return f"""
WITH earlier AS (
  SELECT s.system, s.alarm, s.at, s.before, s.after,
    row_number() OVER (PARTITION BY s.system, s.alarm ORDER BY s.at DESC) AS number
  FROM alarm_state AS s WHERE {scope.where("s")} AND s.at < {_literal(since)}
)
SELECT e.system, e.alarm, {_in_milliseconds("e.at")}, e.before, e.after FROM earlier AS e WHERE e.number = 1
UNION ALL
SELECT s.system, s.alarm, {_in_milliseconds("s.at")}, s.before, s.after
FROM alarm_state AS s WHERE {_months(scope, "s", since, until)}
ORDER BY 1, 2, 3"""


def fired(scope: Scope, since: datetime, until: datetime) -> str:
    """system, alarm: those that were in ALARM, or came to be, in the span."""
    return f"""
SELECT DISTINCT s.system, s.alarm FROM alarm_state AS s
WHERE {_months(scope, "s", since, until)} AND (s.after = 'ALARM' OR s.before = 'ALARM') ORDER BY 1, 2"""


def alarm_coverage(scope: Scope, since: datetime, until: datetime) -> str:
    """system, since, until: of which spans the alarm history was read, as far as they touch this one."""
    return f"""
SELECT c.system, {_in_seconds("c.since")}, {_in_seconds("c.until")}
FROM alarm_coverage AS c WHERE {scope.where("c")} AND c.since < {_literal(until)} AND c.until > {_literal(since)}
ORDER BY 1, 2"""


def alerts(scope: Scope, since: datetime, until: datetime) -> str:
    """system, alarm, opened, acknowledged, closed: what the on-call tool opened in the span."""
    return f"""
SELECT a.system, a.alarm, {_in_seconds("a.opened")}, {_in_seconds("a.acknowledged")}, {_in_seconds("a.closed")}
FROM alert AS a
WHERE {scope.where("a")} AND a.opened >= {_literal(since)} AND a.opened < {_literal(until)} ORDER BY 1, 2, 3"""


# CloudWatch gives out nothing coarser than an hour for what these tables keep.
_LONGEST_PERIOD = 3600

_LIVE = "CAST(sum(CASE WHEN c.valid > 0 THEN c.period ELSE 0 END) AS BIGINT)"

# bad/valid > 1 - p/q, without a division: bad x q > valid x (q - p).
_BURNING = """burning AS (
  SELECT c.system, c.slo, c.t, c.t + c.period AS ended, c.good, c.valid
  FROM counted AS c WHERE (c.valid - c.good) * c.q > c.valid * (c.q - c.p)
)"""


def _promised(scope: Scope) -> str:
    """What was promised from when to when; the first row holds for all time before it."""
    return f"""promised AS (
  SELECT p.system, p.slo, p.kind,
    min(CASE WHEN p.kind = 'heartbeat' THEN p.seconds END) OVER (PARTITION BY p.system, p.slo) AS least_limit,
    CASE WHEN row_number() OVER (PARTITION BY p.system, p.slo ORDER BY p.since) = 1 THEN 0
      ELSE {_in_seconds("p.since")} END AS begun,
    coalesce(lead({_in_seconds("p.since")}) OVER (PARTITION BY p.system, p.slo ORDER BY p.since), {_FOREVER}) AS ended,
    CAST(split_part(p.objective, '/', 1) AS BIGINT) AS p,
    CASE WHEN p.objective LIKE '%/%' THEN CAST(split_part(p.objective, '/', 2) AS BIGINT)
      WHEN p.objective IS NOT NULL THEN 1 END AS q
  FROM promise AS p WHERE {scope.where("p")}
)"""


def _counted(scope: Scope, since: datetime, until: datetime) -> str:
    """Rows of events from ``since`` to ``until`` with the promise in force at each."""
    return f"""pulled AS (
  SELECT s.system, s.slo, {_in_seconds("s.at")} AS t, s.period, s.good, s.valid
  FROM sli AS s WHERE {_months(scope, "s", since, until)}
),
counted AS (
  SELECT s.system, s.slo, s.t, s.period, s.good, s.valid, p.kind, p.least_limit, p.p, p.q
  FROM pulled AS s JOIN promised AS p ON p.system = s.system AND p.slo = s.slo AND s.t >= p.begun AND s.t < p.ended
  WHERE p.kind <> 'vanished'
)"""


def _months(scope: Scope, table: str, since: datetime, until: datetime) -> str:
    """The condition on ``at``, and on the partitions that it can lie in."""
    last = datetime.fromtimestamp(seconds(until) - 1, UTC)
    return (
        f"{scope.where(table)} AND {table}.month >= '{since:%Y-%m}' AND {table}.month <= '{last:%Y-%m}' "
        f"AND {table}.at >= {_literal(since)} AND {table}.at < {_literal(until)}"
    )


def _in_seconds(column: str) -> str:
    return f"date_diff('second', {_EPOCH}, {column})"


def _in_milliseconds(column: str) -> str:
    return f"date_diff('millisecond', {_EPOCH}, {column})"


def _summed(expression: str) -> str:
    return f"CAST(sum({expression}) * {SCALE} AS BIGINT)"


def _literal(moment: datetime) -> str:
    return f"TIMESTAMP '{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}'"


def fraction(thousandths: int) -> Fraction:
    """Events from what a statement gave."""
    return Fraction(thousandths, SCALE)
