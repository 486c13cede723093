"""A PostgreSQL for the data pipeline's tests, with the schema and the roles that the migrations make."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import closing

import pytest
from deploy.data_pipeline.handlers.migrations import migrate, read_migrations
from loading_tools import PASSWORD, Database, Pipeline, connect_to, new_database, newest_server

from tocsin.cloud.embedded.postgres import PostgreSql, postgres

_numbers = itertools.count()


@pytest.fixture(scope="session")
def server() -> Iterator[PostgreSql]:
    patch = pytest.MonkeyPatch()
    if "PG_BIN" not in os.environ and (folder := newest_server()):
        patch.setenv("PG_BIN", folder)
    with postgres() as running:
        patch.undo()
        with closing(connect_to(running, running.user, running.password, "postgres")) as connection:
            # What the master user of RDS is: no superuser, but it makes roles and databases.
            connection.run(f"create role pipeline login createrole createdb password '{PASSWORD}'")
        yield running


@pytest.fixture(scope="session")
def migrated(server: PostgreSql) -> Iterator[str]:
    """A database with the schema, to be copied."""
    with new_database(server, "migrated") as database:
        with closing(database.connect("pipeline")) as connection:
            migrate(connection, read_migrations(), "contract", seconds=60)
            for role in ("loader", "reader"):
                connection.run(f"alter role {role} password '{PASSWORD}'")
        yield database.name


@pytest.fixture
def database(server: PostgreSql, migrated: str) -> Iterator[Database]:
    with new_database(server, f"test_{next(_numbers)}", migrated) as made:
        yield made


@pytest.fixture
def empty_database(server: PostgreSql) -> Iterator[Database]:
    with new_database(server, f"test_{next(_numbers)}") as made:
        yield made


@pytest.fixture
def pipeline(database: Database) -> Pipeline:
    return Pipeline(database)
