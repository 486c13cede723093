"""Databases: a real PostgreSQL and its front for each DB instance of engine postgres, for as long as the instance is.

The endpoint is a front that speaks TLS (see `postgres_front`).  As at AWS the master user is not a superuser: it may
create databases and roles and belongs to ``rds_superuser``; ``rdsadmin`` owns the server; whoever is granted
``rds_iam`` logs in with IAM tokens only (not so members of ``rds_superuser``, who keep their passwords here).
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import database_logins, database_secrets
from .base import here, scope, service
from .metrics_rds import Load, measure
from .parts import Parts
from .postgres import PostgreSql, start_postgres
from .postgres_front import HOST, Fronts, Gate

_log = logging.getLogger("tocsin.rds")
_GIB = 1024**3
_MINUTE = 60
_SOCKET_RULES = ("local all +rds_superuser scram-sha-256", "local all +rds_iam trust")
"""The front itself asks members of rds_iam for their token; nobody else reaches the socket."""
_GRANTS = ("pg_monitor", "pg_read_all_settings", "pg_read_all_stats", "pg_signal_backend")


@dataclass
class _Instance:
    """One DB instance: its server, the port of its front, and the CPU time seen last."""

    identifier: str
    owner: tuple[str, str]
    server: PostgreSql
    user: str
    database: str
    port: int
    load: Load = field(default_factory=Load)


class Databases:
    """The servers behind the DB instances of all accounts and regions."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._rds = service("rds")
        self._running: dict[tuple[str, str, str], _Instance] = {}
        self._fronts = Fronts(parts.authority.certificate_for)
        self._lock = threading.Lock()

    def view(self) -> list[dict[str, Any]]:
        """Where each database really is, behind its front, sorted by identifier."""
        return [
            {
                "identifier": each.identifier,
                "host": each.server.host,
                "port": each.server.port,
                "user": each.user,
                "name": each.database,
            }
            for each in sorted(self._running.values(), key=lambda each: each.identifier)
        ]

    def follow(self, properties: dict[str, Any] | None = None) -> None:
        """Bring the servers of the present account and region in line with its DB instances."""
        owner = here()
        with self._lock:
            records = {
                identifier: record
                for identifier, record in self._rds._instances.items()
                if str(record.get("Engine", "")).startswith(("postgres", "aurora-postgresql"))
            }
            for key, instance in list(self._running.items()):
                if key[:2] == owner and key[2] not in records:
                    del self._running[key]
                    self._end(instance)
            for identifier, record in records.items():
                running = self._running.get((*owner, identifier))
                if running is None:
                    self._start(owner, identifier, record, properties or {})
                else:
                    _set_password(running.server, running.user, record["_MasterUserPassword"])
                    _point(record, running.port)

    def stop(self) -> None:
        """End every server."""
        for instance in self._running.values():
            self._end(instance)
        self._running.clear()
        self._fronts.stop()

    def _end(self, instance: _Instance) -> None:
        self._fronts.close(instance.port)
        instance.server.stop()

    def __contains__(self, key: object) -> bool:
        """True if a server runs for (account, region, identifier)."""
        return key in self._running

    def sample(self, at: float) -> None:
        """Publish what can truly be read of each server, stamped with the minute that ended at ``at``."""
        for instance in list(self._running.values()):
            record = self._rds._instances.get_scoped(*instance.owner, instance.identifier)
            if record is None:
                continue
            try:
                values = measure(instance.server, instance.load, int(record.get("AllocatedStorage") or 0) * _GIB)
            except Exception:
                _log.exception("DB instance %s could not be measured", instance.identifier)
                continue
            with scope(*instance.owner):
                for name, (value, unit) in values.items():
                    dimensions = {"DBInstanceIdentifier": instance.identifier}
                    self._parts.recorder.record("AWS/RDS", name, dimensions, value, unit, at=at - _MINUTE)

    def _start(
        self, owner: tuple[str, str], identifier: str, record: dict[str, Any], properties: dict[str, Any]
    ) -> None:
        directory = self._parts.directory / "rds" / "-".join((*owner, identifier))
        if database_secrets.managed(properties):
            database_secrets.manage(record, (properties.get("MasterUserSecret") or {}).get("KmsKeyId"))
        user, password = record["MasterUsername"], record["_MasterUserPassword"]
        wanted = properties.get("DBName") if properties else record.get("DBName")
        record["DBName"] = wanted or None
        version = str(record.get("EngineVersion") or "").partition(".")[0]
        major = int(version) if version.isdigit() else None
        server = start_postgres(Path(directory), user="rdsadmin", socket_rules=_SOCKET_RULES, major=major)
        try:
            _prepare(server, user, password, wanted)
        except Exception as error:
            server.stop()
            raise ValueError(f"DB instance {identifier}: {error}") from error
        port = self._fronts.open(self._gate(owner, identifier, server))
        _point(record, port)
        self._running[(*owner, identifier)] = _Instance(identifier, owner, server, user, wanted or "postgres", port)

    def _gate(self, owner: tuple[str, str], identifier: str, server: PostgreSql) -> Gate:
        assert server.socket is not None  # for the type checker: it was asked for
        enforced = self._parts.enforce_iam
        return Gate(
            socket=server.socket,
            needs_tls=lambda: database_logins.needs_tls(owner, identifier),
            refusal=lambda user, token: database_logins.refusal(owner, identifier, user, token, enforced=enforced),
        )


def _point(record: dict[str, Any], port: int) -> None:
    record["Endpoint"] = {**record.get("Endpoint", {}), "Address": HOST, "Port": port}
    record["DBInstanceStatus"] = "available"


def _prepare(server: PostgreSql, user: str, password: str, database: str | None) -> None:
    connection = server.connect()
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("CREATE ROLE rds_superuser NOLOGIN")
    cursor.execute("CREATE ROLE rds_iam NOLOGIN")
    for role in (*_GRANTS, "rds_iam"):
        cursor.execute(f"GRANT {role} TO rds_superuser WITH ADMIN OPTION")
    cursor.execute(
        f"CREATE ROLE {_name(user)} LOGIN CREATEDB CREATEROLE IN ROLE rds_superuser PASSWORD {_text(password)}"
    )
    if database:
        cursor.execute(f"CREATE DATABASE {_name(database)} OWNER {_name(user)}")
    connection.close()


def _set_password(server: PostgreSql, user: str, password: str) -> None:
    connection = server.connect()
    connection.autocommit = True
    connection.cursor().execute(f"ALTER ROLE {_name(user)} PASSWORD {_text(password)}")
    connection.close()


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
