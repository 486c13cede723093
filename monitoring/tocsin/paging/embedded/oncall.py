"""The embedded on-call server as its user holds it: its address, its key, what arrived, and a hand on its faults."""

from __future__ import annotations

from datetime import datetime, timedelta

from ..sns_signature import REDRIVE_WINDOW
from ..tool import ToolAlert
from .faults import Fault
from .server import Listening
from .state import State, new_key
from .told import Told


class EmbeddedOnCall:
    """A running server.

    ``certificates_from`` is the address of the embedded AWS: when it is not empty, signatures are verified, and
    messages are accepted within ``window`` of ``state.clock``, each MessageId once.  The window is that of the redrive
    queue, so that what it replays is taken.  ``confirmed`` are the topics whose subscription was confirmed, ``refused``
    what was not believed, in one line each.
    """

    def __init__(self, listening: Listening, state: State, certificates_from: str = "") -> None:
        self.url = listening.url
        self.state = state
        self.certificates_from = certificates_from
        self.window: timedelta = REDRIVE_WINDOW
        self.received: list[Told] = []
        self.confirmed: set[str] = set()
        self.refused: list[str] = []
        self.certificates: dict[str, bytes] = {}
        self._listening = listening
        self._known: set[str] = set()

    @property
    def key(self) -> str:
        """The key that may do everything; a new one in ``state.key`` revokes it."""
        return self.state.key

    def alerts(self) -> tuple[ToolAlert, ...]:
        """All alerts, in the order in which they were raised."""
        with self.state.lock:
            return tuple(record.as_tool_alert() for record in self.state.alerts)

    def open_alerts(self) -> tuple[str, ...]:
        """The aliases of the alerts that are open, sorted."""
        return tuple(sorted(alert.alias for alert in self.alerts() if alert.open))

    def is_known(self, message_id: str) -> bool:
        """Whether a message was taken before; it is known from now on.  Hold the state's lock."""
        known = message_id in self._known
        self._known.add(message_id)
        return known

    def cloudwatch_address(self, name: str, priority: str = "P3", team: str = "") -> str:
        """Where a topic posts to: the address of the CloudWatch integration ``name``, which is made if there is none."""
        state = self.state
        with state.lock:
            found = state.integrations.named(name)
            if found is None:
                owner = state.teams.named(team)
                found = state.integrations.add(
                    {
                        "name": name,
                        "type": "CloudWatch",
                        "enabled": True,
                        "apiKey": new_key(),
                        "priority": priority,
                        **({"ownerTeam": {"id": owner["id"], "name": owner["name"]}} if owner else {}),
                    }
                )
            return f"{self.url}/v1/json/cloudwatch?apiKey={found['apiKey']}"

    def set_fault(self, fault: Fault | None) -> None:
        """Let the server fail in that way from now on; None: it is well again.  Not from within a request."""
        self._listening.set_fault(fault)

    def wait_for(self, alarm: str, state: str, after: datetime, seconds: float) -> Told | None:
        """The first notification that the alarm entered ``state`` at ``after`` or later; None if none comes in real ``seconds``."""
        with self.state.changed:
            self.state.changed.wait_for(lambda: self._told(alarm, state, after) is not None, seconds)
            return self._told(alarm, state, after)

    def _told(self, alarm: str, state: str, after: datetime) -> Told | None:
        for told in self.received:
            if (told.alarm, told.state) == (alarm, state) and told.changed_at >= after:
                return told
        return None
