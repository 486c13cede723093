"""The words that tell a drill from the real thing, wherever an alert is read, and one run of a drill from another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

#: Each drill's reason begins so; a drill that is to wake somebody goes on with a colon.
DRILL = "Drill by Tocsin"
#: A drill that is to wake nobody begins so.  The on-call tool routes an alert whose description holds it to nobody.
SILENT_DRILL = f"{DRILL}, nobody is to act"

_MOMENT = "%Y-%m-%dT%H:%M:%SZ"
_RUN = re.compile(r"\(run ([0-9]+)\.([0-9]+) on ([\w.-]+), over by ([0-9TZ:-]{20}) at the latest\)", re.ASCII)


@dataclass(frozen=True, slots=True)
class DrillRun:
    """Who forced an alarm: the ``number``th drill of a ``process`` of ``host``, which is over by ``ends`` (UTC)."""

    process: int
    number: int
    host: str
    ends: datetime

    @property
    def text(self) -> str:
        """As the reason says it."""
        return f"run {self.process}.{self.number} on {self.host}, over by {self.ends:{_MOMENT}} at the latest"


def drill_reason(because: str, *, page: bool, run: DrillRun | None = None) -> str:
    """The reason to force an alarm with: ``page`` is whether whoever is on call is to be woken by it."""
    return f"{DRILL if page else SILENT_DRILL}: {because}" + (f" ({run.text})" if run is not None else "")


def is_drill(text: str) -> bool:
    """Whether a reason or an alert's description is a drill's, whoever it wakes."""
    return DRILL in text


def is_silent_drill(text: str) -> bool:
    """Whether it is that of a drill that is to wake nobody."""
    return SILENT_DRILL in text


def run_of(text: str) -> DrillRun | None:
    """The run that a drill's reason, or the description of its alert, names; None where it names none."""
    found = _RUN.search(text)
    if not is_drill(text) or found is None:
        return None
    try:
        ends = datetime.strptime(found[4], _MOMENT).replace(tzinfo=UTC)
    except ValueError:
        return None
    return DrillRun(int(found[1]), int(found[2]), found[3], ends)
