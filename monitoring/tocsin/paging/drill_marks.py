"""The words that tell a drill from the real thing, wherever an alert is read."""

from __future__ import annotations

#: Each drill's reason begins so; a drill that is to wake somebody goes on with a colon.
DRILL = "Drill by Tocsin"
#: A drill that is to wake nobody begins so.  The on-call tool routes an alert whose description holds it to nobody.
SILENT_DRILL = f"{DRILL}, nobody is to act"


def drill_reason(because: str, *, page: bool) -> str:
    """The reason to force an alarm with: ``page`` is whether whoever is on call is to be woken by it."""
    return f"{DRILL if page else SILENT_DRILL}: {because}"


def is_drill(text: str) -> bool:
    """Whether a reason or an alert's description is a drill's, whoever it wakes."""
    return DRILL in text


def is_silent_drill(text: str) -> bool:
    """Whether it is that of a drill that is to wake nobody."""
    return SILENT_DRILL in text
