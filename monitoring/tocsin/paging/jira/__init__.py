"""Jira Service Management operations, the successor of Opsgenie."""

from __future__ import annotations

from .adapter import Jira

__all__ = ["Jira"]
