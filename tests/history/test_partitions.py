"""A partition's rows come back as they went in, exactly, in order, and as the same bytes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.command_line import snapshot
from tests.history.history_rows import ASKED, CHANGES, OCTOBER, START, all_partitions, counts, example_rows

from tocsin.errors import InputError
from tocsin.history.folder import Folder
from tocsin.history.partitions import CorruptError, Partition, check_rows, merge_rows, month_of, read_rows, replace_rows
from tocsin.history.schema import ALARM_STATE, SLI, TABLES

LIMIT = 10**15  # DECIMAL(18,3) has fifteen digits before the point


@pytest.fixture
def store(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "history")


def stored(store: Folder, partition: Partition) -> bytes:
    return (store.path / partition.path).read_bytes()


def test_what_is_not_there_has_no_rows(store):
    assert read_rows(store, OCTOBER) == []
    assert not store.path.exists()


@pytest.mark.parametrize("partition", all_partitions(), ids=lambda each: each.table.name)
def test_every_table_keeps_its_values(store, partition):
    merge_rows(store, partition, example_rows(partition.table))
    found = read_rows(store, partition)
    assert len(found) == 2
    places = [[column.name for column in partition.table.columns].index(name) for name in partition.table.key]
    keys = [tuple(row[place] for place in places) for row in found]
    assert keys == sorted(keys)
    for row in found:
        for column, value in zip(partition.table.columns, row, strict=True):
            kind = {"VARCHAR": str, "TIMESTAMP": datetime, "INTEGER": int}.get(column.type, Decimal)
            assert isinstance(value, kind) or (value is None and column.nullable), column.name
    nullable = [place for place, column in enumerate(partition.table.columns) if column.nullable]
    assert {tuple(row[place] is None for place in nullable) for row in found} == (
        {(True,) * len(nullable), (False,) * len(nullable)} if nullable else {()}
    )


def test_the_file_has_the_types_of_the_schema(store):
    import duckdb

    for partition in all_partitions():
        merge_rows(store, partition, example_rows(partition.table))
        path = store.path / partition.path
        described = duckdb.sql(f"DESCRIBE SELECT * FROM read_parquet('{path}', hive_partitioning = false)").fetchall()
        assert [tuple(row[:2]) for row in described] == [(each.name, each.type) for each in partition.table.columns]
        codecs = duckdb.sql(f"SELECT DISTINCT compression FROM parquet_metadata('{path}')").fetchall()
        assert codecs == [("ZSTD",)]
        logical = duckdb.sql(f"SELECT logical_type FROM parquet_schema('{path}') WHERE duckdb_type = 'TIMESTAMP'")
        # Athena shifts what is adjusted to UTC by the session's zone; ours are plain.
        assert all("isAdjustedToUTC=0" in kind.replace("false", "0") for (kind,) in logical.fetchall())


rows = st.lists(
    st.tuples(
        st.text(max_size=20),
        st.integers(0, 30 * 86_400 * 10**6).map(lambda micros: START + timedelta(microseconds=micros)),
        st.integers(1, 86_400),
        st.fractions(-LIMIT + 1, LIMIT - 1) | st.integers(-LIMIT + 1, LIMIT - 1),
        st.decimals(-LIMIT + 1, LIMIT - 1, allow_nan=False, places=5),
    ),
    max_size=12,
)


def thousandths(value: Any) -> Decimal:
    """As Fraction itself rounds: to the nearest, half to even."""
    return Decimal(round(Fraction(value) * 1000)).scaleb(-3)


def told(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a reader gets for a row."""
    slo, at, period, good, valid = row
    text = slo.encode("utf-8", "replace").decode().replace("\0", "�")
    moment = at.replace(tzinfo=None, microsecond=at.microsecond // 1000 * 1000)
    return text, moment, period, thousandths(good), thousandths(valid)


@given(rows, rows)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_merge_is_a_dictionary_update(tmp_path_factory, first, second):
    store = Folder(tmp_path_factory.mktemp("history"))
    merge_rows(store, OCTOBER, first)
    merge_rows(store, OCTOBER, second)
    expected = {told(row)[:2]: told(row) for row in [*first, *second]}
    assert read_rows(store, OCTOBER) == sorted(expected.values(), key=lambda row: (row[0].encode(), row[1]))
    replace_rows(store, OCTOBER, first)
    assert {row[:2]: row for row in read_rows(store, OCTOBER)} == {told(row)[:2]: told(row) for row in first}


states = st.lists(
    st.tuples(
        st.sampled_from(["one", "two"]),
        st.integers(0, 40).map(lambda minutes: START + timedelta(minutes=minutes)),
        st.none() | st.text(max_size=5),
        st.just("OK"),
        st.text(st.characters() | st.sampled_from("\"',\n\r\\\0 ;#\t\ufeff"), max_size=30),
    ),
    max_size=12,
    unique_by=lambda row: row[:2],
)


@given(states)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_survives(tmp_path_factory, wanted):
    store = Folder(tmp_path_factory.mktemp("history"))
    merge_rows(store, CHANGES, wanted)
    clean = [
        tuple(None if cell is None else cell.encode("utf-8", "replace").decode().replace("\0", "�") for cell in row[2:])
        for row in sorted(wanted, key=lambda row: row[:2])
    ]
    assert [row[2:] for row in read_rows(store, CHANGES)] == clean


def test_equal_rows_are_equal_bytes_however_they_came(tmp_path):
    wanted = counts(minutes=3000, good=Fraction(1, 7)) + counts("pay", minutes=2000)
    at_once, in_parts = Folder(tmp_path / "one"), Folder(tmp_path / "two")
    merge_rows(at_once, OCTOBER, wanted)
    for start in range(0, len(wanted), 1111):
        merge_rows(in_parts, OCTOBER, wanted[::-1][start : start + 1111])
    assert stored(at_once, OCTOBER) == stored(in_parts, OCTOBER)
    merge_rows(at_once, OCTOBER, [])
    assert stored(at_once, OCTOBER) == stored(in_parts, OCTOBER)


def test_equal_rows_are_equal_bytes_in_another_process(tmp_path):
    import subprocess
    import sys

    program = (
        "import sys; from pathlib import Path; from tests.history.history_rows import *;"
        "from tocsin.history.folder import Folder; from tocsin.history.partitions import merge_rows;"
        "merge_rows(Folder(Path(sys.argv[1])), OCTOBER, counts(minutes=50_000))"
    )
    found = set()
    for name, seed in (("one", "1"), ("two", "2")):
        folder = tmp_path / name
        environment = {"PYTHONHASHSEED": seed, "TZ": "Asia/Tokyo" if name == "two" else "UTC"}
        subprocess.run(
            [sys.executable, "-c", program, folder], check=True, cwd=Path(__file__).parents[2], env=environment
        )
        found.add(stored(Folder(folder), OCTOBER))
    assert len(found) == 1


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("orders", START, 60, 1.5, 2), "good cannot be 1.5"),
        (("orders", START, 60, Decimal("nan"), 2), "good cannot be Decimal('NaN')"),
        (("orders", START, 60, Decimal("inf"), 2), "good cannot be"),
        (("orders", START, 60, 1, 10**15), "valid cannot be 1000000000000000"),
        (("orders", START, 60, 1, None), "valid cannot be None"),
        (("orders", "2026-10-01", 60, 1, 2), "at cannot be '2026-10-01'"),
        ((None, START, 60, 1, 2), "slo cannot be None"),
        ((7, START, 60, 1, 2), "slo cannot be 7"),
        (("orders", START, 2**31, 1, 2), "period cannot be 2147483648"),
        (("orders", START, 60.0, 1, 2), "period cannot be 60.0"),
    ],
)
def test_a_value_of_another_kind_is_refused_and_nothing_is_written(store, row, said):
    merge_rows(store, OCTOBER, counts())
    before = stored(store, OCTOBER)
    with pytest.raises(InputError, match="table sli: ") as refused:
        merge_rows(store, OCTOBER, [*counts(minutes=9), row])
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert stored(store, OCTOBER) == before
    assert list(store.scratch.iterdir()) == []


def test_the_largest_counts_fit(store):
    merge_rows(store, OCTOBER, [("a", START, 60, LIMIT - 1, Decimal("999999999999999.999"))])
    assert read_rows(store, OCTOBER)[0][3:] == (Decimal(LIMIT - 1), Decimal("999999999999999.999"))


@pytest.mark.parametrize(
    ("moment", "month"),
    [
        (datetime(2026, 10, 31, 23, 59, 59, 999_999, UTC), "2026-10"),
        (datetime(2026, 11, 1, tzinfo=UTC), "2026-11"),
        (datetime(2026, 11, 1, 0, 30, tzinfo=timezone(timedelta(hours=1))), "2026-10"),
        (datetime(2026, 10, 31, 23, tzinfo=timezone(timedelta(hours=-2))), "2026-11"),
        (datetime(2026, 11, 1, tzinfo=UTC).replace(tzinfo=None), "2026-11"),
        (datetime(987, 1, 1, tzinfo=UTC), "0987-01"),
    ],
)
def test_a_month_is_one_of_utc(moment, month):
    assert month_of(moment) == month


def test_a_moment_of_another_zone_is_kept_in_utc(store):
    at = datetime(2026, 10, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    merge_rows(store, OCTOBER, [("orders", at, 60, 1, 2), ("orders", START, 60, 3, 4)])
    assert read_rows(store, OCTOBER) == [("orders", START.replace(tzinfo=None), 60, Decimal(3), Decimal(4))]


def flip(content: bytes) -> bytes:
    """Other bytes in the middle, where the values are."""
    middle = len(content) // 3
    return content[:middle] + bytes(255 - each for each in content[middle : middle + 40]) + content[middle + 40 :]


CORRUPTIONS = {
    "empty": lambda content: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "without its footer": lambda content: content[:-4],
    "garbage": lambda content: b"not parquet at all" * 10,
    "values flipped": flip,
}


def mending(store, partition):
    return read_rows(store, partition, put_aside=True)


@pytest.mark.parametrize("corrupt", CORRUPTIONS.values(), ids=CORRUPTIONS)
def test_a_read_changes_nothing_unless_it_is_told_to(store, corrupt):
    merge_rows(store, OCTOBER, counts(minutes=4000))
    merge_rows(store, ASKED, [("orders", START, START + timedelta(minutes=4000), 60)])
    path = store.path / OCTOBER.path
    path.write_bytes(corrupt(path.read_bytes()))
    before = snapshot(store.path)
    for _ in range(2):
        with pytest.raises(CorruptError, match="`tocsin history pull` puts it aside") as found:
            read_rows(store, OCTOBER)
        assert OCTOBER.path in str(found.value)
        assert (found.value.path, found.value.moved) == (OCTOBER.path, None)
    assert snapshot(store.path) == before


@pytest.mark.parametrize("corrupt", CORRUPTIONS.values(), ids=CORRUPTIONS)
@pytest.mark.parametrize("use", [mending, check_rows, lambda store, each: merge_rows(store, each, counts())])
def test_a_corrupt_file_is_named_once_and_put_aside(store, corrupt, use):
    merge_rows(store, OCTOBER, counts(minutes=4000))
    merge_rows(store, ASKED, [("orders", START, START + timedelta(minutes=4000), 60)])
    path = store.path / OCTOBER.path
    broken = corrupt(path.read_bytes())
    path.write_bytes(broken)
    with pytest.raises(CorruptError) as found:
        use(store, OCTOBER)
    assert OCTOBER.path in str(found.value)
    assert str(store.path) in str(found.value)
    assert "\n" not in str(found.value)
    assert found.value.path == OCTOBER.path
    assert (store.path / found.value.moved).read_bytes() == broken
    assert found.value.moved.endswith("/_rows.parquet.corrupt-1")
    # What says that those rows were asked went with them, so that they are asked again.
    assert read_rows(store, OCTOBER) == []
    assert read_rows(store, ASKED) == []
    use(store, OCTOBER)


def test_each_corrupt_file_is_kept(store):
    for number in (1, 2, 3):
        merge_rows(store, OCTOBER, counts())
        (store.path / OCTOBER.path).write_bytes(b"%d" % number)
        with pytest.raises(CorruptError, match=f"corrupt-{number}"):
            mending(store, OCTOBER)
    kept = sorted((store.path / OCTOBER.path).parent.glob("_*"))
    assert [each.read_bytes() for each in kept] == [b"1", b"2", b"3"]


def test_corrupt_coverage_leaves_the_rows_alone(store):
    merge_rows(store, OCTOBER, counts())
    merge_rows(store, ASKED, [("orders", START, START + timedelta(hours=1), 60)])
    (store.path / ASKED.path).write_bytes(b"PAR1")
    with pytest.raises(CorruptError, match="coverage"):
        read_rows(store, ASKED)
    assert len(read_rows(store, OCTOBER)) == 3


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT 'a' AS slo", "no column at, good, period, valid"),
        (
            "SELECT 'a' AS slo, TIMESTAMP '2026-10-01' AS \"at\", 60 AS period, 1.0 AS good, 2::DECIMAL(18,3) AS valid",
            "good is DECIMAL(2,1), not DECIMAL(18,3)",
        ),
        ("SELECT 'OK' AS before, 'x' AS alarm", "unknown column alarm, before"),
    ],
)
def test_other_columns_are_told(store, tmp_path, query, said):
    import duckdb

    path = store.path / OCTOBER.path
    path.parent.mkdir(parents=True)
    duckdb.sql(query).write_parquet(str(path))
    with pytest.raises(CorruptError) as found:
        read_rows(store, OCTOBER)
    assert said in str(found.value)


def test_the_order_of_columns_in_a_file_does_not_matter(store):
    import duckdb

    path = store.path / OCTOBER.path
    path.parent.mkdir(parents=True)
    duckdb.sql(
        "SELECT 2::DECIMAL(18,3) AS valid, 1::DECIMAL(18,3) AS good, 60 AS period, TIMESTAMP '2026-10-01' AS \"at\", 'a' AS slo"
    ).write_parquet(str(path))
    assert read_rows(store, OCTOBER) == [("a", START.replace(tzinfo=None), 60, Decimal(1), Decimal(2))]


@pytest.mark.parametrize(
    "name", ["with a space", "a'quote", "star*", "brack[et]", "question?", "month=2020-01", "ünïcode"]
)
def test_any_folder_will_do(tmp_path, name):
    store = Folder(tmp_path / name / "history")
    merge_rows(store, OCTOBER, counts())
    merge_rows(store, OCTOBER, counts("pay"))
    assert len(read_rows(store, OCTOBER)) == 6


def test_paths_are_those_of_the_schema():
    assert OCTOBER.path == "v1/sli/environment=prod/system=shop/month=2026-10/rows.parquet"
    assert {table.name for table in TABLES.values()} >= {SLI.name, ALARM_STATE.name}
