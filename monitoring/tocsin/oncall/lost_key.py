"""Whether the key that a topic's notifications are posted with is there, and taken: asked before anything is tried with it."""

from __future__ import annotations

import json
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

from ..cloud.secrets import read_secret
from ..cloud.session import Cloud
from ..errors import InputError
from ..model import Severity
from ..paging.declared import OnCall
from ..paging.rest import Rest, RestError
from ..paging.tool import OnCallTool, integration_name, secret_name
from .deliveries import Slot, is_settled

_CLOUDWATCH = "/v1/json/cloudwatch"  # where the integrations of Opsgenie and its successor take SNS messages
_NO_ALERT = "tocsin-drill-tries-the-key"


def refuse_lost_key(
    cloud: Cloud, tool: OnCallTool, declared: OnCall, environment: str, owner: str, severity: Severity
) -> None:
    """Raise for a route whose key is not there, is another's or is no longer taken: nothing that is told would arrive.

    Raises InputError, and CloudError and PagingError for what cannot be asked.
    """
    slot = Slot(secret_name(environment, owner, severity), owner, severity)
    name = integration_name(declared.project, environment, owner, severity)
    apply = f"tocsin oncall apply {environment}"
    held = read_secret(cloud, slot.secret)
    if held is None:
        raise InputError(
            f"the secret {slot.secret}, with the key of {name} in {tool.name}, is not there; run `{apply}`"
        )
    if not is_settled(cloud, tool, declared, environment, slot):
        raise InputError(f"the secret {slot.secret} does not hold the key of {name} in {tool.name}; run `{apply}`")
    if is_refused(held):
        raise InputError(
            f"{tool.name} refuses the key in the secret {slot.secret}: it is revoked, or {name} is switched off there; "
            f"switch that on, or run `{apply} --renew {owner}-{severity.value}`"
        )


def is_refused(held: str) -> bool:
    """Whether the tool says that it does not take the key, asked for what changes nothing.

    That is a message that has no type and tells nothing, where SNS posts to, and the end of an alert that there never is,
    where the forwarder does.  Every other answer is for the drill to find out about.
    """
    delivery = json.loads(held)
    address, authorization = urlsplit(delivery["endpoint"]), delivery.get("authorization") or ""
    refusals = [HTTPStatus.UNAUTHORIZED]
    if authorization:
        path, query = f"{address.path}/{_NO_ALERT}/close", {"identifierType": "alias"}
        refusals.append(HTTPStatus.FORBIDDEN)
    elif address.path.endswith(_CLOUDWATCH):
        path, query = address.path, dict(parse_qsl(address.query))
    else:
        return False
    headers = {"Authorization": authorization} if authorization else {}
    try:
        Rest(
            f"{address.scheme}://{address.netloc}",
            headers,
            secrets=query.values(),
            attempts=1,
            patience=5.0,
            whole=10.0,
        ).request("POST", path, {}, query)
    except RestError as error:
        return error.status in refusals
    return False
