"""The checking path's SQL: PostgreSQL itself says which staged rows keep the contract, in a few statements over all of them.

The types are judged by the functions that would read the value (pg_input_is_valid, PostgreSQL 16), so no second opinion
on what a number or a date is can differ from the table's.  Names come from the contracts; they are quoted all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .contracts import Column, Table

STAGING = "incoming_rows"


def quoted(names: Iterable[str]) -> str:
    """Names as SQL writes them in a list."""
    return ", ".join('"' + name.replace('"', '""') + '"' for name in names)


def literal(text: str) -> str:
    """A text as SQL writes it (standard_conforming_strings, the default, lets a backslash be)."""
    return "'" + text.replace("'", "''") + "'"


def copy_options(delimiter: str, null: str) -> str:
    """How both paths have COPY read: the same words, so that they cannot differ."""
    return f"(format csv, delimiter {literal(delimiter)}, null {literal(null)}, encoding 'UTF8')"


class Judgement:
    """The statements for one table and one order of columns.  Staged columns are text, named by their place: c0, c1, …"""

    def __init__(self, table: Table, order: Sequence[str], delimiter: str) -> None:
        self._table = table
        self._order = order
        self._delimiter = delimiter
        # Named in full wherever they are read: the table may have a column of any name.
        self._place = {name: f"{STAGING}.c{number}" for number, name in enumerate(order)}

    def create(self) -> str:
        columns = ", ".join(f"c{number} text" for number in range(len(self._order)))
        return (
            f"create temporary table {STAGING} (line bigint, reason text, raw text, {columns}, unchanged boolean) "
            "on commit drop"
        )

    def copy(self) -> str:
        places = ", ".join(f"c{number}" for number in range(len(self._order)))
        return (
            f"copy {STAGING} (line, reason, raw, {places}) from stdin {copy_options(self._delimiter, self._table.null)}"
        )

    def forget(self, lines: Iterable[tuple[int, int]]) -> str:
        """Rows that are none: all that were staged of these lines, each from a first to a last."""
        ranges = ", ".join(f"({first}, {last})" for first, last in lines)
        return (
            f"delete from {STAGING} using (values {ranges}) as inside (first, last) "  # noqa: S608 - numbers
            f"where {STAGING}.line between inside.first and inside.last"
        )

    def judge_values(self) -> str:
        """Every value against its column."""
        reasons = ", ".join(
            self._reason(name, column, self._place[name]) for name, column in self._table.columns.items()
        )
        return (
            f"update {STAGING} set reason = concat_ws('; ', {reasons}) "  # noqa: S608 - names and limits of the contracts
            f"where reason is null and concat_ws('; ', {reasons}) <> ''"
        )

    def judge_keys_in_file(self) -> str:
        """Of rows of one key the first stays, whether the others say the same or not."""
        keys = [self._value(name, guarded=True) for name in self._table.key]
        named = ", ".join(f"{key} as k{number}" for number, key in enumerate(keys))
        groups = ", ".join(f"k{number}" for number in range(len(keys)))
        same = " and ".join(f"first.k{number} = {key}" for number, key in enumerate(keys))
        return (
            f"with first as (select {groups}, min(line) as line from (select line, {named} from {STAGING} "  # noqa: S608
            f"where reason is null) as rows group by {groups} having count(*) > 1) "
            f"update {STAGING} set reason = 'its key is in line ' || first.line || ' already' from first "
            f"where {STAGING}.reason is null and {same} and {STAGING}.line > first.line"
        )

    def judge_keys_in_table(self) -> str:
        """A row whose key is in the table is unchanged if it says the same, and bad if it does not."""
        same_key = " and ".join(f"t.{quoted([name])} = {self._value(name, guarded=True)}" for name in self._table.key)
        others = {name: self._value(name, guarded=True) for name in self._table.columns if name not in self._table.key}
        differs = [f"t.{quoted([name])} is distinct from {value}" for name, value in others.items()]
        changed = " or ".join(differs) or "false"
        which = ", ".join(
            f"case when {test} then {literal(name)} end" for name, test in zip(others, differs, strict=True)
        )
        reason = f"'its key is in the table already, with another ' || concat_ws(', ', {which or 'null'})"
        return (
            f"update {STAGING} set unchanged = not ({changed}), reason = case when {changed} then {reason} end "  # noqa: S608
            f"from {quoted([self._table.name])} as t where {STAGING}.reason is null and {same_key}"
        )

    def count(self) -> str:
        """Rows read, rejected, unchanged."""
        return f"select count(*), count(reason), count(*) filter (where unchanged and reason is null) from {STAGING}"  # noqa: S608

    def first_bad(self) -> str:
        return f"select line, reason from {STAGING} where reason is not null order by line limit 1"  # noqa: S608

    def insert(self) -> str:
        values = ", ".join(self._value(name, guarded=False) for name in self._order)
        return (
            f"insert into {quoted([self._table.name])} ({quoted(self._order)}) select {values} from {STAGING} "  # noqa: S608
            "where reason is null and unchanged is not true"
        )

    def quarantine(self) -> str:
        """The bad rows as a CSV file of its own: line, reason, and the row as the file had it."""
        needs_quotes = literal(f'["\r\n{self._delimiter}]')
        null = literal(self._table.null)
        values = ", ".join(
            f"case when {c} is null then {null} when {c} ~ {needs_quotes} or {c} = {null} "
            f"""then '"' || replace({c}, '"', '""') || '"' else {c} end"""
            for c in self._place.values()
        )
        return (
            f"copy (select line, reason, coalesce(raw, concat_ws({literal(self._delimiter)}, {values})) as row "  # noqa: S608
            f"from {STAGING} where reason is not null order by line) to stdout with (format csv, header)"
        )

    def _value(self, name: str, *, guarded: bool) -> str:
        """A staged value as its column's type; guarded, only where the row was found good, whatever the plan is."""
        place, kind = self._place[name], self._table.columns[name].kind
        if kind == "text":
            return place
        return f"case when {STAGING}.reason is null then {place}::{kind} end" if guarded else f"{place}::{kind}"

    @staticmethod
    def _reason(name: str, column: Column, c: str) -> str:
        said = literal(f"{name}: ")
        kind = column.kind
        cases = []
        if not column.nullable:
            cases.append((f"{c} is null", "'no value'"))
        if kind != "text":
            cases.append(
                (
                    f"not pg_input_is_valid({c}, {literal(kind)})",
                    f"left((pg_input_error_info({c}, {literal(kind)})).message, 200)",
                )
            )
        if column.shortest is not None:
            least = "empty" if column.shortest == 1 else f"shorter than {column.shortest} characters"
            cases.append((f"char_length({c}) < {column.shortest}", literal(least)))
        if column.longest is not None:
            cases.append(
                (
                    f"char_length({c}) > {column.longest}",
                    f"char_length({c}) || {literal(f' characters, at most {column.longest}')}",
                )
            )
        for limit, sign, word in ((column.least, "<", "at least"), (column.most, ">", "at most")):
            if limit is not None:
                cases.append(
                    (
                        f"{c}::{kind} {sign} {literal(limit)}::{kind}",
                        f"left({c}, 200) || {literal(f', {word} {limit}')}",
                    )
                )
        if not cases:
            return "null"
        whens = " ".join(f"when {test} then {said} || {text}" for test, text in cases)
        return f"case {whens} end"
