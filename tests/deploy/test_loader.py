"""The loader: what it makes of events and keys, and what really happens to a file in a real PostgreSQL."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pg8000.native
import pytest
from deploy.data_pipeline.handlers import loader
from deploy.data_pipeline.handlers.contracts import TABLES, ContractError, table_for
from deploy.data_pipeline.handlers.database import File, create_tables, load
from hypothesis import given
from hypothesis import strategies as st

from tocsin.cloud.embedded.postgres import PostgreSql, postgres

FLIGHTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "flights"
AIRLINES = b"carrier,name\n9E,Endeavor Air Inc.\nAA,American Airlines Inc.\n"


def event(*objects: dict[str, Any]) -> dict[str, Any]:
    return {"Records": [{"s3": {"bucket": {"name": "incoming"}, "object": each}} for each in objects]}


class TestEvent:
    @given(st.text(min_size=1))
    def test_keys_come_back_from_their_form_encoding(self, key: str) -> None:
        key = key.encode(errors="replace").decode()
        assert loader.files_of(event({"key": quote_plus(key), "versionId": "v1"})) == [File("incoming", key, "v1")]

    @pytest.mark.parametrize(
        "other", [{}, {"Records": [{}]}, {"Records": None}, {"Event": "s3:TestEvent"}, event({"key": "airlines/a.csv"})]
    )
    def test_another_event_is_refused(self, other: dict[str, Any]) -> None:
        with pytest.raises(ContractError, match="not an event of a versioned bucket"):
            loader.files_of(other)


class TestContract:
    def test_the_first_folder_names_the_table(self) -> None:
        assert table_for("flights-airport/2013/all.csv").name == "flights_airport"

    @pytest.mark.parametrize(
        "key", ["airlines.csv", "airlines", "/airlines/a.csv", "trains/a.csv", "Airlines/a.csv", ""]
    )
    def test_any_other_place_is_refused_and_the_right_ones_named(self, key: str) -> None:
        with pytest.raises(ContractError, match="airlines, airports, flights-airport, planes"):
            table_for(key)

    def test_every_key_is_a_column(self) -> None:
        assert all(set(table.key) <= set(table.columns) for table in TABLES.values())


class TestTls:
    def test_only_the_two_words_are_taken(self) -> None:
        assert loader.tls_context("off") is None
        assert loader.tls_context("require") is not None
        with pytest.raises(ValueError, match="DATABASE_TLS must be require or off, not 'Off'"):
            loader.tls_context("Off")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSql]:
    with postgres() as running:
        yield running


class Database:
    """A database of its own in the running server; each connection is closed with it."""

    def __init__(self, server: PostgreSql, name: str) -> None:
        self.server, self.name = server, name

    def connect(self) -> Any:
        server = self.server
        return pg8000.native.Connection(
            server.user, password=server.password, host=server.host, port=server.port, database=self.name
        )

    def load(self, prefix: str, content: bytes | Iterable[bytes], version: str = "v1") -> int | None:
        chunks = [content] if isinstance(content, bytes) else content
        with closing(self.connect()) as connection:
            return load(connection, TABLES[prefix], File("incoming", f"{prefix}/a.csv", version), chunks)

    def rows(self, statement: str) -> list[list[Any]]:
        with closing(self.connect()) as connection:
            found: list[list[Any]] = connection.run(statement)
            return found


@pytest.fixture
def database(server: PostgreSql, request: pytest.FixtureRequest) -> Iterator[Database]:
    name = f"test_{abs(hash(request.node.nodeid))}"
    with closing(
        pg8000.native.Connection(server.user, password=server.password, host=server.host, port=server.port)
    ) as c:
        c.run(f"create database {name}")
        made = Database(server, name)
        with closing(made.connect()) as connection:
            create_tables(connection, TABLES)
        yield made
        c.run(f"drop database {name} with (force)")


def in_pieces(content: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


class TestLoad:
    def test_rows_arrive_and_the_ledger_knows(self, database: Database) -> None:
        assert database.load("airlines", AIRLINES) == 2
        assert database.rows("select * from airlines order by 1") == [
            ["9E", "Endeavor Air Inc."],
            ["AA", "American Airlines Inc."],
        ]
        assert database.rows("select bucket, key, version, table_name, row_count from loaded_files") == [
            ["incoming", "airlines/a.csv", "v1", "airlines", 2]
        ]

    def test_where_the_stream_is_cut_does_not_matter(self, database: Database) -> None:
        assert database.load("airlines", in_pieces(AIRLINES, 1)) == 2

    def test_one_version_is_loaded_once_and_not_even_read_again(self, database: Database) -> None:
        def unread() -> Iterator[bytes]:
            raise AssertionError("read")
            yield b""

        database.load("airlines", AIRLINES)
        assert database.load("airlines", unread()) is None
        assert database.rows("select count(*) from airlines") == [[2]]

    def test_a_new_version_replaces_the_rows_of_its_keys_and_keeps_the_others(self, database: Database) -> None:
        database.load("airlines", AIRLINES)
        assert database.load("airlines", b"carrier,name\nAA,American\nWN,Southwest\n", "v2") == 2
        assert database.rows("select * from airlines order by 1") == [
            ["9E", "Endeavor Air Inc."],
            ["AA", "American"],
            ["WN", "Southwest"],
        ]

    def test_na_is_null_and_quoted_text_stays_text(self, database: Database) -> None:
        header = b"tailnum,year,type,manufacturer,model,engines,seats,speed,engine\n"
        database.load("planes", header + b'N1,NA,"a ""b"",\nc",EMBRAER,"NA",2,55,NA,Turbo-fan\n')
        assert database.rows("select tailnum, year, type, model, speed from planes") == [
            ["N1", None, 'a "b",\nc', "NA", None]
        ]

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "'airlines/a.csv' is empty: it has not even a header"),
            (
                b"carrier,title\nAA,American\n",
                'column name mismatch in header line field 2: got "title", expected "name"',
            ),
            (b"name,carrier\nAmerican,AA\n", "column name mismatch in header line field 1"),
            (b"carrier\nAA\n", "wrong number of fields in header line: got 1, expected 2"),
            (AIRLINES + b"WN\n", 'missing data for column "name" | COPY incoming, line 4'),
            (AIRLINES + b"WN,South,west\n", "extra data after last expected column | COPY incoming, line 4"),
            (AIRLINES + b"WN,NA\n", 'null value in column "name"'),
            (AIRLINES + b"NA,Nobody\n", 'null value in column "carrier"'),
            (AIRLINES + b"AA,Twice\n", "cannot affect row a second time"),
            (AIRLINES + b"W\x00,Nul\n", "invalid byte sequence"),
            (AIRLINES + b"WN,S\xfcd\n", "invalid byte sequence"),
            (AIRLINES + b'WN,"Southwest\n', "unterminated CSV quoted field"),
        ],
    )
    def test_a_file_that_breaks_the_contract_leaves_nothing_and_the_reason(
        self, database: Database, content: bytes, said: str
    ) -> None:
        with pytest.raises((pg8000.native.DatabaseError, ContractError)) as caught:
            database.load("airlines", content)
        assert said in loader.reason(caught.value)
        assert "\n" not in loader.reason(caught.value)
        assert database.rows("select (select count(*) from airlines), (select count(*) from loaded_files)") == [[0, 0]]
        assert database.load("airlines", AIRLINES) == 2

    def test_a_number_that_is_none_names_line_and_column(self, database: Database) -> None:
        with pytest.raises(pg8000.native.DatabaseError) as caught:
            database.load("flights-airport", b"origin,destination,count\nABE,ATL,many\n")
        assert 'COPY incoming, line 2, column count: "many"' in loader.reason(caught.value)

    def test_a_stream_that_breaks_leaves_nothing(self, database: Database) -> None:
        def broken() -> Iterator[bytes]:
            yield AIRLINES
            raise ConnectionResetError("peer")

        with pytest.raises(ConnectionResetError):
            database.load("airlines", broken())
        assert database.load("airlines", AIRLINES) == 2

    def test_the_same_file_twice_at_once_is_loaded_once(self, database: Database) -> None:
        """The first load ends its stream only when the second waits for it, so both are under way together."""
        results: dict[str, int | None] = {}

        def second() -> None:
            results["second"] = database.load("airlines", AIRLINES)

        thread = threading.Thread(target=second)

        def first_chunks() -> Iterator[bytes]:
            thread.start()
            yield AIRLINES
            while not database.rows("select 1 from pg_stat_activity where wait_event_type = 'Lock'"):
                assert thread.is_alive()

        results["first"] = database.load("airlines", first_chunks())
        thread.join(60)
        assert results == {"first": 2, "second": None}

    def test_tables_may_be_created_by_many_at_once(self, server: PostgreSql, database: Database) -> None:
        with closing(database.connect()) as connection:
            connection.run("drop table loaded_files, airlines, airports, planes, flights_airport")
        errors: list[BaseException] = []

        def create() -> None:
            try:
                with closing(database.connect()) as connection:
                    create_tables(connection, TABLES)
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=create) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert errors == []
        assert len(database.rows("select 1 from pg_tables where schemaname = 'public'")) == 5


@pytest.mark.skipif(not FLIGHTS.is_dir(), reason="the flights data (../shared/data/flights) is not here")
@pytest.mark.parametrize("prefix", sorted(TABLES))
def test_the_flights_tables_load_as_they_are(database: Database, prefix: str) -> None:
    content = (FLIGHTS / f"{prefix}.csv").read_bytes()
    expected = list(csv.DictReader(content.decode().splitlines()))
    assert database.load(prefix, in_pieces(content, loader.CHUNK)) == len(expected)
    table = TABLES[prefix]
    columns = ", ".join(f'"{name}"' for name in table.columns)
    found = {
        tuple(row[list(table.columns).index(key)] for key in table.key): row
        for row in database.rows(f'select {columns} from "{table.name}"')
    }
    assert len(found) == len(expected)
    for line in expected:
        row = found[tuple(line[key] for key in table.key)]
        for value, text in zip(row, line.values(), strict=True):
            assert (text == "NA") if value is None else (text == value or float(text) == value)


class TestHandler:
    def test_a_bad_file_fails_the_event_but_not_its_neighbours(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def load_file(file: File) -> int | None:
            table_for(file.key)
            return None if file.version == "v0" else 2

        monkeypatch.setattr(loader, "load_file", load_file)
        objects = [
            {"key": "trains/a.csv", "versionId": "v1"},
            {"key": "airlines/a.csv", "versionId": "v1"},
            {"key": "airlines/b.csv", "versionId": "v0"},
        ]
        context = type("Context", (), {"aws_request_id": "request-1"})()
        with pytest.raises(ContractError, match=r"no table is declared for 'trains/a\.csv'"):
            loader.handler(event(*objects), context)
        logged = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [(line["event"], line.get("rows")) for line in logged] == [
            ("load-failed", None),
            ("file-loaded", 2),
            ("file-already-loaded", None),
        ]
        assert loader.handler(event(*objects[1:]), context) == {"files": 2, "loaded": 1}
