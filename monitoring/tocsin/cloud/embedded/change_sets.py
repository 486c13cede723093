"""Change sets show the parameters that a template wants unseen (NoEcho) as ``****``, as stacks do."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HIDDEN = "****"


def install() -> None:
    """Put ours before ministack's DescribeChangeSet."""
    change_sets = import_module("ministack.services.cloudformation.changesets")
    handlers = import_module("ministack.services.cloudformation.handlers")
    describe = change_sets._describe_change_set

    def describe_change_set(params: Any) -> Any:
        _, record = change_sets._find_change_set(
            change_sets._p(params, "ChangeSetName"), change_sets._p(params, "StackName")
        )
        if not record:
            return describe(params)
        kept = record.get("Parameters", [])
        # The record is what an execution works with, so it is hidden for this answer only.
        unseen = {name for name, each in record["_resolved_params"].items() if each.get("NoEcho")}
        record["Parameters"] = [
            {**each, "ParameterValue": _HIDDEN} if each["ParameterKey"] in unseen else each for each in kept
        ]
        try:
            return describe(params)
        finally:
            record["Parameters"] = kept

    handlers._ACTION_HANDLERS["DescribeChangeSet"] = describe_change_set
