"""Mailbox: the e-mail that SNS would have sent, kept for whoever wants to read it; nothing leaves this machine.

A subscription by e-mail waits for the click on its link, as at AWS; with ``confirms`` it is confirmed at once.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Mailbox:
    """Every mail in the order it was sent: ``to``, ``kind`` (confirmation or notification), ``subject``, ``body`` …"""

    confirms: bool = False
    _mails: list[Mapping[str, Any]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, mail: Mapping[str, Any]) -> None:
        """Keep one mail."""
        with self._lock:
            self._mails.append(mail)

    def view(self) -> list[Mapping[str, Any]]:
        """All mails so far."""
        with self._lock:
            return list(self._mails)
