"""One stack, changed by a CloudFormation change set: what would change, the change itself, and why it was rolled back."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import CloudError
from .artifacts import template_argument
from .differences import ResourceChange, TemplatePair, read_changes, template_pair
from .session import Cloud, asking, error_code
from .stacks import (
    Readiness,
    Stack,
    StackEvent,
    events_since,
    explain_failure,
    find_stack,
    last_event,
    readiness,
    refuse_blocked,
)

Progress = Callable[[StackEvent], None]

_NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
# What is said of a change set that was right until another one was carried out.
_OVERTAKEN = (
    "ChangeSetNotFound",
    "ChangeSetNotFoundException",
    "InvalidChangeSetStatus",
    "InvalidChangeSetStatusException",
)
_FIRST_PAUSE, _LONGEST_PAUSE, _PAUSE_GROWTH = 0.05, 3.0, 1.5
PATIENCE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class StackRequest:
    """A stack as it should be.

    ``source`` names the template in errors.  ``kept`` are the parameters that keep the value they have in the stack,
    ``secrets`` those whose value must not be shown.  ``places`` says where a value was stated, by parameter.  ``role`` is the ARN of the role CloudFormation acts as; None is
    the caller's own permissions, or the role the stack already has.
    """

    stack: str
    template: str
    source: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()
    secrets: frozenset[str] = frozenset()
    capabilities: tuple[str, ...] = ()
    artifacts_bucket: str | None = None
    role: str | None = None
    places: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """What has to change for a stack to be as requested; nothing if ``changes`` is empty and ``creates`` False.

    ``id`` is None when there is nothing to execute.  ``shell`` is True when asking made an empty stack, which
    ``discard`` takes away again, as ``role``.
    """

    stack: str
    id: str | None
    creates: bool
    changes: tuple[ResourceChange, ...]
    shell: bool = False
    role: str | None = None

    @property
    def unchanged(self) -> bool:
        """Whether the stack already is as requested."""
        return self.id is None


def create_change_set(cloud: Cloud, request: StackRequest) -> ChangeSet:
    """Let CloudFormation work out what would change.  Nothing does until ``execute``; see also ``discard``.

    Raises CloudError for a stack that cannot be changed now, and for a template CloudFormation refuses.  A stack whose
    creation was rolled back must be taken away first, with ``remove_stack``.
    """
    stack = find_stack(cloud, request.stack)
    refuse_blocked(cloud, stack)
    creates = readiness(stack) is not Readiness.UPDATE
    name = f"tocsin-{uuid.uuid4().hex[:16]}"
    cloudformation = cloud.client("cloudformation")
    body = template_argument(cloud, request.template, request.source, request.artifacts_bucket)
    if request.role is not None:
        body["RoleARN"] = request.role
    with (
        _telling_of_others(cloud, request.stack, creates),
        _naming_places(request),
        asking(f"plan stack {request.stack} from {request.source}"),
    ):
        made = cloudformation.create_change_set(
            StackName=request.stack,
            ChangeSetName=name,
            ChangeSetType="CREATE" if creates else "UPDATE",
            Parameters=_parameters(request),
            Capabilities=list(request.capabilities),
            **body,
        )
    change_set = ChangeSet(request.stack, made["Id"], creates, (), shell=stack is None, role=request.role)
    try:
        with _telling_of_others(cloud, request.stack, creates):
            status, reason, described = _wait_for_change_set(cloud, request.stack, made["Id"])
    except BaseException:
        discard(cloud, change_set)
        raise
    if status == "FAILED":
        discard(cloud, change_set)
        if any(text in reason for text in _NO_CHANGES):
            return ChangeSet(request.stack, None, creates=False, changes=())
        with _naming_places(request):
            raise CloudError(" ".join(f"cannot plan stack {request.stack} from {request.source}: {reason}".split()))
    changes = read_changes(described, _templates(cloud, stack, request), _secrets(request))
    return replace(change_set, changes=changes)


def discard(cloud: Cloud, change_set: ChangeSet) -> None:
    """Delete a change set that is not to be executed, and the empty stack it made.  Raises CloudError."""
    if change_set.id is None:
        return
    cloudformation = cloud.client("cloudformation")
    with asking(f"delete the change set of stack {change_set.stack}"):
        try:
            cloudformation.delete_change_set(StackName=change_set.stack, ChangeSetName=change_set.id)
        except Exception as error:
            if error_code(error) not in ("ChangeSetNotFound", "ChangeSetNotFoundException"):
                raise
    if change_set.shell:
        stack = find_stack(cloud, change_set.stack)
        if stack is not None and stack.status == "REVIEW_IN_PROGRESS":
            remove_stack(cloud, stack, role=change_set.role)


def execute(
    cloud: Cloud,
    change_set: ChangeSet,
    progress: Progress = lambda event: None,
    *,
    patience: float = PATIENCE_SECONDS,
) -> Stack:
    """Carry a change set out and wait for the end; ``progress`` hears of every step.  Returns the stack as it is then.

    Raises CloudError with the causes when CloudFormation rolls back, and when ``patience`` (seconds) runs out.
    """
    if change_set.id is None:
        stack = find_stack(cloud, change_set.stack)
        if stack is None:
            raise CloudError(f"stack {change_set.stack} has been deleted meanwhile; deploy again")
        return stack
    seen = last_event(cloud, change_set.stack)
    try:
        with (
            _telling_of_others(cloud, change_set.stack, change_set.creates),
            asking(f"change stack {change_set.stack}"),
        ):
            if change_set.creates and readiness(find_stack(cloud, change_set.stack)) is not Readiness.CREATE:
                raise _other_deployment(change_set.stack)
            cloud.client("cloudformation").execute_change_set(StackName=change_set.stack, ChangeSetName=change_set.id)
    except CloudError:
        with suppress(CloudError):  # why it cannot be carried out is what matters
            discard(cloud, change_set)
        raise
    stack, events = _wait_for_stack(cloud, change_set.stack, seen, progress, patience)
    if stack is None:
        raise CloudError(f"stack {change_set.stack} was deleted while it was being changed; deploy again")
    if stack.status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        causes = explain_failure(events) or stack.reason or stack.status
        left = "nothing of it is in service" if change_set.creates else "it is as it was before"
        if not stack.status.endswith("_COMPLETE"):
            left = f"it is now {stack.status}"
        raise CloudError(" ".join(f"stack {change_set.stack} was rolled back, {left}: {causes}".split()))
    return stack


def remove_stack(
    cloud: Cloud, stack: Stack, progress: Progress = lambda event: None, *, role: str | None = None
) -> None:
    """Delete a stack, CloudFormation acting as ``role``, and wait until it is gone.

    Raises CloudError with the causes if it cannot be.
    """
    seen = last_event(cloud, stack.id)
    with asking(f"delete stack {stack.name}"):
        cloud.client("cloudformation").delete_stack(StackName=stack.id, **({} if role is None else {"RoleARN": role}))
    left, events = _wait_for_stack(cloud, stack.id, seen, progress, PATIENCE_SECONDS)
    if left is not None:
        causes = explain_failure(events) or left.reason or left.status
        raise CloudError(f"stack {stack.name} could not be deleted: {causes}")


def _wait_for_stack(
    cloud: Cloud, name: str, seen: str | None, progress: Progress, patience: float
) -> tuple[Stack | None, tuple[StackEvent, ...]]:
    """The stack once nothing is in progress any more, None once it is deleted, and the events on the way."""
    events: list[StackEvent] = []
    for pause in _pauses(patience):
        # First the state, then the events: so the last events are never missed.
        stack = find_stack(cloud, name)
        if stack is None:
            return None, tuple(events)
        for event in events_since(cloud, stack.id, seen):
            seen = event.id
            events.append(event)
            progress(event)
        if not stack.status.endswith("_IN_PROGRESS"):
            return stack, tuple(events)
        time.sleep(pause)
    raise CloudError(f"stack {name} is still being changed after {patience:.0f} s; look at it in CloudFormation")


def _wait_for_change_set(cloud: Cloud, stack: str, change_set: str) -> tuple[str, str, tuple[Mapping[str, Any], ...]]:
    """Status, reason and changes of a change set that has been worked out."""
    cloudformation = cloud.client("cloudformation")
    # The stack's name is not needed, but permissions are given by it.
    names = {"StackName": stack, "ChangeSetName": change_set}
    for pause in _pauses(PATIENCE_SECONDS):
        with asking("read the change set"):
            described = cloudformation.describe_change_set(**names, IncludePropertyValues=True)
            if described["Status"] in ("CREATE_COMPLETE", "FAILED"):
                changes = list(described.get("Changes") or ())
                while token := described.get("NextToken"):
                    described = cloudformation.describe_change_set(**names, IncludePropertyValues=True, NextToken=token)
                    changes += described.get("Changes") or ()
                found = tuple(item["ResourceChange"] for item in changes if "ResourceChange" in item)
                return described["Status"], described.get("StatusReason") or "", found
        time.sleep(pause)
    raise CloudError("CloudFormation has not worked out the change set within an hour; try again")


def _pauses(patience: float) -> Iterator[float]:
    """Seconds to sleep between two looks: short at first, for a stand-in is quick, and never over the patience."""
    deadline = time.monotonic() + patience
    pause = _FIRST_PAUSE
    while (left := deadline - time.monotonic()) > 0:
        yield min(pause, left)
        pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE)


def _templates(cloud: Cloud, stack: Stack | None, request: StackRequest) -> TemplatePair:
    if readiness(stack) is not Readiness.UPDATE:
        return TemplatePair({}, {})
    with asking(f"read the template of stack {request.stack}"):
        body = cloud.client("cloudformation").get_template(StackName=request.stack)["TemplateBody"]
    return template_pair(body if isinstance(body, str) else json.dumps(body), request.template)


@contextmanager
def _telling_of_others(cloud: Cloud, name: str, creates: bool) -> Iterator[None]:
    """Say so where another deployment of the same stack came before; what CloudFormation says then names its own states.

    ``creates``: there was nothing in service when this one began.
    """
    try:
        yield
    except CloudError as error:
        now = readiness(find_stack(cloud, name))
        overtaken = isinstance(error.__cause__, Exception) and error_code(error.__cause__) in _OVERTAKEN
        if overtaken or now is Readiness.BUSY or (creates and now is Readiness.UPDATE):
            raise _other_deployment(name) from error
        raise


def _other_deployment(name: str) -> CloudError:
    return CloudError(f"another deployment of stack {name} is running; run it again when that one is through")


@contextmanager
def _naming_places(request: StackRequest) -> Iterator[None]:
    """Add to an error about parameters where their values were stated."""
    try:
        yield
    except CloudError as error:
        words = re.findall(r"\w+", str(error))
        if places := [place for name, place in sorted(request.places.items()) if name in words]:
            raise CloudError(f"{error}; see {', '.join(places)}") from error
        raise


def _secrets(request: StackRequest) -> frozenset[str]:
    """Texts that must not be shown: the names of secret parameters, and their values."""
    values = (request.parameters.get(name) for name in request.secrets)
    return request.secrets.union(value for value in values if value)


def _parameters(request: StackRequest) -> list[dict[str, Any]]:
    given: list[dict[str, Any]] = [
        {"ParameterKey": name, "ParameterValue": value} for name, value in sorted(request.parameters.items())
    ]
    return given + [{"ParameterKey": name, "UsePreviousValue": True} for name in sorted(request.kept)]
