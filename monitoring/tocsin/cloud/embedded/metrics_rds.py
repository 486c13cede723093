"""AWS/RDS: what can truly be read of a running server and of its machine, once a minute.

Source: Amazon RDS user guide, "Amazon CloudWatch metrics for Amazon RDS".
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from .postgres import PostgreSql


@dataclass
class Load:
    """The CPU time of a server's processes at the last look, by process: seconds used, and when."""

    seen: dict[int, tuple[float, float]] = field(default_factory=dict)


def measure(server: PostgreSql, load: Load, allocated: int) -> dict[str, tuple[float, str]]:
    """What the server and its machine say of themselves: value and unit by metric; ``allocated`` in bytes."""
    psutil: Any = import_module("psutil")
    connection = server.connect()
    cursor = connection.cursor()
    cursor.execute(
        "SELECT count(*) FILTER (WHERE backend_type = 'client backend'), (SELECT sum(pg_database_size(oid)) FROM pg_database),"
        " (SELECT max(age(datfrozenxid)) FROM pg_database) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    )
    clients, size, oldest = cursor.fetchone()
    connection.close()
    values = {
        "DatabaseConnections": (float(clients), "Count"),
        "MaximumUsedTransactionIDs": (float(oldest), "Count"),
        # The machine the server really runs on; the instance class is only a name here.
        "FreeableMemory": (float(psutil.virtual_memory().available), "Bytes"),
    }
    if allocated:
        values["FreeStorageSpace"] = (float(allocated - size), "Bytes")
    if (percent := _cpu_percent(server, load)) is not None:
        values["CPUUtilization"] = (percent, "Percent")
    return values


def _cpu_percent(server: PostgreSql, load: Load) -> float | None:
    """The share of the machine's processors the server used since the last look, in real time; None the first time."""
    psutil: Any = import_module("psutil")
    now = time.monotonic()
    spent: dict[int, tuple[float, float]] = {}
    used, since = 0.0, None
    try:
        processes = psutil.Process(server.process.pid).children(recursive=True)
    except psutil.Error:
        return None
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total = times.user + times.system
        spent[process.pid] = (total, now)
        before, seen = load.seen.get(process.pid, (0.0, now))
        used += total - before
        since = seen if since is None else min(since, seen)
    first = not load.seen
    load.seen = spent
    if first or since is None or now <= since:
        return None
    return min(100.0, 100.0 * used / (now - since) / (psutil.cpu_count() or 1))
