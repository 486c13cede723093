"""A discovered stack as the mapping that ``tocsin discover --json`` prints."""

from __future__ import annotations

from typing import Any

from ..model import Stack


def as_json(stack: Stack) -> dict[str, Any]:
    """``resources`` and ``unwatched``, each sorted by logical id."""
    return {
        "resources": [
            {
                "type": resource.type,
                "logical_id": resource.logical_id,
                "name": resource.name,
                "conditional": resource.conditional,
                "role": resource.role,
            }
            for resource in sorted(stack.resources, key=lambda resource: resource.logical_id)
        ],
        "unwatched": [
            {"type": unwatched.type, "logical_id": unwatched.logical_id, "reason": unwatched.reason}
            for unwatched in sorted(stack.unwatched, key=lambda unwatched: unwatched.logical_id)
        ],
    }
