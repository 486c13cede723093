"""Parts: what the additions to the emulator share while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .authority import Authority
from .clock import Clock
from .recorder import Recorder
from .signing import Signer


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the server answers, without and with TLS, and who certifies it."""

    endpoint: str
    tls_endpoint: str
    authority: Authority


@dataclass(frozen=True, slots=True)
class Parts:
    """The clock, the recorded metrics, the SNS key, the state directory, the endpoint, its TLS side, the IAM switch."""

    clock: Clock
    recorder: Recorder
    signer: Signer
    directory: Path
    endpoint: str
    authority: Authority
    tls_endpoint: str
    enforce_iam: bool = False
