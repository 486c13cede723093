"""Opsgenie: teams, schedules, escalations, integrations, heartbeats and alerts."""

from __future__ import annotations

from .adapter import ADDRESSES, Opsgenie

__all__ = ["ADDRESSES", "Opsgenie"]
