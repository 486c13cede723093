"""RDS: a DB instance of engine postgres is a real PostgreSQL, reachable at the endpoint that RDS reports.

As at AWS the master user is not a superuser: it may create databases and roles and belongs to ``rds_superuser``;
``rdsadmin`` owns the server.  AWS/RDS metrics are read from the running server and its machine, once a minute.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from .base import here, scope, service
from .parts import Parts
from .postgres import PostgreSql, start_postgres

_log = logging.getLogger("tocsin.rds")
_GIB = 1024**3
_MINUTE = 60
_GRANTS = ("pg_monitor", "pg_read_all_settings", "pg_read_all_stats", "pg_signal_backend")


@dataclass
class _Instance:
    """One DB instance: its server and the process whose CPU time was seen last."""

    identifier: str
    owner: tuple[str, str]
    server: PostgreSql
    user: str
    database: str
    cpu: dict[int, tuple[float, float]] = field(default_factory=dict)


class Databases:
    """The servers behind the DB instances of all accounts and regions."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._rds = service("rds")
        self._running: dict[tuple[str, str, str], _Instance] = {}
        self._lock = threading.Lock()

    def view(self) -> list[dict[str, Any]]:
        """Where each database is, sorted by identifier."""
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
                    instance.server.stop()
            for identifier, record in records.items():
                running = self._running.get((*owner, identifier))
                if running is None:
                    self._start(owner, identifier, record, properties or {})
                else:
                    _set_password(running.server, running.user, record["_MasterUserPassword"])
                    _point(record, running.server)

    def stop(self) -> None:
        """End every server."""
        for instance in self._running.values():
            instance.server.stop()
        self._running.clear()

    def sample(self, at: float) -> None:
        """Publish what can truly be read of each server, stamped with the minute that ended at ``at``."""
        for instance in list(self._running.values()):
            record = self._rds._instances.get_scoped(*instance.owner, instance.identifier)
            if record is None:
                continue
            try:
                values = _measure(instance, int(record.get("AllocatedStorage") or 0) * _GIB)
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
        if str(properties.get("ManageMasterUserPassword", "")).lower() == "true":
            _manage_password(record)
        user, password = record["MasterUsername"], record["_MasterUserPassword"]
        wanted = properties.get("DBName") if properties else record.get("DBName")
        record["DBName"] = wanted or None
        server = start_postgres(Path(directory), user="rdsadmin")
        try:
            _prepare(server, user, password, wanted)
        except Exception as error:
            server.stop()
            raise ValueError(f"DB instance {identifier}: {error}") from error
        _point(record, server)
        self._running[(*owner, identifier)] = _Instance(identifier, owner, server, user, wanted or "postgres")


def install(parts: Parts) -> Databases:
    """Start and stop servers with the DB instances of CloudFormation and of the API."""
    databases = Databases(parts)
    provisioners, rds = service("cloudformation").provisioners, service("rds")
    handler = provisioners._RESOURCE_HANDLERS["AWS::RDS::DBInstance"]

    def create(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        physical_id, _ = handler["create"](logical_id, properties, stack)
        try:
            databases.follow(properties)
        except Exception:
            handler["delete"](physical_id, properties)
            raise
        return physical_id, _attributes(rds._instances[physical_id], provisioners)

    def update(physical_id: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical_id: Any = None) -> Any:
        physical_id, _ = handler["update"](physical_id, old, new, stack, logical_id)
        databases.follow(new)
        return physical_id, _attributes(rds._instances[physical_id], provisioners)

    def delete(physical_id: str, properties: dict[str, Any]) -> None:
        record = rds._instances.get(physical_id) or {}
        handler["delete"](physical_id, properties)
        if secret := record.get("MasterUserSecret"):
            service("secretsmanager")._secrets.pop(secret["Name"], None)
        databases.follow()

    provisioners._RESOURCE_HANDLERS["AWS::RDS::DBInstance"] = {
        **handler, "create": create, "update": update, "delete": delete,
    }  # fmt: skip
    for name in ("_create_db_instance_impl", "_delete_db_instance_impl"):
        setattr(rds, name, _followed(getattr(rds, name), databases))
    # ModifyDBInstance stores the new password and then calls this to bring it to the server.
    rds._rotate_instance_password = lambda _instance, _old, _new: databases.follow()
    return databases


def _followed(call: Callable[[Any], Any], databases: Databases) -> Callable[[Any], Any]:
    def run(parameters: Any) -> Any:
        response = call(parameters)
        databases.follow()
        return response

    return run


def _attributes(record: dict[str, Any], provisioners: Any) -> dict[str, Any]:
    attributes: dict[str, Any] = provisioners._rds_db_instance_attrs(record)
    if secret := record.get("MasterUserSecret"):
        attributes["MasterUserSecret.SecretArn"] = secret["SecretArn"]
    return attributes


def _point(record: dict[str, Any], server: PostgreSql) -> None:
    record["Endpoint"] = {**record.get("Endpoint", {}), "Address": server.host, "Port": server.port}
    record["DBInstanceStatus"] = "available"


def _manage_password(record: dict[str, Any]) -> None:
    """ManageMasterUserPassword: a password nobody was told, in a secret of its own."""
    password = secrets.token_urlsafe(21)
    name = f"rds!db-{uuid.uuid4()}"
    service("secretsmanager").create_secret_in_process(
        name, json.dumps({"username": record["MasterUsername"], "password": password}), "The secret of an RDS instance"
    )
    record["_MasterUserPassword"] = password
    arn = service("secretsmanager")._secrets[name]["ARN"]
    record["MasterUserSecret"] = {"SecretArn": arn, "SecretStatus": "active", "Name": name}


def _prepare(server: PostgreSql, user: str, password: str, database: str | None) -> None:
    connection = server.connect()
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("CREATE ROLE rds_superuser NOLOGIN")
    for role in _GRANTS:
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


def _measure(instance: _Instance, allocated: int) -> dict[str, tuple[float, str]]:
    """What the server and its machine say of themselves."""
    psutil: Any = import_module("psutil")
    connection = instance.server.connect()
    cursor = connection.cursor()
    cursor.execute(
        "SELECT count(*) FILTER (WHERE backend_type = 'client backend'), (SELECT sum(pg_database_size(oid)) FROM pg_database),"
        " (SELECT max(age(datfrozenxid)) FROM pg_database) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    )
    clients, size, oldest = cursor.fetchone()
    connection.close()
    values = {
        "DatabaseConnections": (float(clients), "Count"),
        "MaximumUsedTransactionIDs": (float(oldest), "Count"),
        # The machine the server really runs on; the instance class is only a name here.
        "FreeableMemory": (float(psutil.virtual_memory().available), "Bytes"),
    }
    if allocated:
        values["FreeStorageSpace"] = (float(allocated - size), "Bytes")
    if (percent := _cpu_percent(instance)) is not None:
        values["CPUUtilization"] = (percent, "Percent")
    return values


def _cpu_percent(instance: _Instance) -> float | None:
    """The share of the machine's processors the server used since the last look, in real time; None the first time."""
    psutil: Any = import_module("psutil")
    now = time.monotonic()
    spent: dict[int, tuple[float, float]] = {}
    used, since = 0.0, None
    try:
        processes = psutil.Process(instance.server.process.pid).children(recursive=True)
    except psutil.Error:
        return None
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total = times.user + times.system
        spent[process.pid] = (total, now)
        before, seen = instance.cpu.get(process.pid, (0.0, now))
        used += total - before
        since = seen if since is None else min(since, seen)
    first = not instance.cpu
    instance.cpu = spent
    if first or since is None or now <= since:
        return None
    return min(100.0, 100.0 * used / (now - since) / (psutil.cpu_count() or 1))
