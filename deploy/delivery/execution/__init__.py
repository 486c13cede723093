"""What CloudFormation may do in an environment: the actions for the resource types of our templates, by area.

Actions are those of the types' handlers (CloudFormation registry, ``aws cloudformation describe-type``).  Resources are
those whose name begins with the environment's, wherever a service names by what the stack is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deploy.functions import Statement

from . import data, functions, network, watching


def areas() -> Mapping[str, Sequence[Statement]]:
    """Managed policy -> its statements; a policy holds 6,144 characters, hence several."""
    return {
        "ExecutionNetwork": [*network.network(), *network.keys()],
        "ExecutionFunctions": [*functions.functions(), *functions.roles()],
        "ExecutionData": [*data.database(), *data.bucket(), *data.tables_and_queues(), *data.tasks()],
        "ExecutionAlarms": [*watching.logs(), *watching.events_and_api(), *watching.alarms()],
        "ExecutionOnCall": watching.on_call(),
    }
