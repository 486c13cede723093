"""RDS: DB instances made, changed, described and deleted bring their servers and secrets with them.

The servers themselves are in `databases`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

from . import database_secrets
from .alarm_records import truth
from .base import here, service
from .databases import Databases
from .parts import Parts


def install(parts: Parts) -> Databases:
    """Start and stop servers with the DB instances of CloudFormation and of the API."""
    databases = Databases(parts)
    provisioners, rds = service("cloudformation").provisioners, service("rds")
    handler = provisioners._RESOURCE_HANDLERS["AWS::RDS::DBInstance"]

    def create(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        physical_id, _ = handler["create"](logical_id, properties, stack)
        try:
            _keep(rds._instances[physical_id], properties)
            databases.follow(properties)
        except Exception:
            handler["delete"](physical_id, properties)
            raise
        return physical_id, _attributes(rds._instances[physical_id], provisioners)

    def update(physical_id: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical_id: Any = None) -> Any:
        physical_id, _ = handler["update"](physical_id, old, new, stack, logical_id)
        record = rds._instances[physical_id]
        _keep(record, new)
        if (*here(), physical_id) in databases:
            _change_management(record, new)
        databases.follow(new)
        return physical_id, _attributes(record, provisioners)

    def delete(physical_id: str, properties: dict[str, Any]) -> None:
        record = rds._instances.get(physical_id) or {}
        if record.get("DeletionProtection"):
            raise ValueError("Cannot delete protected DB Instance, please disable deletion protection and try again.")
        handler["delete"](physical_id, properties)
        database_secrets.forget(record)
        databases.follow()

    provisioners._RESOURCE_HANDLERS["AWS::RDS::DBInstance"] = {
        **handler, "create": create, "update": update, "delete": delete,
    }  # fmt: skip
    rds._create_db_instance_impl = _created(rds._create_db_instance_impl, databases)
    rds._delete_db_instance_impl = _deleted(rds._delete_db_instance_impl, databases)
    rds._modify_db_instance = rds._ACTION_MAP["ModifyDBInstance"] = _modified(rds._modify_db_instance, databases)
    # ModifyDBInstance stores the new password and then calls this to bring it to the server.
    rds._rotate_instance_password = lambda _instance, _old, _new: databases.follow()
    rds._instance_xml = _described(rds._instance_xml)
    database_secrets.answer_rotations(databases.follow)
    return databases


def _created(call: Callable[[Any], Any], databases: Databases) -> Callable[[Any], Any]:
    """CreateDBInstance, whose managed password ministack leaves out."""
    rds = service("rds")

    def run(parameters: Any) -> Any:
        response = call(parameters)
        asked = {"ManageMasterUserPassword": rds._p(parameters, "ManageMasterUserPassword")}
        if database_secrets.managed(asked) and response[0] < 400:
            key = {"KmsKeyId": rds._p(parameters, "MasterUserSecretKmsKeyId") or None}
            name = {"DBName": rds._p(parameters, "DBName") or None}
            databases.follow({**asked, **name, "MasterUserSecret": key})
        else:
            databases.follow()
        return response

    return run


def _deleted(call: Callable[[Any], Any], databases: Databases) -> Callable[[Any], Any]:
    rds = service("rds")

    def run(parameters: Any) -> Any:
        record = rds._instances.get(rds._p(parameters, "DBInstanceIdentifier")) or {}
        response = call(parameters)
        if response[0] < 400:
            database_secrets.forget(record)
        databases.follow()
        return response

    return run


def _modified(call: Callable[[Any], Any], databases: Databases) -> Callable[[Any], Any]:
    """ModifyDBInstance with RotateMasterUserPassword, which ministack does not know."""
    rds = service("rds")

    def run(parameters: Any) -> Any:
        response = call(parameters)
        record = rds._instances.get(rds._p(parameters, "DBInstanceIdentifier"))
        if response[0] < 400 and record and truth(rds._p(parameters, "RotateMasterUserPassword") or False):
            if not record.get("MasterUserSecret"):
                return rds._error(
                    "InvalidParameterCombination",
                    "You can't specify RotateMasterUserPassword for a DB instance whose password is not managed.",
                    400,
                )
            database_secrets.rotate(record)
            databases.follow()
        return response

    return run


def _described(write: Callable[[Any], str]) -> Callable[[Any], str]:
    """DescribeDBInstances with the managed secret and the exported logs, which ministack leaves out."""

    def run(record: dict[str, Any]) -> str:
        text, secret = write(record), record.get("MasterUserSecret")
        exports = "".join(
            f"<member>{escape(each)}</member>" for each in record.get("EnabledCloudwatchLogsExports") or ()
        )
        if exports:
            full = f"<EnabledCloudwatchLogsExports>{exports}</EnabledCloudwatchLogsExports>"
            text = text.replace("<EnabledCloudwatchLogsExports/>", full)
        if secret:
            names = ("SecretArn", "SecretStatus", "KmsKeyId")
            fields = "".join(f"<{name}>{escape(str(secret[name]))}</{name}>" for name in names if secret.get(name))
            text += f"<MasterUserSecret>{fields}</MasterUserSecret>"
        return text

    return run


def _keep(record: dict[str, Any], properties: dict[str, Any]) -> None:
    """What ministack's CloudFormation drops of a DB instance."""
    record["EnabledCloudwatchLogsExports"] = list(properties.get("EnableCloudwatchLogsExports") or ())
    if properties.get("CACertificateIdentifier"):
        record["CACertificateIdentifier"] = properties["CACertificateIdentifier"]
    if days := properties.get("PerformanceInsightsRetentionPeriod"):
        record["PerformanceInsightsRetentionPeriod"] = int(days)


def _change_management(record: dict[str, Any], properties: dict[str, Any]) -> None:
    """A template that begins or ends to leave the master password to RDS."""
    wanted, present = database_secrets.managed(properties), bool(record.get("MasterUserSecret"))
    if wanted and not present:
        database_secrets.manage(record, (properties.get("MasterUserSecret") or {}).get("KmsKeyId"))
    elif present and not wanted:
        database_secrets.forget(record)
        del record["MasterUserSecret"]
        record["_MasterUserPassword"] = properties.get("MasterUserPassword") or record["_MasterUserPassword"]


def _attributes(record: dict[str, Any], provisioners: Any) -> dict[str, Any]:
    attributes: dict[str, Any] = provisioners._rds_db_instance_attrs(record)
    if secret := record.get("MasterUserSecret"):
        attributes["MasterUserSecret.SecretArn"] = secret["SecretArn"]
    return attributes
