"""The schema: migrations in order, once, never two runs at once; the tables are those of the contracts, the roles may little."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pg8000.native
import pytest
from deploy.data_pipeline.handlers import ledger, migrator
from deploy.data_pipeline.handlers.contracts import TABLES
from deploy.data_pipeline.handlers.database import sqlstate
from deploy.data_pipeline.handlers.migrations import MigrationError, migrate, read_migrations
from loading_tools import PASSWORD, Database, Pipeline, owner_of

AIRLINES = b"carrier,name\n9E,Endeavor Air Inc.\n"


def write(folder: Path, **files: str) -> Path:
    for name, sql in files.items():
        (folder / f"{name.removeprefix('m')}.sql").write_text(sql)
    return folder


def run(database: Database, folder: Path | None = None, phase: Any = "expand", **rest: float) -> list[str]:
    migrations = read_migrations(folder) if folder else read_migrations()
    with closing(database.connect("pipeline")) as connection:
        return migrate(connection, migrations, phase, **{"seconds": 20, **rest})


class TestRun:
    def test_expanding_first_contracting_when_asked(self, empty_database: Database) -> None:
        assert run(empty_database) == [
            "0001_expand_tables.sql",
            "0002_expand_roles.sql",
            "0003_expand_ledger_outcomes.sql",
        ]
        assert run(empty_database) == []
        assert run(empty_database, phase="contract") == ["0004_contract_ledger_outcomes.sql"]
        assert run(empty_database) == run(empty_database, phase="contract") == []
        assert empty_database.rows("select max(version) from schema_migrations")[0][0] >= ledger.SCHEMA

    def test_a_migration_that_fails_leaves_nothing_and_its_name(self, empty_database: Database, tmp_path: Path) -> None:
        write(tmp_path, m0001_expand_a="create table a (n int)", m0002_expand_b="create table b (n int); select 1/0")
        with pytest.raises(MigrationError, match=r"^0002_expand_b\.sql: division by zero$"):
            run(empty_database, tmp_path)
        tables = "select relname from pg_class where relname in ('a', 'b') order by 1"
        assert empty_database.rows(tables) == [["a"]]
        write(tmp_path, m0002_expand_b="create table b (n int)")
        assert run(empty_database, tmp_path) == ["0002_expand_b.sql"]

    def test_a_changed_file_is_refused(self, empty_database: Database, tmp_path: Path) -> None:
        run(empty_database, write(tmp_path, m0001_expand_a="select 1"))
        with pytest.raises(MigrationError, match=r"0001_expand_a\.sql was changed after it had been applied"):
            run(empty_database, write(tmp_path, m0001_expand_a="select 2"))

    @pytest.mark.parametrize("phase", ["expand", "contract"])
    def test_what_a_later_release_added_is_left_alone_and_said(
        self, empty_database: Database, tmp_path: Path, phase: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A rollback of CloudFormation asks the release before for its schema, and so does its deployment."""
        run(empty_database, write(tmp_path, m0001_expand_a="select 1", m0002_expand_b="create table b (n int)"))
        (tmp_path / "0002_expand_b.sql").unlink()
        assert run(empty_database, tmp_path, phase) == []
        (line,) = [json.loads(each) for each in capsys.readouterr().out.splitlines()]
        assert (line["level"], line["event"], line["migration"]) == ("WARN", "schema-ahead", "0002_expand_b.sql")
        assert empty_database.rows("select version from schema_migrations order by 1") == [[1], [2]]
        assert empty_database.rows("select count(*) from b") == [[0]]

    def test_what_a_later_release_took_away_is_refused(self, empty_database: Database, tmp_path: Path) -> None:
        write(tmp_path, m0001_expand_a="select 1", m0002_contract_b="select 1")
        run(empty_database, tmp_path, "contract")
        (tmp_path / "0002_contract_b.sql").unlink()
        with pytest.raises(
            MigrationError, match=r"has migration 0002 \(b\), which this release does not know and which took"
        ):
            run(empty_database, tmp_path)

    def test_expanding_does_not_pass_a_contracting_one_that_waits(
        self, empty_database: Database, tmp_path: Path
    ) -> None:
        run(empty_database, write(tmp_path, m0001_expand_a="select 1", m0002_contract_a="select 1"))
        write(tmp_path, m0003_expand_b="select 1")
        with pytest.raises(MigrationError, match=r"0003_expand_b\.sql comes after 0002_contract_a\.sql, which has not"):
            run(empty_database, tmp_path)
        assert run(empty_database, tmp_path, "contract") == ["0002_contract_a.sql", "0003_expand_b.sql"]

    def test_an_empty_database_has_no_old_code_to_wait_for(self, empty_database: Database, tmp_path: Path) -> None:
        write(tmp_path, m0001_expand_a="select 1", m0002_contract_a="select 1", m0003_expand_b="select 1")
        write(tmp_path, m0004_contract_b="select 1")
        assert run(empty_database, tmp_path) == ["0001_expand_a.sql", "0002_contract_a.sql", "0003_expand_b.sql"]

    @pytest.mark.parametrize(
        ("files", "said"),
        [
            ({"m0001_expand_a": "", "m0003_expand_b": ""}, r"0003_expand_b\.sql: the number comes where 0002 should"),
            ({"m0001_expand_a": "", "m0001_expand_b": ""}, r"0001_expand_b\.sql: the number comes twice"),
            ({"m0001_alter_a": ""}, r"0001_alter_a\.sql: a migration is named NNNN_expand_name\.sql"),
        ],
    )
    def test_names_are_checked(self, tmp_path: Path, files: dict[str, str], said: str) -> None:
        with pytest.raises(MigrationError, match=said):
            read_migrations(write(tmp_path, **files))

    def test_six_runs_at_once_apply_each_once(self, empty_database: Database) -> None:
        results: list[Any] = []

        def one() -> None:
            try:
                results.append(run(empty_database, phase="contract"))
            except Exception as error:
                results.append(error)

        threads = [threading.Thread(target=one) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(map(len, results)) == [0, 0, 0, 0, 0, len(read_migrations())]

    def test_a_run_waits_for_another_only_so_long(self, empty_database: Database) -> None:
        with closing(empty_database.connect("pipeline")) as other:
            other.run("select pg_advisory_lock(7061955)")
            with pytest.raises(MigrationError, match="another run of the migrations is under way"):
                run(empty_database, seconds=0.3)
        assert run(empty_database) != []

    def test_a_table_that_a_load_holds_is_waited_for_only_so_long(
        self, empty_database: Database, tmp_path: Path
    ) -> None:
        run(empty_database, write(tmp_path, m0001_expand_a="create table a (n int)"))
        write(tmp_path, m0002_expand_a="alter table a add column m int")
        with closing(empty_database.connect("pipeline")) as other:
            other.run("begin")
            other.run("insert into a values (1)")
            with pytest.raises(MigrationError, match=r"0002_expand_a\.sql: canceling statement due to lock timeout"):
                run(empty_database, tmp_path, lock_seconds=0.05)
            other.run("commit")
        assert run(empty_database, tmp_path) == ["0002_expand_a.sql"]


class TestExpandAndContract:
    # What the release before 0003 wrote.
    OLD = "insert into loaded_files (bucket, key, version, table_name, row_count) values ('b', 'k', 'v', 'airlines', 7)"

    def test_old_and_new_loader_work_between_the_two(self, empty_database: Database) -> None:
        run(empty_database)
        for role in ("loader", "reader"):
            empty_database.rows(f"alter role {role} password '{PASSWORD}'")
        empty_database.run(self.OLD, "loader")
        outcome = Pipeline(empty_database).load("airlines", AIRLINES)
        assert outcome is not None
        both = "select row_count, rows_read, rows_loaded, status from loaded_files order by key"
        assert empty_database.rows(both) == [[1, 1, 1, "loaded"], [7, 7, 7, "loaded"]]
        run(empty_database, phase="contract")
        again = Pipeline(empty_database).load("airlines", AIRLINES, "v2")
        assert again is not None
        with pytest.raises(pg8000.native.DatabaseError, match="row_count"):
            empty_database.run(self.OLD, "loader")

    def test_what_was_loaded_before_keeps_its_numbers(self, empty_database: Database, tmp_path: Path) -> None:
        for migration in read_migrations()[:2]:
            (tmp_path / migration.file).write_text(migration.sql)
        run(empty_database, tmp_path)
        empty_database.run(self.OLD)
        run(empty_database)
        assert empty_database.rows("select rows_read, rows_loaded, rows_rejected from loaded_files") == [[7, 7, 0]]


class TestContractsAndTables:
    @pytest.mark.parametrize("prefix", sorted(TABLES))
    def test_columns_types_nulls_and_keys_are_the_same(self, database: Database, prefix: str) -> None:
        table = TABLES[prefix]
        found = database.rows(
            "select column_name, case data_type when 'timestamp with time zone' then 'timestamptz' else data_type end, "
            f"is_nullable = 'YES' from information_schema.columns where table_name = '{table.name}' order by ordinal_position"
        )
        assert found == [[name, column.kind, column.nullable] for name, column in table.columns.items()]
        key = database.rows(
            "select a.attname from pg_index i cross join unnest(i.indkey) with ordinality as k(n, place) "
            "join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.n "
            f"where i.indrelid = '{table.name}'::regclass and i.indisprimary order by k.place"
        )
        assert key == [[name] for name in table.key]

    @pytest.mark.parametrize("prefix", sorted(TABLES))
    def test_limits_are_the_same(self, database: Database, prefix: str) -> None:
        """At each limit and one beyond it, contract and table agree."""
        table = TABLES[prefix]
        good = {
            name: {"text": "x" * (column.shortest or 1), "timestamptz": "'2026-01-01'"}.get(column.kind, "1")
            for name, column in table.columns.items()
        }

        def taken(name: str, value: str) -> bool:
            values = ", ".join(
                f"'{each}'" if table.columns[other].kind == "text" else each
                for other, each in {**good, name: value}.items()
            )
            with closing(database.connect("pipeline")) as connection:
                connection.run("begin")
                try:
                    connection.run(f"insert into {table.name} values ({values})")
                except pg8000.native.DatabaseError as error:
                    if sqlstate(error) != "23514":  # check_violation
                        raise
                    return False
                return True

        limits = 0
        for name, column in table.columns.items():
            for limit, step in ((column.least, -1), (column.most, 1)):
                if limit is not None:
                    limits += 1
                    assert taken(name, limit)
                    assert not taken(name, str(int(limit) + step))
            if column.longest is not None:
                limits += 1
                assert taken(name, "x" * column.longest)
                assert not taken(name, "x" * (column.longest + 1))
            if column.shortest is not None:
                assert not taken(name, "x" * (column.shortest - 1))
        constraints = f"select count(*) from pg_constraint where contype = 'c' and conrelid = '{table.name}'::regclass"
        limited = [c for c in table.columns.values() if {c.least, c.most, c.longest, c.shortest} != {None}]
        assert database.rows(constraints) == [[len(limited)]]
        assert limits

    def test_keys_are_columns_that_are_never_null_and_fit_an_index(self) -> None:
        for table in TABLES.values():
            for name in table.key:
                column = table.columns[name]
                assert not column.nullable
                assert column.kind != "text" or (column.longest is not None and column.longest <= 500)


DENIED = "42501"


class TestRoles:
    @pytest.mark.parametrize(
        "statement",
        [
            "update airlines set name = 'x'",
            "delete from airlines",
            "truncate airlines",
            "drop table airlines",
            "alter table airlines add column x int",
            "create table x (n int)",
            "create schema x",
            "create role x",
            "update loaded_files set reason = 'x'",
            "delete from loaded_files",
            "insert into schema_migrations (version, name, phase, checksum) values (99, 'x', 'expand', 'x')",
        ],
    )
    def test_the_loader_only_adds(self, database: Database, statement: str) -> None:
        with pytest.raises(pg8000.native.DatabaseError) as caught:
            database.run(statement, "loader")
        assert sqlstate(caught.value) == DENIED

    @pytest.mark.parametrize(
        "statement",
        [
            "insert into airlines values ('X', 'x')",
            "insert into loaded_files (bucket, key, version, rows_read, rows_loaded) values ('b', 'k', 'v', 0, 0)",
            "update airlines set name = 'x'",
            "delete from airlines",
            "create table x (n int)",
        ],
    )
    def test_the_reader_only_reads(self, database: Database, statement: str) -> None:
        with pytest.raises(pg8000.native.DatabaseError) as caught:
            database.run(statement, "reader")
        assert sqlstate(caught.value) == DENIED

    def test_only_the_loader_has_temporary_tables(self, empty_database: Database) -> None:
        run(empty_database)  # a copied database does not have the rights of its original
        for role in ("loader", "reader"):
            empty_database.rows(f"alter role {role} password '{PASSWORD}'")
        empty_database.run("create temporary table x (n int)", "loader")
        with pytest.raises(pg8000.native.DatabaseError, match="permission denied to create temporary tables"):
            empty_database.run("create temporary table x (n int)", "reader")

    def test_the_reader_reads_everything(self, database: Database) -> None:
        for table in [*(table.name for table in TABLES.values()), "loaded_files", "schema_migrations"]:
            assert database.run(f"select count(*) from {table}", "reader")

    def test_where_tokens_of_aws_are_known_they_are_the_way_in(self, empty_database: Database) -> None:
        server = empty_database.server
        with closing(owner_of(server)) as owner:
            owner.run("create role rds_iam")
            owner.run("grant rds_iam to pipeline with admin option")
        try:
            run(empty_database)
            members = (
                "select m.rolname from pg_auth_members a join pg_roles m on m.oid = a.member "
                "join pg_roles r on r.oid = a.roleid where r.rolname = 'rds_iam' and m.rolname <> 'pipeline' order by 1"
            )
            assert empty_database.rows(members) == [["loader"], ["reader"]]
        finally:
            with closing(owner_of(server)) as owner:
                owner.run("drop role rds_iam")


@pytest.fixture
def answers() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Where CloudFormation waits: an address and what was put there.  The first try is refused."""
    put: list[dict[str, Any]] = []
    tries = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            tries.append(self.headers["Content-Type"])
            if len(tries) > 1:
                put.append(json.loads(body))
            self.send_response(503 if len(tries) == 1 else 200)
            self.end_headers()

        def log_message(self, *ignored: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}/answer", put
        httpd.shutdown()
        thread.join()
    assert set(tries) <= {""}


class Context:
    aws_request_id = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


class TestMigrator:
    def event(self, url: str, kind: str, **rest: str) -> dict[str, Any]:
        ids = {"StackId": "stack", "RequestId": "request", "LogicalResourceId": "Schema"}
        return {"RequestType": kind, "ResponseURL": url, **ids, **rest}

    @pytest.fixture
    def connected(self, empty_database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
        class Secrets:
            def get_secret_value(self, **wanted: str) -> dict[str, str]:
                assert wanted == {"SecretId": "the-secret"}
                return {"SecretString": json.dumps({"username": "pipeline", "password": "secret"})}

        monkeypatch.setenv("DATABASE_SECRET", "the-secret")
        monkeypatch.setattr(migrator, "client", lambda service: Secrets())
        monkeypatch.setattr(migrator, "connect", lambda user, password: empty_database.connect(user))
        return empty_database

    def test_a_deployment_expands_and_is_answered(self, connected: Database, answers: Any) -> None:
        url, put = answers
        migrator.handler(self.event(url, "Create"), Context())
        (answer,) = put
        assert {key: answer[key] for key in ("Status", "PhysicalResourceId", "StackId", "RequestId")} == {
            "Status": "SUCCESS", "PhysicalResourceId": "schema", "StackId": "stack", "RequestId": "request",
        }  # fmt: skip
        assert connected.rows("select max(version) from schema_migrations") == [[3]]
        migrator.handler(self.event(url, "Update", PhysicalResourceId="schema"), Context())
        assert put[1]["Status"] == "SUCCESS"

    def test_a_failure_is_answered_with_its_reason(
        self, connected: Database, answers: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*given: Any, **rest: Any) -> None:
            raise MigrationError("0009_expand_x.sql: " + "no " * 5000)

        monkeypatch.setattr(migrator, "migrate", fail)
        url, put = answers
        migrator.handler(self.event(url, "Update", PhysicalResourceId="schema"), Context())
        assert put[0]["Status"] == "FAILED"
        assert put[0]["Reason"].startswith("MigrationError: 0009_expand_x.sql: no no")
        assert len(json.dumps(put[0])) < 4096

    def test_deleting_does_nothing(self, answers: Any) -> None:
        url, put = answers
        migrator.handler(self.event(url, "Delete", PhysicalResourceId="schema"), Context())
        assert put[0]["Status"] == "SUCCESS"

    def test_called_directly_it_says_what_it_did(self, connected: Database) -> None:
        assert len(migrator.handler({"phase": "expand"}, Context())["applied"]) == 3
        assert migrator.handler({"phase": "contract"}, Context()) == {"applied": ["0004_contract_ledger_outcomes.sql"]}
        with pytest.raises(ValueError, match="the phase is expand or contract, not 'shrink'"):
            migrator.handler({"phase": "shrink"}, Context())
