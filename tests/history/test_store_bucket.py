"""A history in S3: put whole, fetched only when it changed, locked by an object, over the wire to an embedded S3."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.history.history_cloud import BUCKET, cache, cloud  # noqa: F401  # fixtures
from tests.history.history_rows import ASKED, OCTOBER, START, counts

from tocsin.cloud.objects import list_objects, read_object, write_object
from tocsin.errors import CloudError, InputError
from tocsin.history.engine import open_duckdb
from tocsin.history.folder import Folder
from tocsin.history.partitions import CorruptError, merge_rows, read_rows
from tocsin.history.schema import SLI
from tocsin.history.store import Store, open_store

MOMENT = "%Y-%m-%d %H:%M:%S UTC"


@pytest.fixture
def prefix(request) -> str:
    return f"test/{zlib.crc32(request.node.name.encode())}"


@pytest.fixture
def opened(cloud, cache, prefix):  # noqa: F811
    def make() -> Store:
        return open_store(f"s3://{BUCKET}/{prefix}", lambda: cloud)

    return make


@pytest.fixture
def calls(cloud):  # noqa: F811
    """Operations asked of S3, by name, as they are sent."""
    seen: list[str] = []
    events = cloud.client("s3").meta.events

    def note(model, **_: object) -> None:
        seen.append(model.name)

    events.register("before-call.s3", note)
    yield seen
    events.unregister("before-call.s3", note)


def test_rows_come_back(opened):
    store = opened()
    with store.locked():
        merge_rows(store, OCTOBER, counts())
        merge_rows(store, OCTOBER, counts("pay"))
    assert opened().paths(SLI) == [OCTOBER.path]
    assert len(read_rows(opened(), OCTOBER)) == 6
    assert open_duckdb(opened()).rows("SELECT count(*), max(environment), max(system), max(month) FROM sli") == [
        (6, "prod", "shop", "2026-10")
    ]


def test_the_object_is_the_file_of_a_folder(opened, cloud, prefix, tmp_path):  # noqa: F811
    store, folder = opened(), Folder(tmp_path / "history")
    for each in (store, folder):
        merge_rows(each, OCTOBER, counts())
    content, _ = read_object(cloud, BUCKET, f"{prefix}/{OCTOBER.path}")
    assert content == (folder.path / OCTOBER.path).read_bytes()


def test_only_what_changed_is_fetched(opened, calls, cache):  # noqa: F811
    merge_rows(opened(), OCTOBER, counts())
    calls.clear()
    first = opened().local(OCTOBER.path)
    assert calls == ["ListObjectsV2", "GetObject"]
    calls.clear()
    assert opened().local(OCTOBER.path) == first
    assert calls == ["ListObjectsV2"]
    merge_rows(opened(), OCTOBER, counts("pay"))
    calls.clear()
    second = opened().local(OCTOBER.path)
    assert calls == ["ListObjectsV2", "GetObject"]
    assert second != first
    assert not first.exists()  # nobody asks for the old one again
    assert [each for each in cache.rglob("*") if each.is_file()] == [second]


def test_nothing_there_is_an_empty_history(opened, calls):
    store = opened()
    assert store.paths(SLI) == []
    assert store.others() == []
    assert store.local(OCTOBER.path) is None
    assert read_rows(store, OCTOBER) == []
    assert calls == ["ListObjectsV2"]


def test_two_prefixes_and_neighbours_stay_apart(cloud, cache, prefix):  # noqa: F811
    def make(name: str) -> Store:
        return open_store(f"s3://{BUCKET}/{name}", lambda: cloud)

    merge_rows(make(prefix), OCTOBER, counts())
    merge_rows(make(f"{prefix}x"), OCTOBER, counts(minutes=7))
    assert len(read_rows(make(f"/{prefix}/"), OCTOBER)) == 3
    assert len(read_rows(make(f"{prefix}x"), OCTOBER)) == 7


def test_corrupt_objects_are_put_aside_with_the_reason(opened, cloud, prefix):  # noqa: F811
    store = opened()
    merge_rows(store, OCTOBER, counts())
    merge_rows(store, ASKED, [("orders", START, START + timedelta(hours=1), 60)])
    key = f"{prefix}/{OCTOBER.path}"
    write_object(cloud, BUCKET, key, b"PAR1 not at all")
    store = opened()
    with store.locked(), pytest.raises(CorruptError, match=r"it is now _rows.parquet.corrupt-1") as found:
        read_rows(store, OCTOBER, put_aside=True)
    assert read_rows(store, OCTOBER) == read_rows(store, ASKED) == []
    moved = cloud.client("s3").get_object(Bucket=BUCKET, Key=f"{prefix}/{found.value.moved}")
    assert moved["Body"].read() == b"PAR1 not at all"
    assert moved["Metadata"] == {"tocsin-reason": "it is no Parquet file, or only a part of one"}
    assert read_object(cloud, BUCKET, key) is None
    with store.locked():
        merge_rows(store, OCTOBER, counts())
    assert len(read_rows(opened(), OCTOBER)) == 3


def lock_of(cloud, prefix):  # noqa: F811
    found = read_object(cloud, BUCKET, f"{prefix}/.lock")
    return json.loads(found[0]) if found else None


def test_a_second_writer_is_told_and_the_lock_goes_with_the_first(opened, cloud, prefix):  # noqa: F811
    with opened().locked():
        held = lock_of(cloud, prefix)
        with pytest.raises(InputError) as refused, opened().locked():
            pass
        assert str(refused.value).startswith(
            f"another pull of s3://{BUCKET}/{prefix} is running (since {held['since']})"
        )
        assert held["until"] in str(refused.value)
        assert lock_of(cloud, prefix) == held
    assert lock_of(cloud, prefix) is None
    with opened().locked():
        pass


def test_the_lock_is_let_go_when_the_work_fails(opened, cloud, prefix):  # noqa: F811
    with pytest.raises(ZeroDivisionError), opened().locked():
        _ = 1 / 0
    assert lock_of(cloud, prefix) is None


def dated(minutes: float) -> bytes:
    """A lock that ends, or ended, in so many minutes."""
    now = datetime.now(UTC)
    since, until = now - timedelta(hours=1), now + timedelta(minutes=minutes)
    return json.dumps({"since": f"{since:{MOMENT}}", "until": f"{until:{MOMENT}}", "token": "of a dead one"}).encode()


@pytest.mark.parametrize("content", [dated(-1), b"", b"garbage", b"[]", b'{"until": 3}'])
def test_a_lock_whose_owner_died_is_taken_over(opened, cloud, prefix, content):  # noqa: F811
    write_object(cloud, BUCKET, f"{prefix}/.lock", content)
    with opened().locked():
        assert lock_of(cloud, prefix)["token"] != "of a dead one"
    assert lock_of(cloud, prefix) is None


def test_a_lock_that_has_not_ended_is_respected(opened, cloud, prefix):  # noqa: F811
    write_object(cloud, BUCKET, f"{prefix}/.lock", dated(+1))
    with pytest.raises(InputError, match="another pull"), opened().locked():
        pass


def test_whoever_lost_the_lock_writes_no_more(opened, cloud, prefix, monkeypatch):  # noqa: F811
    monkeypatch.setattr("tocsin.history.bucket._RENEWAL", timedelta(0))
    store = opened()
    with store.locked():
        merge_rows(store, OCTOBER, counts())
        write_object(cloud, BUCKET, f"{prefix}/.lock", dated(+9))
        with pytest.raises(CloudError, match=r"another pull of .* took over"):
            merge_rows(store, OCTOBER, counts("pay"))
    assert lock_of(cloud, prefix)["token"] == "of a dead one"  # the other one's lock stays
    assert len(read_rows(opened(), OCTOBER)) == 3


def test_a_lock_in_use_is_prolonged(opened, cloud, prefix, monkeypatch):  # noqa: F811
    monkeypatch.setattr("tocsin.history.bucket._RENEWAL", timedelta(0))
    store = opened()
    with store.locked():
        first = list_objects(cloud, BUCKET, f"{prefix}/.lock")
        monkeypatch.setattr("tocsin.history.bucket._EXPIRY", timedelta(hours=2))
        merge_rows(store, OCTOBER, counts())
        assert list_objects(cloud, BUCKET, f"{prefix}/.lock") != first
    assert lock_of(cloud, prefix) is None


def test_of_two_writers_at_once_one_wins(cloud):  # noqa: F811
    """What the lock stands on: S3 takes one of two conditional writes."""
    key = "test/conditional"
    first = write_object(cloud, BUCKET, key, b"1", only_new=True)
    assert first
    assert write_object(cloud, BUCKET, key, b"2", only_new=True) is None
    assert write_object(cloud, BUCKET, key, b"3", instead_of="0" * 32) is None
    assert write_object(cloud, BUCKET, key, b"3", instead_of=first)
    assert write_object(cloud, BUCKET, key, b"4", instead_of=first) is None
    assert write_object(cloud, BUCKET, "test/nothing", b"4", instead_of=first) is None
    assert read_object(cloud, BUCKET, key)[0] == b"3"


KILLED = """
import os, signal, sys
from tests.history.history_rows import OCTOBER, counts
from tocsin.cloud.session import connect
from tocsin.history.partitions import merge_rows
from tocsin.history.store import open_store
store = open_store(sys.argv[2], lambda: connect("eu-west-1", endpoint_url=sys.argv[1]))
with store.locked():
    merge_rows(store, OCTOBER, counts())
    (store.scratch / "half").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_after_a_kill_the_lock_ends_and_the_scratch_is_removed(opened, cloud, prefix, cache):  # noqa: F811
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, cloud.endpoint_url, f"s3://{BUCKET}/{prefix}"],
        check=False,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert ended.returncode == -9
    with pytest.raises(InputError, match="if it was killed, it counts as dead from"), opened().locked():
        pass
    assert len(list(cache.rglob("half"))) == 1
    write_object(cloud, BUCKET, f"{prefix}/.lock", dated(-1))  # a quarter of an hour later
    store = opened()
    with store.locked():
        assert list(cache.rglob("half")) == []
        merge_rows(store, OCTOBER, counts("pay"))
    assert len(read_rows(opened(), OCTOBER)) == 6


def test_a_bucket_that_does_not_exist_is_told(cloud, cache):  # noqa: F811
    store = open_store("s3://no-such-bucket-here/history", lambda: cloud)
    for use in (lambda: store.paths(SLI), lambda: store.locked().__enter__()):
        with pytest.raises(CloudError, match="bucket no-such-bucket-here does not exist; create it") as refused:
            use()
        assert "\n" not in str(refused.value)


def test_a_cache_folder_that_cannot_be_used_is_told(cloud, cache, prefix, tmp_path, monkeypatch):  # noqa: F811
    (tmp_path / "file").write_text("in the way")
    merge_rows(open_store(f"s3://{BUCKET}/{prefix}", lambda: cloud), OCTOBER, counts())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(
        InputError, match=r"the cache folder cannot be used: .*; give its rights, or set XDG_CACHE_HOME"
    ):
        read_rows(open_store(f"s3://{BUCKET}/{prefix}", lambda: cloud), OCTOBER)
