"""Untidy CSV files written by others: each loads as Python's own csv module reads it, or is refused for the right reason."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from deploy.data_pipeline.handlers.contracts import TABLES, Column, Table
from loading_tools import Database, Pipeline

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
CASES, FLIGHTS = DATA / "csv-cases", DATA / "flights"

UTF_8 = ("utf-8", ",")
# Every row of these is loaded: encoding and delimiter.
WHOLE = {
    "csv-spectrum/comma_in_quotes.csv": UTF_8,
    "csv-spectrum/empty.csv": UTF_8,
    "csv-spectrum/empty_crlf.csv": UTF_8,
    "csv-spectrum/escaped_quotes.csv": UTF_8,
    "csv-spectrum/json.csv": UTF_8,
    "csv-spectrum/location_coordinates.csv": UTF_8,  # with a quote in the middle of a value
    "csv-spectrum/newlines.csv": UTF_8,
    "csv-spectrum/newlines_crlf.csv": UTF_8,
    "csv-spectrum/quotes_and_newlines.csv": UTF_8,
    "csv-spectrum/simple.csv": UTF_8,
    "csv-spectrum/simple_crlf.csv": UTF_8,
    "csv-spectrum/utf8.csv": UTF_8,
    "csvkit/blanks.csv": UTF_8,
    "csvkit/dummy_col_shuffled_ragged.csv": UTF_8,
    "csvkit/mac_newlines.csv": UTF_8,
    "csvkit/no_header_row.csv": UTF_8,  # its one line is what the contract below says, so it is the header
    "csvkit/optional_quote_characters.csv": UTF_8,
    "csvkit/sniff_limit.csv": ("utf-8", ";"),
    "csvkit/test_latin1.csv": ("windows-1252", ","),
    "csvkit/test_locale.csv": UTF_8,
    "csvkit/test_no_leading_zeroes.csv": UTF_8,
    "csvkit/test_utf16_big.csv": ("utf-16-be", ","),
    "csvkit/test_utf16_little.csv": ("utf-16-le", ","),
    "csvkit/test_utf8.csv": UTF_8,
    "csvkit/test_utf8_bom.csv": UTF_8,
    "csvkit/test_header_newline.csv": UTF_8,
    "frictionless/accent.csv": ("utf-8", ";"),
    "frictionless/ascii-notvalid.csv": UTF_8,
    "frictionless/blank-cells.csv": UTF_8,
    "frictionless/blank-rows-no-fields.csv": UTF_8,
    "frictionless/blank-rows.csv": UTF_8,
    "frictionless/bom.csv": UTF_8,
    "frictionless/delimiter.csv": ("utf-8", ";"),
    "frictionless/doublequote.csv": UTF_8,
    "frictionless/encoding-issue-274.csv": UTF_8,
    "messytables/simple.csv": UTF_8,
    "messytables/skip_initials.csv": UTF_8,
    "messytables/small.csv": UTF_8,
    "messytables/spanish_chars.csv": ("windows-1252", ","),
    "messytables/utf-16le_encoded.csv": ("utf-16-le", ","),
    "messytables/utf8bom.csv": UTF_8,
}
STRAY = "a quoted value has something before or after its quotes"
# Lines that are bad, with the reason; the others are loaded.
PARTLY: dict[str, dict[int, str]] = {
    "csvkit/bad.csv": {2: "4 values where 3 are wanted", 3: "2 values where 3 are wanted"},
    "csvkit/bad_skip_lines.csv": {5: "4 values where 3 are wanted", 6: "2 values where 3 are wanted"},
    "csvkit/null_byte.csv": {2: "holds a NUL byte"},
    "csvkit/test_empty_columns_long_row.csv": {2: "4 values where 3 are wanted"},
    "csvkit/test_empty_columns_short_row.csv": {2: "2 values where 3 are wanted"},
    "csvkit/test_extra_header.csv": {2: "3 values where 4 are wanted"},
    "frictionless/blank-rows-multiple.csv": dict.fromkeys(range(5, 15), "its key is in line 4 already"),
    "frictionless/defective-rows.csv": {2: "2 values where 3 are wanted", 3: "4 values where 3 are wanted"},
    "frictionless/duplicate-rows.csv": {4: "its key is in line 2 already"},
    "frictionless/escaping.csv": {2: STRAY, 3: STRAY, 4: STRAY},
    "messytables/complex.csv": {4: STRAY},
    "messytables/long.csv": dict.fromkeys(range(3, 4001), "its key is in line 2 already"),
}
# No row is loaded, because of the file as a whole.
REJECTED = {
    "csvkit/FY09_EDU_Recipients_by_State.csv": "another header: not in the contract ''",
    "csvkit/empty.csv": "the file is empty: it has not even a header",
    "csvkit/test_empty_columns.csv": "another header: not in the contract ''; more than once ''",
    "frictionless/blank-headers.csv": "another header: not in the contract ''",
    "frictionless/capital-invalid.csv": "another header: more than once 'name'",
    "frictionless/duplicate-column.csv": "another header: more than once 'B'",
    "frictionless/duplicate-headers.csv": "another header: more than once 'id'",
    "frictionless/empty.csv": "the file is empty: it has not even a header",
    "frictionless/invalid.csv": "another header: not in the contract ''; more than once 'name'",
    "messytables/begrotingsanalyse-2011.csv": "another header: not in the contract ''; more than once ''",
    "messytables/excel_pasting.csv": "another header: not in the contract ''; more than once ''",
    "messytables/mixedGLB.csv": "another header: not in the contract ''; more than once ''",
    "messytables/null.csv": "another header: more than once '0'",
    # The first line is the title of a report, the table begins much further down.
    "messytables/weird_head_padding.csv": "another header: missing 'Jahr', 'Anzahl'; not in the contract 'An der",
}
CONTRACTS = {"messytables/weird_head_padding.csv": ["Jahr", "Region", "Anzahl"]}

needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the CSV cases (../shared/data/csv-cases) are not here")


def oracle(content: bytes) -> list[list[str]]:
    """The records as Python reads them; the first is the header.  No record is of blank lines alone."""
    for encoding in ("utf-16",) if content[:2] in {b"\xff\xfe", b"\xfe\xff"} else ("utf-8-sig", "cp1252"):
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    first = text.lstrip("\r\n").split("\n")[0]
    delimiter = max(",;", key=first.count)
    if "\n" not in text:  # line ends of old Mac programs
        text = text.replace("\r", "\n")
    return [record for record in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if record]


def contract(name: str, records: list[list[str]]) -> Table:
    """A contract of texts: the header's own names, the first column as the key if it can be one, else all."""
    header = [column.strip(" \t") for column in records[0]] if records else ["a"]
    columns = CONTRACTS.get(name) or list(dict.fromkeys(column for column in header if column))
    first = [record[0] for record in records[1:]]
    key = (columns[0],) if len(set(first)) == len(first) else tuple(columns)
    return Table("cases", {column: Column("text") for column in columns}, key, null="\\N", max_rejected_share=1)


@needs_cases
def test_every_case_is_in_one_of_the_tables() -> None:
    here = {path.relative_to(CASES).as_posix() for path in CASES.glob("*/*.csv")}
    assert sorted(here) == sorted([*WHOLE, *PARTLY, *REJECTED])


@needs_cases
@pytest.mark.parametrize("name", sorted([*WHOLE, *PARTLY, *REJECTED]))
def test_case(pipeline: Pipeline, name: str) -> None:
    content = (CASES / name).read_bytes()
    records = oracle(content)
    table = contract(name, records)
    pipeline.database.create(table)
    pipeline.tables = {"cases": table}
    outcome = pipeline.load("cases", content)
    assert outcome is not None
    if name in REJECTED:
        assert outcome.status == "rejected"
        assert (outcome.reason or "").startswith(REJECTED[name])
        assert pipeline.database.contents(table) == []
        assert REJECTED[name].split("'")[0] in pipeline.bad_rows("cases")
        return
    assert outcome.status == "loaded"
    bad = PARTLY.get(name, {})
    if bad:
        lines = list(csv.DictReader(io.StringIO(pipeline.bad_rows("cases"))))
        assert {int(line["line"]): line["reason"] for line in lines} == bad
    else:
        assert (outcome.encoding, outcome.delimiter) == WHOLE[name]
        assert pipeline.database.contents(table) == sorted(tuple(record) for record in records[1:])
    assert (outcome.counts.read, outcome.counts.rejected) == (len(records) - 1, len(bad))


@needs_cases
@pytest.mark.parametrize("path", sorted(CASES.glob("csv-spectrum/*.csv")), ids=lambda path: str(path.stem))
def test_the_rows_are_those_that_their_author_expects(pipeline: Pipeline, path: Path) -> None:
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    expected = expected if isinstance(expected, list) else [expected]
    content = path.read_bytes()
    if path.stem == "newlines_crlf":  # kept with LF in that repository; the JSON is of the file with CR LF
        content = content.replace(b"\n", b"\r\n")
    if path.stem == "location_coordinates":  # its JSON is of another telephone number
        expected[0]["Contact Phone Number"] = "2095257564"
    table = contract(path.name, oracle(content))
    pipeline.database.create(table)
    pipeline.tables = {"cases": table}
    pipeline.load("cases", content)
    found = pipeline.database.contents(table)
    assert found == sorted(tuple(row[column] for column in table.columns) for row in expected)


@pytest.mark.skipif(not FLIGHTS.is_dir(), reason="the flights data (../shared/data/flights) is not here")
@pytest.mark.parametrize("prefix", ["airlines", "airports", "flights-airport", "planes"])
def test_the_flights_tables_load_as_they_are(database: Database, prefix: str) -> None:
    pipeline = Pipeline(database)
    content = (FLIGHTS / f"{prefix}.csv").read_bytes()
    outcome = pipeline.load(prefix, content, share=0)
    table = TABLES[prefix]
    expected = sorted(
        tuple(None if value == "NA" else value for value in row.values())
        for row in csv.DictReader(io.StringIO(content.decode()))
    )
    assert outcome is not None
    assert (outcome.status, outcome.counts.loaded, pipeline.store.reads) == ("loaded", len(expected), 1)
    for found, wanted in zip(database.contents(table), expected, strict=True):
        for value, text in zip(found, wanted, strict=True):
            assert value == text or (isinstance(value, int | float) and value == float(text))
