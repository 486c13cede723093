"""Parts: what the additions to the emulator share while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .clock import Clock
from .recorder import Recorder
from .signing import Signer


@dataclass(frozen=True, slots=True)
class Parts:
    """The clock, the recorded metrics, the SNS key, the state directory and the endpoint's own address."""

    clock: Clock
    recorder: Recorder
    signer: Signer
    directory: Path
    endpoint: str
