"""One notification of AWS that arrived."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Told:
    """Which alarm went into which state, by CloudWatch's clock (``changed_at``) and by SNS's (``sent_at``).

    ``severity`` is what the alarm's description says, ``integration`` the name of the one it came in by.
    """

    severity: str
    alarm: str
    state: str
    reason: str
    description: str
    changed_at: datetime
    sent_at: datetime
    integration: str = ""
