"""DuckDB over a history: every table by its name, whatever is there, and what cannot be read told and left out."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from tests.history.history_rows import CHANGES, OCTOBER, START, all_partitions, counts, example_rows
from tests.history.test_partitions import CORRUPTIONS

from tocsin.errors import InputError
from tocsin.history.engine import open_duckdb
from tocsin.history.folder import Folder
from tocsin.history.partitions import Partition, merge_rows, read_rows
from tocsin.history.schema import PARTITIONS, SLI, TABLES

NOVEMBER = Partition(SLI, "prod", "shop", "2026-11")
ELSEWHERE = Partition(SLI, "laptop", "billing", "2026-10")


@pytest.fixture
def store(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "history")


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_an_empty_history_has_every_table_and_column(store, table):
    engine = open_duckdb(store)
    names = [column.name for column in table.columns] + list(PARTITIONS)
    columns = ", ".join(f'"{name}"' for name in names)
    assert engine.rows(f"SELECT {columns} FROM {table.name}") == []
    assert engine.rows(f"SELECT count(*) FROM {table.name} WHERE environment = 'prod' AND month >= '2026-10'") == [(0,)]
    assert engine.skipped == ()
    assert not store.path.exists()


@pytest.mark.parametrize("partition", all_partitions(), ids=lambda each: each.table.name)
def test_every_table_is_there_by_its_name(store, partition):
    merge_rows(store, partition, example_rows(partition.table))
    engine = open_duckdb(store)
    types = [(row[0], row[1]) for row in engine.rows(f"DESCRIBE {partition.table.name}")]
    assert types == [
        *((column.name, column.type) for column in partition.table.columns),
        *((name, "VARCHAR") for name in PARTITIONS),
    ]
    assert engine.rows(f"SELECT count(*), min(environment), min(system), min(month) FROM {partition.table.name}") == [
        (2, "prod", "shop", "2026-10")
    ]


@pytest.mark.parametrize("name", ["history", "month=2020-01", "a[b]*?", "system=x/environment=y"])
def test_partitions_are_those_of_the_history_not_of_folders_above_it(tmp_path, name):
    store = Folder(tmp_path / name)
    for partition in (OCTOBER, NOVEMBER, ELSEWHERE):
        merge_rows(store, partition, counts())
    engine = open_duckdb(store)
    assert engine.rows("SELECT environment, system, month, count(*) FROM sli GROUP BY 1, 2, 3 ORDER BY 1, 2, 3") == [
        ("laptop", "billing", "2026-10", 3),
        ("prod", "shop", "2026-10", 3),
        ("prod", "shop", "2026-11", 3),
    ]


def test_partition_keys_are_text_even_where_they_look_like_numbers(store):
    merge_rows(store, Partition(SLI, "1", "007", "2026-10"), counts())
    assert open_duckdb(store).rows("SELECT DISTINCT environment, system FROM sli") == [("1", "007")]


def test_values_are_python_s_and_sums_are_exact(store):
    merge_rows(
        store, OCTOBER, [(f"s{n}", START, 60, Decimal("0.1"), Decimal("999999999999999.999")) for n in range(1000)]
    )
    ((good, valid, at, period),) = open_duckdb(store).rows(
        'SELECT sum(good), sum(valid), min("at"), max(period) FROM sli'
    )
    assert (good, valid) == (Decimal(100), Decimal("999999999999999.999") * 1000)
    assert (at, period) == (START.replace(tzinfo=None), 60)


@pytest.mark.parametrize("corrupt", CORRUPTIONS.values(), ids=CORRUPTIONS)
def test_what_is_corrupt_is_left_out_told_and_not_touched(store, corrupt):
    for partition in (OCTOBER, NOVEMBER, ELSEWHERE):
        merge_rows(store, partition, counts(minutes=4000))
    path = store.path / OCTOBER.path
    broken = corrupt(path.read_bytes())
    path.write_bytes(broken)
    engine = open_duckdb(store)
    assert engine.rows("SELECT system, month, count(*) FROM sli GROUP BY 1, 2 ORDER BY 1") == [
        ("billing", "2026-10", 4000),
        ("shop", "2026-11", 4000),
    ]
    ((name, why),) = engine.skipped
    assert name == OCTOBER.path
    assert why
    assert "\n" not in why
    assert path.read_bytes() == broken


def test_a_table_of_nothing_but_corrupt_files_is_empty(store):
    merge_rows(store, OCTOBER, counts())
    (store.path / OCTOBER.path).write_bytes(b"PAR1")
    engine = open_duckdb(store)
    assert engine.rows("SELECT count(*) FROM sli") == [(0,)]
    assert len(engine.skipped) == 1


def unsealed(content: bytes, tmp_path: Path) -> bytes:
    """The same rows as another program would write them, without a digest, the values not readable."""
    import duckdb

    (tmp_path / "sealed.parquet").write_bytes(content)
    plain = tmp_path / "plain.parquet"
    duckdb.sql(f"COPY (FROM '{tmp_path / 'sealed.parquet'}') TO '{plain}' (FORMAT parquet, COMPRESSION zstd)")
    return plain.read_bytes()


def test_a_file_of_another_program_is_read(store, tmp_path):
    merge_rows(store, OCTOBER, counts())
    path = store.path / OCTOBER.path
    path.write_bytes(unsealed(path.read_bytes(), tmp_path))
    engine = open_duckdb(store)
    assert engine.rows("SELECT count(*) FROM sli") == [(3,)]
    assert engine.skipped == ()
    merge_rows(store, OCTOBER, counts("pay"))
    assert open_duckdb(store).rows("SELECT count(*) FROM sli") == [(6,)]


def test_damage_in_such_a_file_is_found_when_it_is_read(store, tmp_path):
    merge_rows(store, OCTOBER, [(f"slo {n * n}", START + timedelta(minutes=n), 60, n, n) for n in range(20_000)])
    merge_rows(store, NOVEMBER, counts())
    path = store.path / OCTOBER.path
    plain = unsealed(path.read_bytes(), tmp_path)
    path.write_bytes(plain[:4] + bytes(len(plain) // 2) + plain[4 + len(plain) // 2 :])
    engine = open_duckdb(store)
    assert engine.rows("SELECT count(DISTINCT slo), sum(good) FROM sli") == [(1, Decimal(27))]
    assert [name for name, _ in engine.skipped] == [OCTOBER.path]
    assert engine.rows("SELECT count(*) FROM sli") == [(3,)]


def test_a_file_that_goes_bad_while_it_is_asked_is_left_out_then(store):
    for partition in (OCTOBER, NOVEMBER):
        merge_rows(store, partition, counts())
    engine = open_duckdb(store)
    assert engine.rows("SELECT count(*) FROM sli") == [(6,)]
    (store.path / OCTOBER.path).unlink()
    assert engine.rows("SELECT count(*) FROM sli") == [(3,)]
    assert engine.skipped == ((OCTOBER.path, "it cannot be read: No such file or directory"),)
    (store.path / NOVEMBER.path).write_bytes(b"PAR1")
    assert engine.rows("SELECT count(*) FROM sli") == [(0,)]


def test_no_damage_to_one_file_spoils_another(store, tmp_path):
    """Some damage makes DuckDB refuse everything that its database is asked from then on."""
    for partition in (OCTOBER, NOVEMBER):
        merge_rows(store, partition, counts(minutes=5000))
    path = store.path / OCTOBER.path
    plain = unsealed(path.read_bytes(), tmp_path)
    chance = random.Random(3)
    for _ in range(60):
        broken = bytearray(plain)
        for _ in range(chance.randrange(1, 6)):
            place = chance.choice(
                [chance.randrange(len(plain) - 600, len(plain) - 8), chance.randrange(4, len(plain) - 8)]
            )
            broken[place] = chance.randrange(256)
        path.write_bytes(broken)
        engine = open_duckdb(store)
        assert engine.rows("SELECT count(*) FROM sli WHERE month = '2026-11'") == [(5000,)]
        assert {name for name, _ in engine.skipped} <= {OCTOBER.path}
        assert len(read_rows(store, NOVEMBER)) == 5000


def test_files_of_another_version_are_told(store):
    merge_rows(store, OCTOBER, counts())
    newer = store.path / OCTOBER.path.replace("v1/", "v2/")
    newer.parent.mkdir(parents=True)
    newer.write_bytes(b"whatever it is")
    engine = open_duckdb(store)
    assert engine.rows("SELECT count(*) FROM sli") == [(3,)]
    assert engine.skipped == ((newer.relative_to(store.path).as_posix(), engine.skipped[0][1]),)
    assert "another version" in engine.skipped[0][1]


def test_other_columns_are_left_out(store):
    merge_rows(store, CHANGES, [("an alarm", START, None, "OK", "because")])
    merge_rows(store, OCTOBER, counts())
    (store.path / OCTOBER.path).write_bytes((store.path / CHANGES.path).read_bytes())
    engine = open_duckdb(store)
    assert engine.rows("SELECT count(*) FROM sli") == [(0,)]
    assert "no column good, period, slo, valid; unknown column after, alarm, before, reason" in engine.skipped[0][1]


@pytest.mark.parametrize("sql", ["SELEC", "SELECT nothing FROM sli", "SELECT 1 / 'x'", "SELECT * FROM elsewhere"])
def test_a_mistake_in_sql_is_one_line(store, sql):
    merge_rows(store, OCTOBER, counts())
    with pytest.raises(InputError, match="DuckDB cannot answer: ") as refused:
        open_duckdb(store).rows(sql)
    assert "\n" not in str(refused.value)


def test_duckdb_is_not_asked_for_until_it_is_needed():
    import subprocess
    import sys

    program = (
        "import sys; sys.modules['duckdb'] = None\n"
        "from pathlib import Path; from tocsin.errors import InputError; from tocsin.history.engine import open_duckdb\n"
        "from tocsin.history.store import open_store; import tocsin.history.partitions\n"
        "try: open_duckdb(open_store('nothing'))\n"
        "except InputError as error: print(error)"
    )
    ended = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert ended.stdout == "tocsin review needs duckdb: pip install 'tocsin[review]'\n"
