"""From the declared on-call tool to the file that speaks its language."""

from __future__ import annotations

from ..errors import PagingError
from .declared import OnCall, ToolName
from .tool import OnCallTool


def open_tool(declared: OnCall, key: str, url: str | None = None) -> OnCallTool:
    """The declared tool, ready to be asked.  Asks it nothing yet.

    ``key`` is the configuration key; ``url`` stands in for the tool's own address.  Raises PagingError for an empty key
    and for an address that is not HTTPS.
    """
    tool = declared.tool
    if not key.strip() and tool.name is not ToolName.WEBHOOK:
        raise PagingError(
            f"{declared.path}: tool.key: {tool.key.shown} is empty: put the key of {tool.name.value} there"
        )
    where = url or tool.url or None
    if tool.name is ToolName.OPSGENIE:
        from .opsgenie import Opsgenie

        return Opsgenie.open(declared, key, where)
    if tool.name is ToolName.JIRA:
        from .jira import Jira

        return Jira.open(declared, key, where)
    if tool.name is ToolName.PAGERDUTY:
        from .pagerduty import PagerDuty

        return PagerDuty.open(declared, key, where)
    from .webhook import Webhook

    return Webhook.open(declared, key, where)
