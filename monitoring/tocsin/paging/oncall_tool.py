"""The table ``[tool]`` of ``deploy/oncall.toml``: which on-call tool, where it is, and where its key comes from."""

from __future__ import annotations

from typing import Any, Final

from ..errors import InputError, nearest
from . import oncall_values as values
from .declared import OnCall, SecretSource, Tool, ToolName
from .tables import Tables

#: Where the key is looked for when the file does not say.
DEFAULT_KEYS: Final = {
    ToolName.OPSGENIE: "OPSGENIE_API_KEY",
    ToolName.JIRA: "JIRA_API_TOKEN",
    ToolName.PAGERDUTY: "PAGERDUTY_API_KEY",
    ToolName.WEBHOOK: "WEBHOOK_SIGNING_KEY",
}

REGIONS: Final = ("us", "eu")

_KEYS = {
    ToolName.OPSGENIE: ("key", "name", "region", "url"),
    ToolName.JIRA: ("account", "key", "name", "opsgenie_key", "region", "site", "url"),
    ToolName.PAGERDUTY: ("key", "name", "region", "url"),
    ToolName.WEBHOOK: ("key", "name", "url"),
}
_SITE = "the cloud id of your site"
_ACCOUNT = "the e-mail address of the API token's account"
_ADDRESS = "the address that alerts are posted to, https://…"


def read_tool(tables: Tables, body: Any) -> Tool:
    """The table.  Raises InputError that says where."""
    table = tables.table(body, "tool")
    name = _name(tables, table.get("name"))
    for key in table:
        others = [one.value for one in ToolName if key in _KEYS[one]]
        if key not in _KEYS[name] and others:
            named = " and ".join(part for part in (", ".join(others[:-1]), others[-1]) if part)
            raise tables.error(f"tool.{key}", f"is for {named} only; take it out")
    tables.keys(table, "tool", _KEYS[name])
    region = table.get("region", REGIONS[0])
    if region not in REGIONS:
        raise tables.error("tool.region", f'must be "us" or "eu", got {values.shown(region)}')
    jira, webhook = name is ToolName.JIRA, name is ToolName.WEBHOOK
    return Tool(
        name=name,
        key=_source(tables, table, "key", name),
        region=region,
        site=tables.required(table, "tool", "site", values.site, _SITE) if jira else "",
        account=tables.required(table, "tool", "account", values.email, _ACCOUNT) if jira else "",
        url=tables.required(table, "tool", "url", values.address, _ADDRESS)
        if webhook
        else tables.optional(table, "tool", "url", values.address, ""),
        opsgenie_key=_source(tables, table, "opsgenie_key", ToolName.OPSGENIE) if jira else None,
    )


def key_of_opsgenie(declared: OnCall) -> tuple[str, SecretSource]:
    """Where the key of the account that is left comes from, and the file's key for that: before the tool was changed
    there, and after.  Raises InputError for a file that has to do with neither."""
    tool = declared.tool
    if tool.name is ToolName.OPSGENIE:
        return "tool.key", tool.key
    if tool.name is ToolName.JIRA:
        return "tool.opsgenie_key", tool.opsgenie_key or SecretSource(variable=DEFAULT_KEYS[ToolName.OPSGENIE])
    raise InputError(
        f"{declared.path}: tool.name: is {tool.name.value}, and what moves from Opsgenie moves to Jira; "
        'write "opsgenie" or "jira"'
    )


def _name(tables: Tables, stated: Any) -> ToolName:
    known = ", ".join(f'"{one}"' for one in ToolName)
    if stated is None:
        raise tables.error("tool.name", f"is missing: one of {known}")
    if not isinstance(stated, str) or stated not in tuple(ToolName):
        hint = nearest(stated, [one.value for one in ToolName]) if isinstance(stated, str) else f"one of {known}"
        raise tables.error("tool.name", f"no such tool; {hint}")
    return ToolName(stated)


def _source(tables: Tables, table: Any, key: str, name: ToolName) -> SecretSource:
    default = DEFAULT_KEYS[name]
    value = table.get(key, {"variable": default})
    return tables.read(f"tool.{key}", lambda given: values.key_source(given, default), value)
