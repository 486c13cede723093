"""Loads that are killed at random points, events that come twice and at once: afterwards exactly the right rows."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import pytest
from deploy.data_pipeline.handlers.contracts import TABLES
from deploy.data_pipeline.handlers.files import File
from deploy.data_pipeline.handlers.load import load
from loading_tools import PASSWORD, Database, MemoryStore, Pipeline

pytestmark = pytest.mark.long

RUNS = 200


class KilledError(BaseException):
    """Stands for a kill: nothing in the loader catches it."""


class Fuse:
    """Counts the points a load passes and ends it at one of them."""

    def __init__(self, points: int | None) -> None:
        self.points, self.passed = points, 0

    def point(self) -> None:
        self.passed += 1
        if self.points is not None and self.passed > self.points:
            raise KilledError


class FusedConnection:
    """A connection that may end before or after each statement."""

    def __init__(self, connection: Any, fuse: Fuse) -> None:
        self._connection, self._fuse = connection, fuse

    def run(self, statement: str, **parameters: Any) -> Any:
        self._fuse.point()
        answer = self._connection.run(statement, **parameters)
        self._fuse.point()
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class FusedStore(MemoryStore):
    """A bucket whose streams may end after each piece, and whose uploads may end before or after they are there."""

    fuse = Fuse(None)

    def read(self, file: File) -> Iterator[bytes]:
        for piece in super().read(file):
            self.fuse.point()
            yield piece

    @contextmanager
    def quarantine(self, file: File) -> Iterator[Any]:
        self.fuse.point()
        with super().quarantine(file) as buffer:
            yield buffer
            self.fuse.point()
        self.fuse.point()


def content(seed: random.Random, carriers: list[str]) -> tuple[bytes, dict[str, str], int]:
    """A file, the rows it ought to leave, and how many bad ones it has."""
    rows, good, bad = ["carrier,name"], {}, 0
    for carrier in carriers:
        if seed.random() < 0.15:
            rows.append(seed.choice([f"{carrier}", f"{carrier},a,b", f"{carrier},NA", f"{carrier},x\0y"]))
            bad += 1
        else:
            good[carrier] = seed.choice(["plain", 'quo"ted', "two\nlines", "Straße"])
            value = good[carrier]
            rows.append(
                f'{carrier},"{value.replace(chr(34), chr(34) * 2)}"' if value != "plain" else f"{carrier},plain"
            )
    return ("\n".join(rows) + "\n").encode(), good, bad


def attempt(database: Database, store: FusedStore, file: File, points: int | None) -> int:
    """One load that is killed after so many points (never, if None); how many points it passed."""
    fuse = Fuse(points)
    connection = database.connect()
    try:
        with suppress(KilledError):
            store.fuse = fuse
            load(FusedConnection(connection, fuse), file, store, TABLES, deadline=lambda: None, max_rejected_share=1)
    finally:
        connection._usock.close()  # as a killed process leaves it: without a word
        connection._sock.close()
    return fuse.passed


def check(pipeline: Pipeline, name: str, expected: dict[str, str], bad: int) -> None:
    found = pipeline.database.rows(f"select carrier, name from airlines where carrier like '{name}%'")
    assert dict(map(tuple, found)) == expected
    assert len(found) == len(expected)
    (line,) = pipeline.database.rows(
        f"select status, rows_read, rows_loaded, rows_rejected from loaded_files where key like '%/{name}.csv'"
    )
    assert line == ["loaded", len(expected) + bad, len(expected), bad]
    kept = pipeline.store.quarantined.get(f"quarantine/airlines/{name}.csv/v1.csv", "")
    assert kept.count("values where") + kept.count("no value") + kept.count("NUL") == bad


def test_killed_anywhere_and_sent_again(pipeline: Pipeline) -> None:
    """Each run: one file, killed up to three times at random points, then left alone, then its event comes once more."""
    store = pipeline.store = FusedStore()
    store.size = 64
    longest = 60
    killed = 0
    for run in range(RUNS):
        seed = random.Random(run)
        name = f"{run:03}x"
        data, expected, bad = content(seed, [f"{name}{n}" for n in range(seed.randrange(1, 30))])
        file = store.put(f"incoming/airlines/{name}.csv", data)
        for _ in range(seed.randrange(1, 4)):
            points = seed.randrange(longest)
            killed += attempt(pipeline.database, store, file, points) > points
        longest = max(40, attempt(pipeline.database, store, file, None))
        attempt(pipeline.database, store, file, None)
        check(pipeline, name, expected, bad)
    assert killed > RUNS / 2  # else this test shows nothing
    assert pipeline.database.rows("select count(*) from loaded_files") == [[RUNS]]


def test_many_events_of_a_few_files_at_once(pipeline: Pipeline) -> None:
    """Eight loads at once of each of four files, three of them with bad rows."""
    store = pipeline.store
    files, wanted = [], {}
    for number in range(4):
        seed = random.Random(number)
        name = f"P{number}x"
        data, expected, bad = content(seed, [f"{name}{n}" for n in range(200)])
        files.append(store.put(f"incoming/airlines/{name}.csv", data))
        wanted[name] = (expected, bad)
    failures: list[BaseException] = []

    def one(file: File) -> None:
        try:
            with closing(pipeline.database.connect()) as connection:
                load(connection, file, store, TABLES, deadline=lambda: None, max_rejected_share=1)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=one, args=(file,)) for file in files * 8]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failures == []
    for name, (expected, bad) in wanted.items():
        check(pipeline, name, expected, bad)


CHILD = """
import sys, time
from contextlib import closing
sys.path[:0] = {paths!r}
import pg8000.native
from deploy.data_pipeline.handlers.contracts import TABLES
from deploy.data_pipeline.handlers.load import load
from loading_tools import MemoryStore

class Slow(MemoryStore):
    def read(self, file):
        for piece in super().read(file):
            print("piece", flush=True)
            time.sleep(0.002)
            yield piece

store = Slow({size})
file = store.put({key!r}, bytes.fromhex({content!r}))
connection = pg8000.native.Connection("loader", password={password!r}, host={host!r}, port={port}, database={name!r}, ssl_context=False)
load(connection, file, store, TABLES, deadline=lambda: None, max_rejected_share=1)
print("done", flush=True)
"""


@pytest.mark.parametrize("run", range(8))
def test_a_process_that_is_killed(pipeline: Pipeline, run: int) -> None:
    """SIGKILL after some pieces of the stream; then the same event again."""
    seed = random.Random(run)
    name = f"K{run}x"
    # Enough for the pieces to go on while the process is being killed; beyond the head, which is read at once.
    data, expected, bad = content(seed, [f"{name}{n}" for n in range(9000)])
    file = pipeline.store.put(f"incoming/airlines/{name}.csv", data)
    server = pipeline.database.server
    code = CHILD.format(
        paths=[path for path in sys.path if path], size=1000, key=file.key, content=data.hex(), password=PASSWORD,
        host=server.host, port=server.port, name=pipeline.database.name,
    )  # fmt: skip
    child = subprocess.Popen([sys.executable, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(code)
    child.stdin.close()
    for _ in range(seed.randrange(1, 150)):
        if child.stdout.readline() == "done\n":
            break
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    attempt_cleanly(pipeline, file)
    attempt_cleanly(pipeline, file)
    check(pipeline, name, expected, bad)


def attempt_cleanly(pipeline: Pipeline, file: File) -> None:
    with closing(pipeline.database.connect()) as connection:
        load(connection, file, pipeline.store, TABLES, deadline=lambda: None, max_rejected_share=1)
