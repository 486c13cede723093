"""PagerDuty: schedules, escalation policies, services and incidents."""

from __future__ import annotations

from .adapter import ADDRESSES, PagerDuty

__all__ = ["ADDRESSES", "PagerDuty"]
