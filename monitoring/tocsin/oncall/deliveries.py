"""The secrets that hold where topics and the dead-man's switch post to: which are wanted, written, and let go.

Some tools tell the key of an integration once, when it is made.  So it goes into its secret at once, and only then is the
integration switched on; a key that was lost on the way is made anew.  So is one whose secret holds the address of
another tool, or of another region: the team has moved, and the old key is of no use here.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, fields, replace

from ..cloud.secrets import read_secret, remove_secret, write_secret
from ..cloud.session import Cloud, asking
from ..errors import InputError, nearest
from ..model import Severity
from ..paging.declared import OnCall, Way
from ..paging.tool import Delivery, KeyNotToldError, OnCallTool, heartbeat_secret_name, integration_name, secret_name

_TO_TOOL = (Way.TOOL, Way.FORWARDER)
_TAG = "tocsin-project"


@dataclass(frozen=True, slots=True)
class Slot:
    """One secret: that of an owner's notifications of one severity, or of the dead-man's switch (``owner`` is empty)."""

    secret: str
    owner: str = ""
    severity: Severity = Severity.PAGE
    direct: bool = False  # the topic itself posts there

    def integration(self, project: str, environment: str) -> str:
        """What it is called in the tool; empty for the dead-man's switch."""
        return integration_name(project, environment, self.owner, self.severity) if self.owner else ""

    @property
    def name(self) -> str:
        """``OWNER-SEVERITY``, or ``heartbeat``."""
        return self.secret.rpartition("/")[2]


def wanted_slots(declared: OnCall, environment: str) -> tuple[Slot, ...]:
    """The secrets there should be, by name."""
    slots = [
        Slot(secret_name(environment, owner, severity), owner, severity, Way.TOOL in route.ways)
        for team in declared.teams
        for owner in team.owners
        for severity, route in team.routes.items()
        if any(way in route.ways for way in _TO_TOOL)
    ]
    if declared.heartbeat is not None:
        slots.append(Slot(heartbeat_secret_name(environment)))
    return tuple(sorted(slots, key=lambda slot: slot.secret))


def refuse_unrouted(declared: OnCall, slots: Collection[Slot], routed: Collection[str], routing: str) -> None:
    """Raise InputError for a topic that goes to the tool, but not in the committed routing.

    ``routed`` are the secrets that the routing, the file ``routing``, reads.
    """
    for slot in slots:
        if slot.direct and slot.secret not in routed:
            raise InputError(
                f"{routing}: the {slot.severity.value}s of {slot.owner} do not go to {declared.tool.name.value} there, "
                f"as {declared.path} says they do; run `tocsin build`, and commit what it writes"
            )


def forwarded(declared: OnCall) -> tuple[tuple[str, Severity], ...]:
    """Owner and severity of the routes that go through the forwarder."""
    return tuple(
        (owner, severity)
        for team in declared.teams
        for owner in team.owners
        for severity, route in team.routes.items()
        if Way.FORWARDER in route.ways
    )


def is_settled(cloud: Cloud, tool: OnCallTool, declared: OnCall, environment: str, slot: Slot) -> bool:
    """Whether the secret holds what it should.  For an integration that is there.  Raises CloudError and PagingError."""
    held = read_secret(cloud, slot.secret)
    try:
        delivery = _delivery(tool, declared, environment, slot)
    except KeyNotToldError as untold:
        return untold.is_of(_read(held))
    return delivery is None or _is_same(delivery, held)


def named_slots(names: Collection[str], slots: Collection[Slot], tool: OnCallTool) -> tuple[Slot, ...]:
    """The slots of those names, whose keys can be replaced.  Raises InputError."""
    known = {slot.name: slot for slot in slots}
    found = []
    for name in sorted(names):
        slot = known.get(name)
        if slot is None:
            raise InputError(f"--renew {name}: there is no such key; {nearest(name, known)}")
        if not (tool.renews if slot.owner else tool.renews_heartbeat):
            raise InputError(
                f"--renew {name}: {tool.name} has no key of its own for it but the one that tool.key names; put a new one "
                "there, and run apply without --renew"
            )
        found.append(slot)
    return tuple(found)


def settle(
    cloud: Cloud, tool: OnCallTool, declared: OnCall, environment: str, slot: Slot, *, renew: bool = False
) -> bool:
    """Make the secret hold what it should, then let the tool switch on what posts there; whether anything was written.

    ``renew``: with another key than the present one.  Raises CloudError and PagingError.
    """
    held = read_secret(cloud, slot.secret)
    try:
        delivery = (
            _renewed(tool, declared, environment, slot) if renew else _delivery(tool, declared, environment, slot)
        )
    except KeyNotToldError as untold:
        if untold.is_of(_read(held)):
            return False
        delivery = _renewed(tool, declared, environment, slot)
    if delivery is None:
        return False
    changed = not _is_same(delivery, held)
    if changed:
        write_secret(cloud, slot.secret, _text(delivery), {_TAG: declared.project})
    if slot.owner:
        tool.delivered(declared, environment, slot.owner, slot.severity)
    else:
        tool.heartbeat_delivered(declared, environment)
    return changed


def outdated_secrets(cloud: Cloud, declared: OnCall, environment: str, slots: Collection[Slot]) -> tuple[str, ...]:
    """Secrets of this project in this environment that no route wants any more, by name.  Raises CloudError."""
    wanted = {slot.secret for slot in slots}
    return tuple(sorted(name for name in _ours(cloud, declared, environment) if name not in wanted))


def let_go(cloud: Cloud, secret: str) -> None:
    """Remove a secret that no route wants any more.  Raises CloudError."""
    remove_secret(cloud, secret)


def _ours(cloud: Cloud, declared: OnCall, environment: str) -> Iterator[str]:
    prefix = f"tocsin/{environment}/on-call/"
    with asking("list the secrets of the on-call"):
        pages = cloud.client("secretsmanager").get_paginator("list_secrets")
        for page in pages.paginate(Filters=[{"Key": "name", "Values": [prefix]}]):
            for one in page["SecretList"]:
                tags = {tag["Key"]: tag["Value"] for tag in one.get("Tags") or ()}
                # A filter by name ignores case.
                if one["Name"].startswith(prefix) and tags.get(_TAG) == declared.project and "DeletedDate" not in one:
                    yield str(one["Name"])


def _delivery(tool: OnCallTool, declared: OnCall, environment: str, slot: Slot) -> Delivery | None:
    if not slot.owner:
        return tool.heartbeat(declared, environment)
    return tool.delivery(declared, environment, slot.owner, slot.severity)


def _renewed(tool: OnCallTool, declared: OnCall, environment: str, slot: Slot) -> Delivery | None:
    if not slot.owner:
        return tool.renew_heartbeat(declared, environment)
    return tool.renew(declared, environment, slot.owner, slot.severity)


def _read(held: str | None) -> Delivery:
    """What a secret holds; a Delivery to nowhere where it holds none, such as one that people wrote."""
    try:
        tree = json.loads(held or "{}")
    except ValueError:
        return Delivery("")
    named = {field.name: tree.get(field.name) for field in fields(Delivery)} if isinstance(tree, dict) else {}
    return Delivery(
        **{name: value if isinstance(value, str) else "" for name, value in {"endpoint": "", **named}.items()}
    )


def _is_same(delivery: Delivery, held: str | None) -> bool:
    """Whether a secret holds that already.  One from before the integration's id was kept is left as it is: written
    again, it would be another version of the same address, which SNS takes for the subscription that is to go."""
    return _read(held) in (delivery, replace(delivery, integration=""))


def _text(delivery: Delivery) -> str:
    return json.dumps(asdict(delivery), sort_keys=True)
