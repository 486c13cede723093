"""A program that writes histories in children and kills them; it ends well if no child left a damaged file.

python -m tests.history.killed_writer at_any_step|while_replacing|from_outside FOLDER
"""

from __future__ import annotations

import os
import random
import select
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType

import duckdb  # noqa: F401  # once, not in each child
from tests.history.history_rows import OCTOBER, counts

from tocsin.history.folder import Folder
from tocsin.history.partitions import Partition, merge_rows, read_rows
from tocsin.history.schema import SLI

PARTITIONS = [OCTOBER, Partition(SLI, "prod", "shop", "2026-11"), Partition(SLI, "prod", "billing", "2026-10")]
STEPS = 25
Where = Callable[[FrameType, str], bool]


def write_all(store: Folder, minutes: int, good: int) -> None:
    with store.locked():
        for partition in PARTITIONS:
            merge_rows(store, partition, counts(minutes=minutes, good=good))


def in_a_child(work: Callable[[], object]) -> int:
    """Run ``work`` in a process of its own, for DuckDB's threads do not survive a fork; its status as waitpid has it."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def anything(_frame: FrameType, _event: str) -> bool:
    return True


def replacing(frame: FrameType | None, event: str) -> bool:
    """Whether this is right before a call of C inside of what puts a file in its place."""
    while event == "c_call" and frame is not None:
        if frame.f_code is Folder.replace.__code__:
            return True
        frame = frame.f_back
    return False


def killing_itself(after: int, work: Callable[[], object], where: Where) -> None:
    """``work``, with kill -9 at the ``after``-th call or return, of Python's or of C's functions, that ``where`` counts."""
    left = after

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal left
        left -= where(frame, event)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
    work()
    sys.setprofile(None)
    raise SystemExit(f"it ended after {after - left} events")


def every_file_is_whole(store: Folder, minutes: int) -> None:
    for partition in PARTITIONS:
        found = read_rows(store, partition)  # raises where a file is damaged
        goods = {int(row[3]) for row in found}
        assert (len(found), goods) in ((0, set()), (minutes, {1}), (minutes, {2})), partition
    assert store.others() == []


def holds_only(store: Folder, good: int) -> None:
    for partition in PARTITIONS:
        assert {int(row[3]) for row in read_rows(store, partition)} == {good}


def events_of(work: Callable[[], object], where: Where) -> int:
    """How many calls and returns ``work`` makes that ``where`` counts."""
    reader, writer = os.pipe()

    def counted() -> None:
        seen = 0

        def count(frame: FrameType, event: str, _: object) -> None:
            nonlocal seen
            seen += where(frame, event)

        sys.setprofile(count)
        work()
        sys.setprofile(None)
        os.write(writer, str(seen).encode())

    assert in_a_child(counted) == 0
    os.close(writer)
    with os.fdopen(reader) as stream:
        return int(stream.read())


def at_any_step(folder: Path) -> None:
    """Killed at steps that chance picks."""
    store = Folder(folder / "history")
    assert in_a_child(lambda: write_all(store, 5, 1)) == 0
    total = events_of(lambda: write_all(store, 5, 1), anything)
    assert total > 500
    kill_at(store, sorted(random.Random(6).sample(range(1, total), STEPS)), anything)


def while_replacing(folder: Path) -> None:
    """Killed at each step of putting a file in its place."""
    del PARTITIONS[1:]
    store = Folder(folder / "history")
    assert in_a_child(lambda: write_all(store, 5, 1)) == 0
    total = events_of(lambda: write_all(store, 5, 1), replacing)
    assert total > 10
    kill_at(store, range(1, total + 1), replacing)


def kill_at(store: Folder, points: Iterable[int], where: Where) -> None:
    """Kill a writer of other rows at each of the points and look at the files; then let one end."""
    for point in points:
        status = in_a_child(lambda at=point: killing_itself(at, lambda: write_all(store, 5, 2), where))
        assert os.WIFSIGNALED(status), f"step {point} was not reached"
        assert os.WTERMSIG(status) == signal.SIGKILL
        assert in_a_child(lambda: every_file_is_whole(store, 5)) == 0, f"killed at step {point}"
    assert in_a_child(lambda: write_all(store, 5, 2)) == 0
    assert sorted(each.name for each in store.path.iterdir()) == [".lock", "v1"]
    assert in_a_child(lambda: holds_only(store, 2)) == 0


def from_outside(folder: Path) -> None:
    """Large files, so that the kill comes in the middle of DuckDB's own writing, too."""
    store, minutes = Folder(folder / "history"), 40_000
    assert in_a_child(lambda: write_all(store, minutes, 1)) == 0
    chance = random.Random(9)
    for _ in range(8):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            os.write(writer, b"!")
            while True:
                write_all(store, minutes, 2)
        os.close(writer)
        assert os.read(reader, 1) == b"!"
        select.select([], [], [], chance.uniform(0.05, 0.9))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reader)
        assert in_a_child(lambda: every_file_is_whole(store, minutes)) == 0
    assert in_a_child(lambda: write_all(store, minutes, 2)) == 0
    assert in_a_child(lambda: holds_only(store, 2)) == 0
    assert not (store.path / ".scratch").exists()


if __name__ == "__main__":
    kinds = {"at_any_step": at_any_step, "while_replacing": while_replacing, "from_outside": from_outside}
    kinds[sys.argv[1]](Path(sys.argv[2]))
