"""A pull that is killed at any moment leaves whole files, and the next one completes it to the same bytes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from metric_server import NOW, MetricServer, cloud_of, environment_of, serving, steady, system_of

from tocsin.history.cloudwatch import CloudWatch
from tocsin.history.gaps import end_of_pull
from tocsin.history.layout import keys_of
from tocsin.history.partitions import Partition, read_rows
from tocsin.history.pull import Pulled, pull
from tocsin.history.schema import TABLES
from tocsin.history.store import open_store

pytestmark = pytest.mark.long

HERE = Path(__file__).parent
SYSTEMS = [system_of(name, slos=9) for name in ("shop", "other")]


@pytest.fixture
def server() -> Iterator[MetricServer]:
    with serving(MetricServer(value=steady, every=3600)) as one:
        yield one


def run(server: MetricServer, folder: Path, monkeypatch) -> Pulled:
    source = CloudWatch(cloud_of(server, monkeypatch))
    return pull(source, open_store(str(folder)), SYSTEMS, None, end_of_pull(NOW), NOW)


def content(folder: Path) -> dict[str, list[tuple]]:
    """Every row there is; raises for a file that cannot be read."""
    store = open_store(str(folder))
    found: dict[str, list[tuple]] = {}
    for table in TABLES.values():
        for path in store.paths(table):
            rows = read_rows(store, Partition(table, *keys_of(path)))
            found.setdefault(table.name, []).extend(rows)
    return found


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> dict[str, list[tuple]]:
    with pytest.MonkeyPatch.context() as patch, serving(MetricServer(value=steady, every=3600)) as server:
        folder = tmp_path_factory.mktemp("unbroken")
        run(server, folder, patch)
        return content(folder)


def hours(rows: dict[str, list[tuple]]) -> set[tuple[str, object, int]]:
    """The coverage without where its spans were cut."""
    return {(slo, since, period) for slo, since, _, period in rows["coverage"]}


@pytest.mark.parametrize("seed", range(6))
def test_a_killed_pull_is_completed_by_the_next(seed, server, unbroken, tmp_path, monkeypatch) -> None:
    chance = random.Random(seed)
    process = subprocess.Popen(
        [sys.executable, str(HERE / "killed_pull.py"), server.url, str(tmp_path)],
        env={**os.environ, **environment_of(server)},
    )
    # The moment is drawn: while the n-th call is answered, or some time after its answer, when rows are being written.
    last, delay, count = chance.randint(1, 7), chance.choice((0, chance.uniform(0, 0.6))), 0
    timers: list[threading.Timer] = []

    def kill(asked: object) -> None:
        nonlocal count
        count += 1
        if count == last:
            timers.append(threading.Timer(delay, process.kill))
            timers[0].start()

    server.refuse = kill
    ended = process.wait(timeout=120)
    for timer in timers:
        timer.join()
    server.refuse = lambda asked: None
    assert ended in (-9, 0)
    content(tmp_path)  # nothing half written
    before = {(name, call.start) for call in server.asked for name in call.metrics}
    server.asked.clear()
    done = run(server, tmp_path, monkeypatch)
    assert done.complete
    assert before
    found = content(tmp_path)
    assert found["sli"] == unbroken["sli"]
    assert found["promise"] == unbroken["promise"]
    assert hours(found) >= hours(unbroken)
    server.asked.clear()
    assert run(server, tmp_path, monkeypatch).calls == 0
    assert not server.asked
    assert not list(tmp_path.rglob("*.corrupt*"))
