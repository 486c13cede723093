"""The functions from outside: events, what they log and measure, what goes to the container task, and what the probe says."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from cryptography import x509
from deploy.data_pipeline.handlers import database as database_module
from deploy.data_pipeline.handlers import handover, loader, probe, task
from deploy.data_pipeline.handlers.contracts import TABLES
from deploy.data_pipeline.handlers.database import RDS_AUTHORITIES, reason
from deploy.data_pipeline.handlers.errors import EventError, OutOfTimeError
from deploy.data_pipeline.handlers.files import File
from deploy.data_pipeline.handlers.load import load
from hypothesis import given
from hypothesis import strategies as st
from loading_tools import ARRIVED, PASSWORD, Database, MemoryStore, TlsFront

from tocsin.cloud.embedded.authority import Authority

ROOT = Path(__file__).resolve().parents[3]
AIRLINES = b"carrier,name\n9E,Endeavor Air Inc.\nAA,American Airlines Inc.\n"
TIME = "2026-11-21T06:00:00.000Z"


def event(*objects: dict[str, Any]) -> dict[str, Any]:
    return {
        "Records": [{"eventTime": TIME, "s3": {"bucket": {"name": "incoming"}, "object": each}} for each in objects]
    }


def names_of(measured: dict[str, Any]) -> set[str]:
    """The metrics in a line."""
    (directive,) = measured["_aws"]["CloudWatchMetrics"]
    return {metric["Name"] for metric in directive["Metrics"]}


class Context:
    def __init__(self, seconds: float = 300, request: str = "request-1") -> None:
        self.seconds, self.aws_request_id = seconds, request

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


class Containers:
    """What ECS answers: one task for each token, and to a token that it knows the first answer again."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self.failures: list[dict[str, str]] = []

    def run_task(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        token = asked["clientToken"]
        if token not in self.tokens:
            self.tokens.append(token)
        number = self.tokens.index(token)
        if self.failures:
            return {"tasks": [], "failures": self.failures}
        return {"tasks": [{"taskArn": f"task/{number}", "lastStatus": "PROVISIONING"}], "failures": []}


class Running:
    """The loader with a database, a bucket and containers of its own."""

    def __init__(self, database: Database, store: MemoryStore, containers: Containers, said: Any) -> None:
        self.database, self.store, self.containers, self._said = database, store, containers, said

    def handle(
        self, *keys: str, seconds: float = 300, size: int | None = None, request: str = "request-1"
    ) -> dict[str, Any]:
        objects = [
            {"key": quote_plus(key), "versionId": "v1", "size": len(self.store.objects.get((key, "v1"), b"")) if size is None else size}
            for key in keys
        ]  # fmt: skip
        return loader.handler(event(*objects), Context(seconds, request))

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._said.readouterr().out.splitlines()]


@pytest.fixture
def running(database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Running:
    store, containers = MemoryStore(), Containers()
    monkeypatch.setattr(loader, "connect", database.connect)
    monkeypatch.setattr(loader, "store", store)
    monkeypatch.setattr(handover, "client", lambda service: containers)
    for name, value in {
        "MAX_REJECTED_SHARE": "0.01",
        "AWS_LAMBDA_FUNCTION_NAME": "the-loader",
        "TASK_CLUSTER": "cluster",
        "TASK_DEFINITION": "definition:1",
        "TASK_SUBNETS": "subnet-1,subnet-2",
        "TASK_SECURITY_GROUPS": "group-1",
        "TASK_CONTAINER": "loader",
    }.items():
        monkeypatch.setenv(name, value)
    return Running(database, store, containers, capsys)


class TestEvents:
    @given(st.text(st.characters(codec="utf-8"), min_size=1))
    def test_keys_come_back_from_their_form_encoding(self, key: str) -> None:
        found = loader.files_of(event({"key": quote_plus(key), "versionId": "v1", "size": 5}))
        assert found == [File("incoming", key, "v1", datetime(2026, 11, 21, 6, tzinfo=UTC), 5)]

    @pytest.mark.parametrize(
        ("other", "said"),
        [
            ({}, "'Records' is missing"),
            ({"Records": [{}]}, "'s3' is missing"),
            ({"Records": None}, "'NoneType' object is not iterable"),
            ({"Records": [None]}, "'NoneType' object is not subscriptable"),
            (event({"key": "airlines/a.csv"}), "'versionId' is missing"),
        ],
    )
    def test_another_event_is_refused(self, other: dict[str, Any], said: str) -> None:
        with pytest.raises(EventError, match=f"^not an event of a versioned bucket: {said}$"):
            loader.handler(other, Context())

    def test_the_test_event_of_a_new_notification_is_taken(self, running: Running) -> None:
        assert loader.handler({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}, Context())["files"] == 0
        assert [line["event"] for line in running.lines()] == ["test-event"]

    @pytest.mark.parametrize(
        ("key", "said"), [("quarantine/airlines/a.csv/v1.csv", "not-incoming"), ("incoming/airlines/", "folder")]
    )
    def test_what_is_no_file_to_load_is_left_alone(self, running: Running, key: str, said: str) -> None:
        assert running.handle(key) == {"files": 1, "loaded": 0, "rejected": 0, "handed_over": 0}
        assert [line["event"] for line in running.lines()] == [said]
        assert running.database.rows("select count(*) from loaded_files") == [[0]]


class TestHandler:
    def test_a_loaded_file_is_logged_and_measured(self, running: Running) -> None:
        running.store.put("incoming/airlines/a b.csv", AIRLINES)
        assert running.handle("incoming/airlines/a b.csv")["loaded"] == 1
        logged, measured = running.lines()
        assert (logged["event"], logged["key"], logged["rows_loaded"]) == (
            "file-loaded",
            "incoming/airlines/a b.csv",
            2,
        )
        (directive,) = measured["_aws"]["CloudWatchMetrics"]
        assert (directive["Namespace"], measured["FunctionName"]) == ("DataPipeline", "the-loader")
        names = ["RowsRead", "RowsLoaded", "RowsRejected", "FilesLoaded", "FilesRejected"]
        assert [measured[name] for name in names] == [2, 2, 0, 1, 0]
        expected = datetime.now(UTC).timestamp()
        assert measured["LastSuccess"] == pytest.approx(expected, abs=60)
        assert measured["SecondsToQueryable"] == pytest.approx(max(0, expected - ARRIVED.timestamp()), abs=60)
        assert {metric["Name"] for metric in directive["Metrics"]} == {*names, "LastSuccess", "SecondsToQueryable"}

    def test_a_rejected_file_is_no_failure(self, running: Running) -> None:
        running.store.put("incoming/airlines/a.csv", b"nothing\n")
        assert running.handle("incoming/airlines/a.csv")["rejected"] == 1
        logged, measured = running.lines()
        assert (logged["event"], logged["level"], logged["rows_rejected"]) == ("file-rejected", "WARN", 0)
        assert logged["reason"].startswith("another header: missing 'carrier', 'name'")
        assert logged["quarantine"] == "quarantine/airlines/a.csv/v1.csv"
        assert (measured["FilesLoaded"], measured["FilesRejected"]) == (0, 1)
        assert names_of(measured) == {"FilesLoaded", "FilesRejected"}

    @pytest.mark.parametrize("letter", ["a", "ß", "飛"])
    def test_a_file_with_the_longest_key_is_rejected_like_any_other(self, running: Running, letter: str) -> None:
        """S3 takes keys of 1,024 bytes, and the bad rows go to a longer one."""
        start, end = "incoming/airlines/", ".csv"
        key = start + letter * ((1000 - len(start) - len(end)) // len(letter.encode())) + end
        running.store.put(key, b"nothing\n")
        assert running.handle(key)["rejected"] == 1
        logged = running.lines()[0]
        assert logged["reason"].startswith("another header")
        (quarantined,) = running.store.quarantined
        assert logged["quarantine"] == quarantined
        assert len(quarantined.encode()) <= 1024
        assert quarantined.startswith(f"quarantine/airlines/{letter * 100}")
        assert quarantined.endswith("/v1.csv")
        assert running.database.rows("select key, status from loaded_files") == [[key, "rejected"]]

    @given(st.text(st.characters(codec="utf-8"), max_size=1000), st.text("abc", max_size=100))
    def test_two_files_never_share_a_quarantine_file(self, name: str, version: str) -> None:
        one, other = (File("b", f"incoming/{'x' * 900}{name}{end}", version, ARRIVED) for end in ("1", "2"))
        assert one.quarantine_key != other.quarantine_key
        assert len(one.quarantine_key.encode()) <= 1024

    def test_the_rows_of_a_rejected_file_are_logged_and_not_measured(self, running: Running) -> None:
        """They count as one file; counted as rows too, one file would break two promises."""
        running.store.put("incoming/airlines/a.csv", AIRLINES + b"X\n" * 2000)
        assert running.handle("incoming/airlines/a.csv")["rejected"] == 1
        logged, measured = running.lines()
        assert (logged["rows_read"], logged["rows_rejected"]) == (2002, 2000)
        assert names_of(measured) == {"FilesLoaded", "FilesRejected"}

    def test_the_bad_rows_of_an_accepted_file_are_measured(self, running: Running) -> None:
        rows = b"".join(b"A%d,Airline\n" % number for number in range(199))
        running.store.put("incoming/airlines/a.csv", b"carrier,name\n" + rows + b"X\n")
        assert running.handle("incoming/airlines/a.csv")["loaded"] == 1
        measured = running.lines()[1]
        assert [measured[name] for name in ("RowsRead", "RowsLoaded", "RowsRejected")] == [200, 199, 1]

    def test_a_doubled_event_says_so_and_measures_nothing(self, running: Running) -> None:
        running.store.put("incoming/airlines/a.csv", AIRLINES)
        running.handle("incoming/airlines/a.csv")
        running.lines()
        assert running.handle("incoming/airlines/a.csv") == {"files": 1, "loaded": 0, "rejected": 0, "handed_over": 0}
        assert [line["event"] for line in running.lines()] == ["file-already-done"]

    def test_a_file_that_fails_does_not_keep_its_neighbours_from_loading(self, running: Running) -> None:
        running.store.put("incoming/airlines/a.csv", AIRLINES)
        with pytest.raises(KeyError):
            running.handle("incoming/airlines/gone.csv", "incoming/airlines/a.csv")
        assert [line.get("event") for line in running.lines()] == ["load-failed", "file-loaded", None]

    def test_another_file_with_the_same_keys_in_between_is_met_with_another_try(
        self, running: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The other file's rows come between the look at the table and the insert."""
        running.store.put("incoming/airlines/a.csv", AIRLINES + b"X\n")
        monkeypatch.setenv("MAX_REJECTED_SHARE", "1")
        connections = []

        class Interrupted:
            def __init__(self, connection: Any) -> None:
                self._connection = connection
                connections.append(connection)

            def run(self, statement: str, **parameters: Any) -> Any:
                if statement.startswith('insert into "airlines"') and len(connections) == 1:
                    running.database.rows("insert into airlines values ('AA', 'American Airlines Inc.')")
                return self._connection.run(statement, **parameters)

            def __getattr__(self, name: str) -> Any:
                return getattr(self._connection, name)

        monkeypatch.setattr(loader, "connect", lambda: Interrupted(running.database.connect()))
        running.handle("incoming/airlines/a.csv")
        logged = running.lines()[0]
        assert (logged["rows_loaded"], logged["rows_unchanged"], logged["rows_rejected"]) == (1, 1, 1)
        assert len(connections) == 2


class TestHandOver:
    KEY = "incoming/airlines/a.csv"

    def test_a_file_too_large_for_the_time_goes_to_the_task(self, running: Running) -> None:
        running.store.put(self.KEY, AIRLINES)
        assert running.handle(self.KEY, size=5_000_000_000)["handed_over"] == 1
        (asked,) = running.containers.asked
        assert (asked["cluster"], asked["taskDefinition"], asked["launchType"], asked["count"]) == (
            "cluster", "definition:1", "FARGATE", 1,
        )  # fmt: skip
        (override,) = asked["overrides"]["containerOverrides"]
        assert override["name"] == "loader"
        assert {each["name"]: each["value"] for each in override["environment"]} == {
            "BUCKET": "incoming", "KEY": self.KEY, "VERSION": "v1", "ARRIVED": "2026-11-21T06:00:00+00:00",
        }  # fmt: skip
        network = asked["networkConfiguration"]["awsvpcConfiguration"]
        assert network == {
            "subnets": ["subnet-1", "subnet-2"],
            "securityGroups": ["group-1"],
            "assignPublicIp": "DISABLED",
        }
        assert len(asked["clientToken"]) <= 64
        assert running.store.reads == 0

    def test_the_tries_of_one_invocation_find_the_same_task(self, running: Running) -> None:
        for _ in range(3):
            running.handle(self.KEY, size=5_000_000_000)
        assert [line["task"] for line in running.lines()] == ["task/0"] * 3

    def test_who_invokes_it_again_after_a_task_failed_starts_another(self, running: Running) -> None:
        """ECS answers a token that it knows with the first answer, though that task has stopped long ago."""
        running.handle(self.KEY, size=5_000_000_000)
        running.handle(self.KEY, size=5_000_000_000, request="request-2")
        assert [line["task"] for line in running.lines()] == ["task/0", "task/1"]

    @pytest.mark.parametrize(("size", "handed_over"), [(1_300_000_000, 1), (400_000_000, 0)])
    def test_the_time_is_that_of_short_rows_in_quotes(self, running: Running, size: int, handed_over: int) -> None:
        """880 s at 2.3 MB/s, measured, are 2 GB; a file is kept here only with a good part of the time to spare."""
        running.store.put(self.KEY, AIRLINES)
        assert running.handle(self.KEY, size=size, seconds=860)["handed_over"] == handed_over

    def test_a_file_that_is_done_starts_no_task(self, running: Running) -> None:
        running.store.put(self.KEY, AIRLINES)
        running.handle(self.KEY)
        assert running.handle(self.KEY, size=5_000_000_000)["handed_over"] == 0
        assert running.containers.asked == []

    def test_no_capacity_is_a_failure_that_is_tried_again(self, running: Running) -> None:
        running.containers.failures = [{"arn": "cluster", "reason": "RESOURCE:MEMORY"}]
        with pytest.raises(
            handover.NoTaskError, match=r"no task for 'incoming/airlines/a\.csv': cluster: RESOURCE:MEM"
        ):
            running.handle(self.KEY, size=5_000_000_000)
        assert len(running.containers.tokens) == 2, (
            "an answer that started nothing may be all that the first token gets"
        )

    def test_time_that_runs_out_in_the_middle_rolls_back_and_hands_over(self, running: Running) -> None:
        running.store.put(self.KEY, AIRLINES)
        context = Context(loader.RESERVE_SECONDS + 5)

        class Slow(MemoryStore):
            def read(self, file: File) -> Any:
                yield AIRLINES
                yield b"x" * (1 << 16)
                context.seconds = loader.RESERVE_SECONDS - 1
                yield b""
                yield b"\nB6,b\n"

        loader.store = Slow()
        done = loader.handler(event({"key": self.KEY, "versionId": "v1", "size": 100}), context)
        assert done["handed_over"] == 1
        assert running.database.rows("select count(*) from airlines") == [[0]]
        assert running.database.rows("select count(*) from loaded_files") == [[0]]

    def test_without_a_task_a_large_file_is_tried_all_the_same(
        self, running: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TASK_DEFINITION", "")
        running.store.put(self.KEY, AIRLINES)
        assert running.handle(self.KEY, size=5_000_000_000)["loaded"] == 1
        running.store.put("incoming/airlines/b.csv", AIRLINES)
        with pytest.raises(OutOfTimeError, match="no task is configured for such files"):
            running.handle("incoming/airlines/b.csv", seconds=1)


class TestTask:
    @pytest.fixture
    def named(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
        def name(key: str) -> None:
            for variable, value in {"BUCKET": "incoming", "KEY": key, "VERSION": "v1", "ARRIVED": TIME}.items():
                monkeypatch.setenv(variable, value)

        monkeypatch.setattr(task, "PAUSE_SECONDS", 0.0)
        monkeypatch.setenv("TASK_MINUTES", "5")
        return name

    def test_it_does_what_the_loader_does(self, running: Running, named: Callable[[str], None]) -> None:
        running.store.put("incoming/airlines/a.csv", AIRLINES)
        named("incoming/airlines/a.csv")
        assert [task.main(), task.main()] == [0, 0]
        lines = running.lines()
        assert [line.get("event") for line in lines] == ["file-loaded", None, "file-already-done"]
        assert "SecondsToQueryableByTask" in names_of(lines[1])
        assert "SecondsToQueryable" not in names_of(lines[1]), "which is promised of files that the function loads"
        assert running.database.rows("select arrived, rows_loaded from loaded_files") == [[ARRIVED, 2]]

    def test_it_fails_with_one_line_and_counts_its_file_as_rejected(
        self, running: Running, named: Callable[[str], None]
    ) -> None:
        named("incoming/airlines/gone.csv")
        assert task.main() == 1
        *lines, measured = running.lines()
        assert [(line["level"], line["event"]) for line in lines] == [
            *[("WARN", "load-tried")] * 3,
            ("ERROR", "load-failed"),
        ]
        assert (measured["FilesRejected"], measured["FilesLoaded"], measured["FunctionName"]) == (1, 0, "the-loader")
        assert measured["key"] == "incoming/airlines/gone.csv"

    def test_when_its_time_is_over_nothing_is_loaded_and_it_ends(
        self, running: Running, named: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        running.store.put("incoming/airlines/a.csv", AIRLINES)
        named("incoming/airlines/a.csv")
        monkeypatch.setenv("TASK_MINUTES", "0.02")

        class Endless(MemoryStore):
            def read(self, file: File) -> Any:
                yield AIRLINES
                while True:
                    yield b"".join(b"%d,b\n" % number for number in range(10_000))

        monkeypatch.setattr(loader, "store", Endless())
        assert task.main() == 1
        failed, measured = running.lines()
        assert (failed["event"], failed["attempt"]) == ("load-failed", 1), "there is no time for another try"
        assert failed["reason"] == "not loaded in 0.02 minutes, all that a task has"
        assert measured["FilesRejected"] == 1
        for table in ("airlines", "loaded_files"):
            assert running.database.rows(f"select count(*) from {table}") == [[0]]

    def test_a_statement_that_hangs_ends_with_the_time_too(
        self, running: Running, named: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another transaction holds the table for ever."""
        running.store.put("incoming/airlines/a.csv", AIRLINES)
        named("incoming/airlines/a.csv")
        monkeypatch.setenv("TASK_MINUTES", "0.02")
        with database_module.closing(running.database.connect("pipeline")) as other:
            other.run("begin")
            other.run("lock table airlines in access exclusive mode")
            assert task.main() == 1
        assert [line.get("event") for line in running.lines()] == ["load-failed", None]
        assert running.database.rows("select count(*) from loaded_files") == [[0]]

    def test_it_names_what_is_missing(self) -> None:
        bare = {"PATH": os.environ["PATH"], "BUCKET": "b", "VERSION": "v", "ARRIVED": TIME, "TASK_MINUTES": "5"}
        done = subprocess.run(
            [sys.executable, "-m", "deploy.data_pipeline.handlers.task"], cwd=ROOT, env=bare, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (1, "")
        assert json.loads(done.stdout)["reason"] == "the task's environment: 'KEY'"


@pytest.fixture
def address(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[tuple[TlsFront, Authority]]:
    """The database as the functions find it: behind TLS, at the address of their environment."""
    authority = Authority(tmp_path)
    server = database.server
    with TlsFront((server.host, server.port), authority.certificate_for("localhost")) as front:
        monkeypatch.setenv("DATABASE_HOST", "localhost")
        monkeypatch.setenv("DATABASE_PORT", str(front.port))
        monkeypatch.setenv("DATABASE_NAME", database.name)
        monkeypatch.setenv("DATABASE_USER", "reader")
        monkeypatch.setenv("PGSSLROOTCERT", str(authority.ca_file))
        yield front, authority


class TestConnection:
    def test_the_server_is_verified(self, address: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        with database_module.closing(database_module.connect("reader", PASSWORD)) as connection:
            assert isinstance(connection._usock, ssl.SSLSocket)
            assert connection.run("show timezone") == [["UTC"]]
        monkeypatch.setenv("DATABASE_HOST", "127.0.0.1")  # a name that is not in the certificate
        with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
            database_module.connect("reader", PASSWORD)
        monkeypatch.setenv("DATABASE_HOST", "localhost")
        monkeypatch.delenv("PGSSLROOTCERT")  # then only the authorities of RDS count
        with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer certificate"):
            database_module.connect("reader", PASSWORD)

    def test_a_load_over_tls_is_one(self, address: Any, database: Database) -> None:
        """Also the look for the server's refusal in the middle of a COPY."""
        store = MemoryStore(1000)
        rows = b"".join(b"A,C%d,1\n" % number for number in range(50_000))
        file = store.put("incoming/flights-airport/a.csv", b"origin,destination,count\n" + rows + b"A,B,none\n")
        with database_module.closing(database_module.connect("loader", PASSWORD)) as connection:
            outcome = load(connection, file, store, TABLES, deadline=lambda: None, max_rejected_share=1)
        assert outcome is not None
        assert (outcome.counts.loaded, outcome.counts.rejected, store.reads) == (50_000, 1, 2)

    def test_every_authority_of_rds_parses_and_lasts(self) -> None:
        certificates = x509.load_pem_x509_certificates(RDS_AUTHORITIES.read_bytes())
        assert len(certificates) == len(ssl.create_default_context(cafile=str(RDS_AUTHORITIES)).get_ca_certs())
        names = {certificate.subject.rfc4514_string() for certificate in certificates}
        for region in ("eu-west-1", "eu-central-1", "us-east-1"):
            for kind in ("RSA2048", "RSA4096", "ECC384"):
                assert any(f"CN=Amazon RDS {region} Root CA {kind} G1" in name for name in names)
        assert min(certificate.not_valid_after_utc for certificate in certificates) > datetime(2060, 1, 1, tzinfo=UTC)

    def test_an_error_is_one_line(self) -> None:
        assert reason(ValueError("two\nlines")) == "two lines"
        assert reason(ValueError()) == "ValueError"


class TestProbe:
    @pytest.fixture
    def reader(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
        monkeypatch.setattr(probe, "connect_with_token", lambda: database.connect("reader"))
        return database

    def test_a_row_is_found_or_not(self, reader: Database) -> None:
        reader.rows("insert into synthetic values ('it''s here', now())")
        assert probe.handler({"check": "row", "id": "it's here"}, None) == {"found": True}
        assert probe.handler({"check": "row", "id": "elsewhere"}, None) == {"found": False}

    def test_the_reader_is_refused_a_write(self, reader: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        assert probe.handler({"check": "write"}, None) == {
            "refused": True,
            "reason": "permission denied for table synthetic",
        }
        monkeypatch.setattr(probe, "connect_with_token", lambda: reader.connect("loader"))
        assert probe.handler({"check": "write"}, None)["refused"] is False
        assert reader.rows("select count(*) from synthetic") == [[0]]

    @pytest.mark.parametrize("asked", [{}, {"check": "row"}, {"check": "drop"}])
    def test_another_question_is_refused(self, reader: Database, asked: dict[str, str]) -> None:
        with pytest.raises(ValueError, match="the check is row"):
            probe.handler(asked, None)

    def test_a_connection_without_tls_is_refused(
        self, address: Any, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Tokens:
            def generate_db_auth_token(self, **wanted: Any) -> str:
                assert set(wanted) == {"DBHostname", "Port", "DBUsername"}
                assert (wanted["DBHostname"], wanted["DBUsername"]) == ("localhost", "reader")
                return PASSWORD

        monkeypatch.setattr(database_module, "client", lambda service: Tokens())
        assert probe.handler({"check": "plain"}, None) == {
            "refused": True,
            "reason": "no pg_hba.conf entry, no encryption",
        }
        # A server that takes such a connection is told of; TLS is left out of the first question for want of a server with both.
        monkeypatch.setattr(probe, "connect_with_token", lambda: database.connect("reader"))
        monkeypatch.setenv("DATABASE_PORT", str(database.server.port))
        assert probe.handler({"check": "plain"}, None)["refused"] is False
