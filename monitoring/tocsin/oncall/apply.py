"""Brings the on-call of an environment to what ``deploy/oncall.toml`` says: the tool, the keys, the way of a page.

The order keeps every page's way whole, and a run that is cut off at any point is taken up by the next: the tool gets what
is new, its keys go into secrets, the routing stack subscribes with them, and only then goes what is no longer wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from ..cloud.committed import Committed, read_routing
from ..cloud.deploy import DeployEvent, StackPlan, Work, deploy_routing, plan_routing
from ..cloud.stacks import find_stack
from ..errors import InputError
from ..paging.changes import find_changes
from ..paging.tool import Action, Change, Kind
from .deliveries import (
    Slot,
    forwarded,
    is_settled,
    let_go,
    named_slots,
    outdated_secrets,
    refuse_unrouted,
    settle,
    wanted_slots,
)
from .opening import Opened
from .reach import (
    Open,
    Patience,
    open_points,
    patience_for,
    promises,
    topics_of,
    wait_for_confirmations,
    wait_for_heartbeat,
)
from .senders import FORWARDER, FORWARDER_STACK


@dataclass(frozen=True, slots=True)
class OnCallPlan:
    """What is to be done: ``changes`` in the tool, ``keys`` to be written into secrets, ``stack`` of the routing, and
    ``outdated`` secrets to be let go.  ``renewed`` are those of the keys that are there and to be replaced.

    ``open`` is what stands in the way of pages now, whatever is to be done.
    """

    environment: str
    tool: str
    changes: tuple[Change, ...]
    slots: tuple[Slot, ...] = field(repr=False)
    keys: tuple[Slot, ...]
    stack: StackPlan
    outdated: tuple[str, ...]
    renewed: tuple[Slot, ...] = ()
    open: tuple[Open, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether everything is as declared."""
        return not (self.changes or self.keys or self.outdated) and self.stack.work is Work.NOTHING

    @property
    def made(self) -> tuple[Change, ...]:
        """What is created and changed."""
        return tuple(change for change in self.changes if change.action is not Action.DELETE)

    @property
    def gone(self) -> tuple[Change, ...]:
        """What is deleted."""
        return tuple(change for change in self.changes if change.action is Action.DELETE)


@dataclass(frozen=True, slots=True)
class Step:
    """One step that is done; ``change`` is None for one that is not in the tool.  ``what`` is in words."""

    number: int
    of: int
    what: str
    change: Change | None = None


def plan_oncall(
    opened: Opened, committed: Committed, adopt: Collection[str] = frozenset(), renew: Collection[str] = frozenset()
) -> OnCallPlan:
    """What `apply_oncall` would do; changes nothing.

    ``renew`` names keys that are to be replaced, ``OWNER-SEVERITY`` or ``heartbeat``.  Raises InputError, CloudError and
    PagingError.
    """
    declared, environment, tool = opened.declared, opened.environment, opened.tool
    slots = wanted_slots(declared, environment.name)
    routing = read_routing(committed)
    routed = {
        name.replace("${Environment}", environment.name).replace("{Environment}", environment.name)
        for name in routing.secrets.values()
    }
    refuse_unrouted(declared, slots, routed, routing.path)
    named = named_slots(renew, slots, tool)
    tool.check(declared, environment.name)
    changes = find_changes(
        tool.wanted(declared, environment.name), tool.present(declared, environment.name), frozenset(adopt)
    )
    fresh = {change.name for change in changes if change.kind is Kind.INTEGRATION and _has_new_key(change)}
    anew = tuple(
        slot
        for slot in slots
        if slot.integration(declared.project, environment.name) in fresh
        or _heartbeat_is_fresh(slot, fresh, declared.project, environment.name)
        or not is_settled(opened.cloud, tool, declared, environment.name, slot)
    )
    keys = tuple(slot for slot in slots if slot in anew or slot in named)
    outdated = outdated_secrets(opened.cloud, declared, environment.name, slots)
    stack = plan_routing(environment, committed, parameters=_forwarder(opened))
    topics = topics_of(find_stack(opened.cloud, environment.routing_stack))
    deployed = bool(topics) and stack.work is Work.NOTHING and not keys
    points = open_points(opened.cloud, tool, declared, environment, topics, deployed=deployed)
    # A key that is made in this run needs no other one.
    renewed = tuple(slot for slot in named if slot not in anew)
    return OnCallPlan(environment.name, tool.name, changes, slots, keys, stack, outdated, renewed, points)


def apply_oncall(
    opened: Opened,
    committed: Committed,
    plan: OnCallPlan,
    *,
    confirmed: bool = False,
    progress: Callable[[Step], None] = lambda step: None,
    deployed: Callable[[DeployEvent], None] = lambda event: None,
    told: Callable[[str], None] = lambda what: None,
    patience: Patience | None = None,
) -> tuple[Open, ...]:
    """Do what ``plan`` says, and wait until the tool has confirmed what subscribes it; what still stands in the way.

    ``told`` hears what is waited for.  Raises InputError for a protected environment that is not confirmed, CloudError and
    PagingError.
    """
    declared, environment, tool, cloud = opened.declared, opened.environment, opened.tool, opened.cloud
    if environment.protected and not confirmed:
        raise InputError(f"environment {environment.name} is protected: look at the plan, then confirm it")
    of = (
        len(plan.changes)
        + len(plan.keys)
        + len(plan.outdated)
        + (plan.stack.work is not Work.NOTHING or bool(plan.keys))
    )
    number = 0

    def did(what: str, change: Change | None = None) -> None:
        nonlocal number
        number += 1
        progress(Step(number, max(of, number), what, change))

    slots = {slot.integration(declared.project, environment.name): slot for slot in plan.slots if slot.owner}
    settled: set[str] = set()
    for change in plan.made:
        tool.apply(change, declared, environment.name)
        did(f"{change.kind.value} {change.name}", change)
        slot = slots.get(change.name) if change.kind is Kind.INTEGRATION else None
        if slot is not None:  # at once: a key that is told once must not be lost
            settled.add(slot.secret)
            if settle(cloud, tool, declared, environment.name, slot):
                did(f"key into secret {slot.secret}")
    for slot in plan.slots:
        if slot.secret not in settled and settle(
            cloud, tool, declared, environment.name, slot, renew=slot in plan.renewed
        ):
            did(f"key into secret {slot.secret}")
    outcome = deploy_routing(environment, committed, parameters=_forwarder(opened), confirmed=True, progress=deployed)
    if outcome.work is not Work.NOTHING:
        did(f"stack {outcome.stack}")
    waits = patience or patience_for(environment)
    if outcome.work is Work.NOTHING:  # what is pending has been so since an earlier run
        waits = replace(waits, confirmation=0.0)
    topics = topics_of(outcome.outputs)
    wait_for_confirmations(cloud, topics, promises(declared, environment), waits, told)
    for change in plan.gone:
        tool.apply(change, declared, environment.name)
        did(f"{change.kind.value} {change.name}", change)
    for secret in plan.outdated:
        let_go(cloud, secret)
        did(f"secret {secret}")
    wait_for_heartbeat(tool, declared, environment.name, waits, told)
    return open_points(cloud, tool, declared, environment, topics, alive=waits.sign_of_life is not None)


def _forwarder(opened: Opened) -> Mapping[str, str]:
    """The forwarder's queue as a parameter of the routing, if a route needs it.  Raises InputError where there is none:
    its topic would be left without any subscription."""
    declared, environment = opened.declared, opened.environment
    routes = forwarded(declared)
    if not routes or environment.routing_parameters.get(FORWARDER):
        return {}
    stack = find_stack(opened.cloud, environment.other(FORWARDER_STACK).stack)
    if stack is not None and (queue := stack.outputs.get(FORWARDER)):
        return {FORWARDER: queue}
    owner, severity = routes[0]
    raise InputError(
        f"{declared.path}: the {severity.value}s of {owner} go through the forwarder, which {environment.name} does not have; "
        f"deploy it first (deploy/forwarder/README.md), or let them go by the tool"
    )


def _has_new_key(change: Change) -> bool:
    """A new integration; and one that is off, for its key was never written down."""
    return change.action is Action.CREATE or (
        change.action is Action.UPDATE and any(one.path == "enabled" for one in change.differences)
    )


def _heartbeat_is_fresh(slot: Slot, fresh: Collection[str], project: str, environment: str) -> bool:
    """The dead-man's switch may have an integration of its own, named otherwise than those of topics."""
    return not slot.owner and f"tocsin-{project}-{environment}-heartbeat" in fresh
