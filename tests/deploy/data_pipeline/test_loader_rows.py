"""What becomes of a file: its rows in the table, the bad ones in quarantine, one line in the ledger, or a clear reason."""

from __future__ import annotations

import csv
import io
import itertools
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from deploy.data_pipeline.handlers import records, text
from deploy.data_pipeline.handlers.contracts import TABLES, Column, Table
from deploy.data_pipeline.handlers.errors import DeploymentError, OutOfTimeError
from deploy.data_pipeline.handlers.files import Counts
from deploy.data_pipeline.handlers.load import load
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loading_tools import Database, MemoryStore, Pipeline

AIRLINES = b"carrier,name\n9E,Endeavor Air Inc.\nAA,American Airlines Inc.\n"
ROWS = [("9E", "Endeavor Air Inc."), ("AA", "American Airlines Inc.")]
FLIGHTS = b"origin,destination,count\n"


def airlines(pipeline: Pipeline) -> list[tuple[Any, ...]]:
    return pipeline.database.contents(TABLES["airlines"])


def bad_rows(pipeline: Pipeline, prefix: str, version: str = "v1") -> list[tuple[str, str, str]]:
    rows = list(csv.reader(io.StringIO(pipeline.bad_rows(prefix, version))))
    assert rows[0] == ["line", "reason", "row"]
    return [(line, reason, row) for line, reason, row in rows[1:]]


class TestGoodFiles:
    @pytest.mark.parametrize(
        ("content", "encoding", "delimiter"),
        [
            (AIRLINES, "utf-8", ","),
            (AIRLINES.replace(b"\n", b"\r\n"), "utf-8", ","),
            (AIRLINES.replace(b"\n", b"\r"), "utf-8", ","),
            (AIRLINES.rstrip(), "utf-8", ","),
            (AIRLINES + b"\n\r\n", "utf-8", ","),
            (b"\n\n" + AIRLINES, "utf-8", ","),
            (b"\xef\xbb\xbf" + AIRLINES, "utf-8", ","),
            (AIRLINES.replace(b",", b";"), "utf-8", ";"),
            (AIRLINES.replace(b",", b"\t"), "utf-8", "\t"),
            (AIRLINES.replace(b",", b"|"), "utf-8", "|"),
            (AIRLINES.decode().encode("utf-16"), "utf-16-le", ","),
            (b"\xfe\xff" + AIRLINES.decode().encode("utf-16-be"), "utf-16-be", ","),
            (b' "carrier" ,name\n'.replace(b' "', b'"').replace(b'" ', b'"') + AIRLINES[13:], "utf-8", ","),
            (b" carrier , name \n" + AIRLINES[13:], "utf-8", ","),
            (b"name,carrier\nEndeavor Air Inc.,9E\nAmerican Airlines Inc.,AA\n", "utf-8", ","),
            (b'"name","carrier"\n"Endeavor Air Inc.","9E"\n"American Airlines Inc.","AA"\n', "utf-8", ","),
        ],
    )
    def test_however_it_is_written(self, pipeline: Pipeline, content: bytes, encoding: str, delimiter: str) -> None:
        outcome = pipeline.load("airlines", content, share=0)
        assert outcome is not None
        assert (outcome.status, outcome.counts) == ("loaded", Counts(read=2, loaded=2))
        assert (outcome.encoding, outcome.delimiter, outcome.reason) == (encoding, delimiter, None)
        assert airlines(pipeline) == ROWS
        assert pipeline.store.quarantined == {}
        assert pipeline.store.reads == 1  # no second look was needed

    def test_where_the_stream_is_cut_does_not_matter(self, pipeline: Pipeline) -> None:
        pipeline.store.size = 1
        pipeline.load("airlines", AIRLINES.decode().encode("utf-16"), share=0)
        assert airlines(pipeline) == ROWS

    def test_a_header_alone_is_a_table_without_rows(self, pipeline: Pipeline) -> None:
        pipeline.load("airlines", b"carrier,name")
        assert pipeline.ledger() == [["incoming/airlines/a.csv", "v1", "loaded", 0, 0, 0, 0]]

    def test_na_is_null_but_not_in_quotes_on_both_paths(self, pipeline: Pipeline) -> None:
        header = b"tailnum,year,type,manufacturer,model,engines,seats,speed,engine\n"
        pipeline.load("planes", header + b'N1,NA,"a ""b"",\nc",EMBRAER,"NA",2,55,NA,Turbo-fan\n')
        bad = b"N3,NA,a,b,c,none,1,NA,d\n"
        pipeline.load("planes", header + b'N2,NA,"a ""b"",\nc",EMBRAER,"NA",2,55,NA,Turbo-fan\n' + bad, "v2")
        expected = [None, 'a "b",\nc', "NA", None]
        assert pipeline.database.rows("select year, type, model, speed from planes") == [expected, expected]

    def test_a_quote_in_the_middle_of_a_value_is_a_quote(self, pipeline: Pipeline) -> None:
        """COPY alone would join the two lines into one row."""
        pipeline.load("airlines", b'carrier,name\n9E,6" pipe\nAA,8" pipe\n', share=0)
        assert airlines(pipeline) == [("9E", '6" pipe'), ("AA", '8" pipe')]

    def test_windows_1252_is_said_and_read(self, pipeline: Pipeline) -> None:
        outcome = pipeline.load("airlines", "carrier,name\nS1,Süd–West €\n".encode("cp1252"), share=0)
        assert outcome is not None
        assert outcome.encoding == "windows-1252"
        assert airlines(pipeline) == [("S1", "Süd–West €")]

    def test_a_damaged_utf_8_file_is_not_taken_for_windows_1252(self, pipeline: Pipeline) -> None:
        pipeline.load("airlines", "carrier,name\nS1,Süd\nS2,S".encode() + b"\xfcd\n")
        assert airlines(pipeline) == [("S1", "Süd")]
        assert bad_rows(pipeline, "airlines") == [("3", "holds bytes that are no utf-8 text", "S2,S\\xfcd")]


class TestBadRows:
    @pytest.mark.parametrize(
        ("row", "said"),
        [
            (b"WN", "1 values where 2 are wanted"),
            (b"WN,South,west", "3 values where 2 are wanted"),
            (b"WN,NA", "name: no value"),
            (b"NA,Nobody", "carrier: no value"),
            (b"WN,", "name: empty"),
            (b"TOOLONG99,x", "carrier: 9 characters, at most 8"),
            (b"W\x00,Nul", "holds a NUL byte"),
            (b"W,S\xfcd", "holds bytes that are no utf-8 text"),
            (b"AA,Twice", "its key is in line 3 already"),
            (b"AA,American Airlines Inc.", "its key is in line 3 already"),
            (b'WN,"South"west', "a quoted value has something before or after its quotes"),
            (b'WN, "South,west"', "a quoted value has something before or after its quotes"),
            (b"WN,South\rwest", "a carriage return inside a value that is not quoted"),
            (b'WN,"South,west', "a quoted value has something before or after its quotes"),
            (b"NA,TOOLONG", "carrier: no value"),
            (b"TOOLONG99,", "carrier: 9 characters, at most 8; name: empty"),
        ],
    )
    def test_go_to_quarantine_with_line_and_reason(self, pipeline: Pipeline, row: bytes, said: str) -> None:
        after = "U1,Über\n".encode()
        outcome = pipeline.load("airlines", AIRLINES + row + b"\n" + after + b'Q1,"q"\n')
        assert outcome is not None
        assert (outcome.status, outcome.reason) == ("loaded", f"line 4: {said}")
        assert airlines(pipeline) == sorted([*ROWS, ("U1", "Über"), ("Q1", "q")])
        ((line, reason, kept),) = bad_rows(pipeline, "airlines")
        assert (line, reason) == ("4", said)
        assert kept == row.decode(errors="backslashreplace").replace("\0", "\\x00")
        assert pipeline.ledger() == [["incoming/airlines/a.csv", "v1", "loaded", 5, 4, 1, 0]]

    @pytest.mark.parametrize(
        ("count", "said"),
        [
            ("many", 'count: invalid input syntax for type integer: "many"'),
            ("", 'count: invalid input syntax for type integer: ""'),
            ("2147483648", 'count: value "2147483648" is out of range for type integer'),
            ("-1", "count: -1, at least 0"),
            ("1.5", 'count: invalid input syntax for type integer: "1.5"'),
        ],
    )
    def test_numbers_are_judged_by_the_database(self, pipeline: Pipeline, count: str, said: str) -> None:
        pipeline.load("flights-airport", FLIGHTS + f"ABE,ATL,{count}\nABE,BHM,1\n".encode())
        assert bad_rows(pipeline, "flights-airport") == [("2", said, f"ABE,ATL,{count}")]
        assert pipeline.database.contents(TABLES["flights-airport"]) == [("ABE", "BHM", 1)]

    @pytest.mark.parametrize(
        ("lat", "said"), [("NaN", "lat: NaN, at most 90"), ("-90.1", "lat: -90.1, at least -90"), ("1e400", "lat: ")]
    )
    def test_so_are_floats(self, pipeline: Pipeline, lat: str, said: str) -> None:
        header = "faa,name,lat,lon,alt,tz,dst,tzone\n"
        pipeline.load("airports", f"{header}AAA,a,{lat},0,0,0,A,NA\nBBB,b,1,1,1,1,A,NA\n".encode())
        ((_, reason, _),) = bad_rows(pipeline, "airports")
        assert reason.startswith(said)

    def test_lines_are_those_of_the_file_also_after_values_of_several_lines(self, pipeline: Pipeline) -> None:
        content = b'\r\ncarrier,name\r\nA1,"a\r\nb\r\nc"\r\n\r\nA2\r\nA3,"d\r\ne",f\r\nA4,g\r\nA5\r\n'
        pipeline.load("airlines", content, share=1)
        assert [line for line, *_ in bad_rows(pipeline, "airlines")] == ["7", "8", "11"]
        assert airlines(pipeline) == [("A1", "a\r\nb\r\nc"), ("A4", "g")]

    def test_what_follows_an_unclosed_quote_is_read_all_the_same(self, pipeline: Pipeline) -> None:
        content = b'carrier,name\nA1,"never closed\nA2,b\nA3,"c"\nA4,d\n'
        pipeline.load("airlines", content)
        assert airlines(pipeline) == [("A2", "b"), ("A3", "c"), ("A4", "d")]
        assert [line for line, *_ in bad_rows(pipeline, "airlines")] == ["2"]

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            (b"A1," + b"x" * 3000, "longer than 2,000 bytes"),
            (b'A1,"' + b"x" * 3000 + b'"', "longer than 2,000 bytes, or a quoted value is never closed"),
            (b'A1,"' + b"x\nA,y" * 1000, "longer than 2,000 bytes, or a quoted value is never closed"),
        ],
    )
    def test_a_record_without_end_is_given_up_not_gathered(
        self, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, row: bytes, said: str
    ) -> None:
        monkeypatch.setattr(records, "LONGEST", 2000)
        monkeypatch.setattr(text, "HEAD", 50)
        pipeline.store.size = 100
        outcome = pipeline.load("airlines", b"carrier,name\n" + row + b"\n" + AIRLINES[13:], share=1)
        assert outcome is not None
        assert set(ROWS) <= set(airlines(pipeline))
        assert outcome.reason == f"line 2: {said}"
        assert len(bad_rows(pipeline, "airlines")[0][2]) <= 2200

    @pytest.mark.parametrize("size", [1, 100])
    @pytest.mark.parametrize(
        "row",
        [
            b'A1,"' + b"x\n" * 3000 + b'"\n',
            b'A1,"' + b"x\n" * 3000 + b'"\r\n',
            b'A1,"' + b"x" * 3000 + b'\n"\n',
            b'A1,"' + b'x""\n' * 3000 + b'"\n',
            b'"' + b"x,\n" * 3000 + b'",b\n',
            b'"' + b"x,\n" * 3000 + b'","' + b"y\n" * 3000 + b'"\n',
            b'A1,"' + b"x\n" * 3000 + b'",\n',
        ],
    )
    @pytest.mark.parametrize("last", [False, True])
    def test_a_value_that_is_too_long_is_one_bad_row_whatever_is_in_it(
        self, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, row: bytes, size: int, last: bool
    ) -> None:
        monkeypatch.setattr(records, "LONGEST", 2000)
        pipeline.store.size = size
        after = b"" if last else b'S1,"q"\nS2,b\n'
        outcome = pipeline.load("airlines", AIRLINES + row + after + (b"X" if after else b""), share=0.5)
        assert outcome is not None
        if not last:  # the line numbers go on as they should
            line = 4 + row.count(b"\n") + 2
            assert outcome.reason == (
                f"line {line}: the file ends after 1 of 2 values, without a line end, so it looks cut off"
            )
            outcome = pipeline.load("airlines", AIRLINES + row + after, "v2", share=0.5)
            assert outcome is not None
        assert outcome.counts == Counts(read=3 if last else 5, loaded=2 if last else 4, rejected=1)
        assert airlines(pipeline) == ROWS + ([] if last else [("S1", "q"), ("S2", "b")])
        assert [found[0] for found in bad_rows(pipeline, "airlines", "v1" if last else "v2")] == ["4"]

    def test_the_last_value_may_be_too_long_and_without_line_end(
        self, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(records, "LONGEST", 2000)
        pipeline.store.size = 100
        outcome = pipeline.load("airlines", AIRLINES + b'A1,"' + b"x\n" * 3000 + b'"', share=0.5)
        assert outcome is not None
        assert outcome.counts == Counts(read=3, loaded=2, rejected=1)

    @pytest.mark.parametrize("end", [b'S1,"q"\n', b'S1,b\nS2,"q ""r"" s"\n', b""])
    def test_a_stray_quote_far_before_the_next_costs_its_own_line(
        self, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, end: bytes
    ) -> None:
        monkeypatch.setattr(records, "LONGEST", 2000)
        pipeline.store.size = 100
        rows = b"".join(b"B%d,b\n" % number for number in range(1000))
        outcome = pipeline.load("airlines", AIRLINES + b'A1,"a\n' + rows + end)
        assert outcome is not None
        assert (outcome.status, outcome.counts.rejected) == ("loaded", 1)
        assert len(airlines(pipeline)) == 1002 + end.count(b"\n")

    @pytest.mark.parametrize("end", [b"\n", b""])
    def test_a_byte_that_is_no_text_is_shown_as_it_was(self, pipeline: Pipeline, end: bytes) -> None:
        content = b"carrier,name\nS1,S\xfcd\nS2,M\x81x\nS3,\x8f" + end
        pipeline.load("airlines", content, share=1)
        said = "holds bytes that are no windows-1252 text"
        assert bad_rows(pipeline, "airlines") == [("3", said, "S2,M\\x81x"), ("4", said, "S3,\\x8f")]

    def test_a_key_that_is_there_with_other_values_is_bad_and_with_the_same_unchanged(self, pipeline: Pipeline) -> None:
        pipeline.load("airlines", AIRLINES)
        outcome = pipeline.load("airlines", b"carrier,name\nAA,American\n9E,Endeavor Air Inc.\nWN,Southwest\n", "v2")
        assert outcome is not None
        assert outcome.counts == Counts(read=3, loaded=1, rejected=1, unchanged=1)
        assert bad_rows(pipeline, "airlines", "v2") == [
            ("2", "its key is in the table already, with another name", "AA,American")
        ]
        assert airlines(pipeline) == [*ROWS, ("WN", "Southwest")]

    def test_a_file_that_comes_again_as_it_was_changes_nothing(self, pipeline: Pipeline) -> None:
        pipeline.load("airlines", AIRLINES)
        outcome = pipeline.load("airlines", AIRLINES, "v2", share=0)
        assert outcome is not None
        assert (outcome.status, outcome.counts) == ("loaded", Counts(read=2, unchanged=2))

    def test_a_column_may_have_the_name_of_any_of_ours(self, pipeline: Pipeline) -> None:
        names = ["line", "reason", "raw", "c0", "first", 'qu"ote', "unchanged", "t", "k0"]
        table = Table("odd", {name: Column("integer" if name == "c0" else "text") for name in names}, ("reason", "c0"))
        pipeline.database.create(table)
        pipeline.tables = {"odd": table}
        buffer = io.StringIO()
        writer = csv.writer(buffer)
        writer.writerows([names, [str(n) for n in range(9)], ["x"] * 9, [str(n) for n in range(9)]])
        outcome = pipeline.load("odd", buffer.getvalue().encode(), share=1)
        assert outcome is not None
        assert outcome.counts == Counts(read=3, loaded=1, rejected=2)
        again = pipeline.load("odd", buffer.getvalue().encode(), "v2", share=1)
        assert again is not None
        assert again.counts == Counts(read=3, rejected=2, unchanged=1)


class TestRejectedFiles:
    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "the file is empty: it has not even a header"),
            (b"\n \n\r\n", "the file is empty: it has not even a header"),
            (b"carrier,title\nAA,American\n", "another header: missing 'name'; not in the contract 'title'"),
            (b"carrier\nAA\n", "another header: missing 'name'"),
            (b"carrier,name,name\nAA,b,c\n", "another header: more than once 'name'"),
            (
                b"Carrier,Name\nAA,b\n",
                "another header: missing 'carrier', 'name'; not in the contract 'Carrier', 'Name'",
            ),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "another header (this is not a text file): missing 'carrier', 'name'"),
            (b"x" * 70_000, "no header: the first 64 KiB hold no line that could be one"),
            (
                b'{"carrier": "AA"}',
                """another header: missing 'carrier', 'name'; not in the contract '{"carrier": "AA"}'""",
            ),
            (AIRLINES + b"W", "line 4: the file ends after 1 of 2 values, without a line end, so it looks cut off"),
            (AIRLINES + b'WN,"South', "line 4: a quoted value is never closed, so the file looks cut off"),
            (AIRLINES + b"WN,S\xc3\xbcd\nX,S\xc3", "line 5: the file ends within a character, so it looks cut off"),
            (AIRLINES + b"Ux,M\xc3", "line 4: the file ends within a character, so it looks cut off"),
            (AIRLINES + b"Ux,M\xf0\x9f\x98", "line 4: the file ends within a character, so it looks cut off"),
            (AIRLINES * 2000 + b"Ux,M\xe2\x82", "line 6001: the file ends within a character, so it looks cut off"),
            (("carrier,name\nAA,b\n" * 2).encode("utf-16")[:-1], "line 4: the file ends within a character"),
        ],
    )
    def test_leave_nothing_and_the_reason(self, pipeline: Pipeline, content: bytes, said: str) -> None:
        outcome = pipeline.load("airlines", content, share=1)
        assert outcome is not None
        assert (outcome.status, outcome.counts) == ("rejected", Counts())
        assert (outcome.reason or "").startswith(said)
        assert airlines(pipeline) == []
        ((line, reason, row),) = bad_rows(pipeline, "airlines")
        assert (line, reason, row) == ("", outcome.reason, "")
        assert pipeline.ledger() == [["incoming/airlines/a.csv", "v1", "rejected", 0, 0, 0, 0]]
        assert pipeline.database.rows("select table_name, reason from loaded_files") == [["airlines", outcome.reason]]
        assert pipeline.load("airlines", AIRLINES) is None  # the same version; a new one is another matter
        assert pipeline.load("airlines", AIRLINES, "v2") is not None

    def test_of_a_prefix_without_a_contract(self, pipeline: Pipeline) -> None:
        outcome = pipeline.load("trains", AIRLINES)
        assert outcome is not None
        assert (outcome.status, outcome.table) == ("rejected", None)
        assert (outcome.reason or "").startswith("no table is declared for 'incoming/trains/a.csv'; put the file under")
        assert pipeline.ledger() == [["incoming/trains/a.csv", "v1", "rejected", 0, 0, 0, 0]]
        assert "no table is declared" in pipeline.bad_rows("trains")

    @pytest.mark.parametrize(("bad", "status"), [(1, "loaded"), (2, "rejected")])
    def test_too_many_bad_rows_reject_all(self, pipeline: Pipeline, bad: int, status: str) -> None:
        rows = [f"A{n},a" for n in range(10 - bad)] + ["X"] * bad
        outcome = pipeline.load("airlines", ("carrier,name\n" + "\n".join(rows) + "\n").encode(), share=0.1)
        assert outcome is not None
        assert outcome.status == status
        assert len(airlines(pipeline)) == (9 if bad == 1 else 0)
        assert len(bad_rows(pipeline, "airlines")) == bad
        if bad == 2:
            assert outcome.reason == (
                "2 of 10 rows break the contract, at most 10.00% may; the first: line 10: 1 values where 2 are wanted"
            )
            assert pipeline.ledger() == [["incoming/airlines/a.csv", "v1", "rejected", 10, 0, 2, 0]]

    def test_a_table_may_have_its_own_share(self, pipeline: Pipeline) -> None:
        strict = Table("airlines", TABLES["airlines"].columns, ("carrier",), max_rejected_share=0)
        pipeline.tables = {"airlines": strict}
        outcome = pipeline.load("airlines", AIRLINES + b"X\n", share=1)
        assert outcome is not None
        assert outcome.status == "rejected"


class TestTransaction:
    def test_a_stream_that_breaks_leaves_nothing(self, pipeline: Pipeline) -> None:
        class Broken(MemoryStore):
            def read(self, file: Any) -> Iterator[bytes]:
                yield AIRLINES
                yield b"x" * (1 << 16)
                raise ConnectionResetError("peer")

        store = pipeline.store
        pipeline.store = Broken()
        with pytest.raises(ConnectionResetError):
            pipeline.load("airlines", AIRLINES)
        assert (airlines(pipeline), pipeline.ledger()) == ([], [])
        pipeline.store = store
        assert pipeline.load("airlines", AIRLINES) is not None

    @pytest.mark.parametrize("calls", range(1, 8))
    @pytest.mark.parametrize("content", [AIRLINES, AIRLINES + b"X\n"])
    def test_a_load_without_time_leaves_nothing(self, pipeline: Pipeline, calls: int, content: bytes) -> None:
        """Whichever step is the one that has no time left."""
        file = pipeline.store.put("incoming/airlines/a.csv", content)
        left = [60.0] * calls

        def deadline() -> float:
            return left.pop() if left else 0.0

        with closing(pipeline.database.connect()) as connection:
            try:
                load(connection, file, pipeline.store, TABLES, deadline=deadline, max_rejected_share=1)
            except OutOfTimeError:
                assert (airlines(pipeline), pipeline.ledger()) == ([], [])
            else:
                assert airlines(pipeline) == ROWS

    def test_a_statement_that_takes_too_long_is_ended_by_the_server(self, pipeline: Pipeline) -> None:
        file = pipeline.store.put("incoming/airlines/a.csv", AIRLINES)
        with (
            closing(pipeline.database.connect("pipeline")) as other,
            closing(pipeline.database.connect()) as connection,
        ):
            other.run("begin")
            other.run("lock table airlines in exclusive mode")
            with pytest.raises(OutOfTimeError):
                load(connection, file, pipeline.store, TABLES, deadline=lambda: 0.2, max_rejected_share=1)

    def test_a_schema_that_is_behind_is_named(self, empty_database: Database) -> None:
        file = MemoryStore().put("incoming/airlines/a.csv", AIRLINES)
        said = r"schema is at version 0, this loader needs \d+: run the migrations"
        with closing(empty_database.connect("pipeline")) as connection, pytest.raises(DeploymentError, match=said):
            load(connection, file, MemoryStore(), TABLES, deadline=lambda: None, max_rejected_share=1)

    def test_the_same_file_twice_at_once_is_loaded_once(self, pipeline: Pipeline) -> None:
        """The first load ends its stream only when the second waits for it, so both are under way together."""
        results: dict[str, Any] = {}

        def second() -> None:
            results["second"] = pipeline.load("airlines", AIRLINES)

        thread = threading.Thread(target=second)

        class Slow(MemoryStore):
            def read(self, file: Any) -> Iterator[bytes]:
                pipeline.store = MemoryStore()
                thread.start()
                yield AIRLINES
                waiting = "select 1 from pg_locks where locktype = 'advisory' and not granted"
                while not pipeline.database.rows(waiting):
                    assert thread.is_alive()

        pipeline.store = Slow()
        first = pipeline.load("airlines", AIRLINES)
        thread.join(60)
        assert first is not None
        assert first.counts.loaded == 2
        assert results == {"second": None}
        assert len(pipeline.ledger()) == 1

    @pytest.mark.parametrize("content", [AIRLINES, b"nothing\n"])
    def test_the_ledger_says_when_it_was_finished_not_when_it_was_begun(
        self, pipeline: Pipeline, content: bytes
    ) -> None:
        read: list[Any] = []

        class Watched(MemoryStore):
            def read(self, file: Any) -> Iterator[bytes]:
                yield content
                read.extend(pipeline.database.rows("select clock_timestamp()")[0])

        pipeline.store = Watched()
        pipeline.load("airlines", content)
        ((finished,),) = pipeline.database.rows("select finished from loaded_files")
        assert read
        assert finished > read[-1]

    def test_a_refused_file_is_not_read_to_its_end(self, pipeline: Pipeline) -> None:
        """The server's refusal is seen while the file is still being sent."""
        sent = 0

        class Endless(MemoryStore):
            def read(self, file: Any) -> Iterator[bytes]:
                nonlocal sent
                yield b"origin,destination,count\nA,B,none\n" + b"".join(b"A,C%d,1\n" % n for n in range(10_000))
                self.reads += 1
                limit = 10_000 if self.reads == 1 else 3
                for _ in range(limit):
                    sent += 1
                    yield b"".join(b"B,C%d,1\n" % n for n in range(10_000))

        pipeline.store = Endless()
        file = pipeline.store.put("incoming/flights-airport/a.csv", b"")
        with closing(pipeline.database.connect()) as connection:
            load(connection, file, pipeline.store, TABLES, deadline=lambda: None, max_rejected_share=1)
        assert sent < 1000


VERSIONS = itertools.count()
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


class TestPlainFiles:
    @given(
        rows=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=8),
        quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        size=st.integers(1, 30),
    )
    def test_what_is_quoted_by_the_rules_goes_as_it_is(
        self, rows: list[tuple[str, str]], quoting: Any, size: int
    ) -> None:
        """However the stream is cut: the checking path is for files that need it."""
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\r\n", quoting=quoting).writerows(rows)
        content = buffer.getvalue().encode()
        cut = (content[start : start + size] for start in range(0, len(content), size))
        if b"\n\\." in content or content.startswith(b"\\."):
            return  # the end of the data to PostgreSQL before 18
        assert b"".join(records.plain(cut, ",")) == content.rstrip(b"\r\n")


class TestRoundTrip:
    @settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        rows=st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=8, unique_by=lambda row: row[0]),
        delimiter=st.sampled_from(",;\t|"),
        line_end=st.sampled_from(["\n", "\r\n"]),
        quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
        size=st.integers(1, 50),
        checking=st.booleans(),
        data=st.data(),
    )
    def test_any_table_of_texts_comes_back(
        self,
        database: Database,
        rows: list[tuple[str, str, str]],
        delimiter: str,
        line_end: str,
        quoting: Any,
        encoding: str,
        size: int,
        checking: bool,
        data: st.DataObject,
    ) -> None:
        order = data.draw(st.permutations(["a", "b", "c"]))
        table = Table("texts", {name: Column("text") for name in "abc"}, ("a",), null="\ufffe")
        database.rows("drop table if exists texts")
        database.create(table)
        pipeline = Pipeline(database)
        pipeline.tables, pipeline.store.size = {"texts": table}, size
        buffer = io.StringIO()
        if any("\r" in value for row in rows for value in row):
            quoting = (
                csv.QUOTE_ALL
            )  # Python before 3.13 leaves a carriage return without quotes, which no reader gets back
        writer = csv.writer(buffer, delimiter=delimiter, lineterminator=line_end, quoting=quoting)
        writer.writerow(order)
        writer.writerows([[row["abc".index(name)] for name in order] for row in rows])
        written = buffer.getvalue() + (delimiter * 3 + line_end if checking else "")
        outcome = pipeline.load("texts", written.encode(encoding), f"v{next(VERSIONS)}", share=1)
        assert outcome is not None
        assert (outcome.status, outcome.counts.rejected) == ("loaded", int(checking))
        assert database.contents(table) == sorted(rows)
