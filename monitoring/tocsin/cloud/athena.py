"""A query to Athena: started, waited for, its answer read page by page as Athena writes it."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..errors import CloudError
from .session import Cloud, asking

_FIRST_WAIT, _LONGEST_WAIT = 0.1, 2.0
_OVER = ("SUCCEEDED", "FAILED", "CANCELLED")


@dataclass(frozen=True, slots=True)
class Answer:
    """The type of each column in Athena's words, and the rows as text; None is NULL."""

    types: tuple[str, ...]
    rows: list[tuple[str | None, ...]]


def ask_athena(
    cloud: Cloud, sql: str, workgroup: str, database: str, output: str | None = None, *, seconds: float = 300
) -> Answer:
    """Run one query and wait for it, at most ``seconds``; then it is stopped.

    ``output`` (s3://bucket/prefix/) is for a workgroup without a place for results.  Raises CloudError.
    """
    athena = cloud.client("athena")
    place = {"ResultConfiguration": {"OutputLocation": output}} if output else {}
    what = f"ask Athena (workgroup {workgroup}, database {database})"
    with asking(what):
        query = athena.start_query_execution(
            QueryString=sql, WorkGroup=workgroup, QueryExecutionContext={"Database": database}, **place
        )["QueryExecutionId"]
        state, reason = "", ""
        try:
            state, reason = _settled(athena, query, seconds)
        finally:
            if state not in _OVER:  # nobody waits for it any more, and it costs
                with suppress(Exception):
                    athena.stop_query_execution(QueryExecutionId=query)
        if state not in _OVER:
            raise CloudError(f"cannot {what}: no answer within {seconds:g} s; ask for less, or look at query {query}")
        if state != "SUCCEEDED":
            raise CloudError(
                f"cannot {what}: query {query} {state.lower()}: {' '.join(reason.split()) or 'no reason given'}"
            )
        return _answer(athena, query)


def _settled(athena: Any, query: str, seconds: float) -> tuple[str, str]:
    """State and reason, when the query is over or the time is."""
    deadline, wait = time.monotonic() + seconds, _FIRST_WAIT
    while True:
        status = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]
        left = deadline - time.monotonic()
        if status["State"] in _OVER or left <= 0:
            return status["State"], status.get("StateChangeReason") or ""
        time.sleep(min(wait, left))
        wait = min(wait * 1.5, _LONGEST_WAIT)


def _answer(athena: Any, query: str) -> Answer:
    types: tuple[str, ...] = ()
    rows: list[tuple[str | None, ...]] = []
    for number, page in enumerate(athena.get_paginator("get_query_results").paginate(QueryExecutionId=query)):
        found = page["ResultSet"]
        types = tuple(column["Type"] for column in found["ResultSetMetadata"]["ColumnInfo"])
        # The first row of a SELECT's first page is the names of its columns.
        for row in found["Rows"][1:] if number == 0 else found["Rows"]:
            rows.append(tuple(cell.get("VarCharValue") for cell in row["Data"]))
    return Answer(types, rows)
