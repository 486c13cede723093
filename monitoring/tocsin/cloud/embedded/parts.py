"""Parts: what the additions to the emulator share while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .authority import Authority
from .clock import Clock
from .deliveries import Deliveries
from .mail import Mailbox
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
    """What is there once: clock, recorded metrics, SNS key, state directory, addresses, IAM switch, ways out."""

    clock: Clock
    recorder: Recorder
    signer: Signer
    directory: Path
    endpoint: str
    authority: Authority
    tls_endpoint: str
    enforce_iam: bool = False
    deliveries: Deliveries = field(default_factory=Deliveries)
    mailbox: Mailbox = field(default_factory=Mailbox)
