"""A history in a folder: one writer at a time, files replaced in one step, mistakes told in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.history.history_rows import CHANGES, OCTOBER, counts

from tocsin.errors import InputError
from tocsin.history.folder import Folder
from tocsin.history.partitions import Partition, merge_rows, read_rows
from tocsin.history.schema import SLI
from tocsin.history.store import open_store

ROOT = Path(__file__).parents[2]
HOLDING = """
import sys
from pathlib import Path
from tocsin.history.folder import Folder
with Folder(Path(sys.argv[1])).locked():
    print("holding", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "history")


def test_a_second_writer_is_told_since_when_the_first_runs(store):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, store.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as other:
        assert other.stdout.readline() == "holding\n"
        with pytest.raises(InputError) as refused, store.locked():
            pass
        assert str(refused.value).startswith(f"another pull of {store.path} is running (since 20")
        assert f"process {other.pid}" in str(refused.value)
        assert "\n" not in str(refused.value)
        other.kill()
        other.wait()
        with store.locked():  # the lock died with its process
            pass


def test_one_process_cannot_hold_it_twice(store):
    with store.locked(), pytest.raises(InputError, match="another pull of"), store.locked():
        pass
    with store.locked():
        pass


def test_what_a_kill_left_behind_is_removed_by_the_next_writer(store):
    left = store.scratch / "tmpabc.parquet"
    left.write_bytes(b"half")
    folder = store.scratch / "tmpdef"
    folder.mkdir()
    (folder / "rows.csv").write_bytes(b"half")
    with store.locked():
        assert not left.exists()
        assert not folder.exists()
        merge_rows(store, OCTOBER, counts())
    assert sorted(each.name for each in store.path.iterdir()) == [".lock", "v1"]


def test_reading_makes_nothing(store):
    assert store.paths(SLI) == []
    assert store.others() == []
    assert store.local(OCTOBER.path) is None
    assert not store.path.exists()


def test_paths_are_sorted_and_of_this_version(store):
    later = Partition(SLI, "prod", "shop", "2026-11")
    other = Partition(SLI, "prod", "billing", "2026-10")
    for partition in (later, OCTOBER, other, CHANGES):
        merge_rows(store, partition, [])
    newer = store.path / OCTOBER.path.replace("v1/", "v2/")
    unknown = store.path / OCTOBER.path.replace("/sli/", "/slo/")
    for path in (newer, unknown):
        path.parent.mkdir(parents=True)
        path.write_bytes((store.path / OCTOBER.path).read_bytes())
    (store.path / OCTOBER.path).with_name("notes.txt").write_text("not ours")
    assert store.paths(SLI) == sorted([later.path, OCTOBER.path, other.path])
    assert store.others() == sorted(path.relative_to(store.path).as_posix() for path in (newer, unknown))


def test_replacing_takes_the_new_file_away_and_keeps_nothing_of_the_old(store):
    merge_rows(store, OCTOBER, counts())
    new = store.scratch / "new.parquet"
    new.write_bytes(b"new")
    store.replace(OCTOBER.path, new)
    assert (store.path / OCTOBER.path).read_bytes() == b"new"
    assert not new.exists()


def test_files_are_as_readable_as_any_other(store):
    before = os.umask(0o022)
    try:
        merge_rows(store, OCTOBER, counts())
    finally:
        os.umask(before)
    assert (store.path / OCTOBER.path).stat().st_mode & 0o777 == 0o644


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path):
    (tmp_path / "history").write_text("a file")
    store = Folder(tmp_path / "history")
    uses = (
        lambda: store.paths(SLI),
        lambda: merge_rows(store, OCTOBER, counts()),
        lambda: store.locked().__enter__(),
    )
    for use in uses:
        with pytest.raises(InputError, match=r"history .*history cannot be (read|written): ") as refused:
            use()
        assert "\n" not in str(refused.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_rights_is_told(store):
    merge_rows(store, OCTOBER, counts())
    (store.path / OCTOBER.path).parent.chmod(0o500)
    with pytest.raises(InputError, match="cannot be written"):
        merge_rows(store, OCTOBER, counts("pay"))
    assert len(read_rows(store, OCTOBER)) == 3


def test_a_full_disk_is_told_and_the_old_file_stays(store):
    """RLIMIT_FSIZE refuses to write on, as a full disk does."""
    program = (
        "import resource, signal, sys; from pathlib import Path; from tests.history.history_rows import *;"
        "from tocsin.errors import InputError; from tocsin.history.folder import Folder;"
        "from tocsin.history.partitions import merge_rows;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)\n"
        "try: merge_rows(Folder(Path(sys.argv[1])), OCTOBER, counts(minutes=40_000))\n"
        "except InputError as error: print(error)"
    )
    merge_rows(store, OCTOBER, counts())
    before = (store.path / OCTOBER.path).read_bytes()
    for most in ("1000", "2200000"):  # the CSV file does not fit; it fits
        ended = subprocess.run(
            [sys.executable, "-c", program, store.path, most], check=True, capture_output=True, text=True, cwd=ROOT
        )
        if most == "1000":
            assert ended.stdout.count("\n") == 1
            assert "cannot be written" in ended.stdout
            assert (store.path / OCTOBER.path).read_bytes() == before
    assert len(read_rows(store, OCTOBER)) == 40_000


@pytest.mark.parametrize(
    "text", ["", "s3://", "s3:///prefix", "s3://Bucket/x", "s3://a/x", "s3://bucket/../x", "http://bucket/x", "a\0b"]
)
def test_what_names_no_store_is_refused(text):
    with pytest.raises(InputError) as refused:
        open_store(text, lambda: pytest.fail("nothing to connect to"))
    assert repr(text) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_bucket_needs_a_connection():
    with pytest.raises(InputError, match="no connection to AWS"):
        open_store("s3://bucket/prefix")


def test_a_folder_is_called_as_it_was_written():
    assert open_store("some/history").where == "some/history"
