"""An on-call tool that runs inside this machine: for a laptop, a demonstration and the tests; nothing the engine knows of.

It is a real HTTP server on 127.0.0.1 that speaks Opsgenie's API as far as Tocsin and the official SDK use it, takes SNS
notifications of CloudWatch alarms, and shows what arrived at ``/`` and ``/alerts``.  Other tools' dialects stand beside
it, a file each.

    with embedded_oncall(users=["engagement-primary@example.com"]) as oncall:
        print(oncall.url, oncall.key)
"""

from .faults import Fault
from .oncall import EmbeddedOnCall
from .routing_table import Refused, Request, Response, Route
from .serve import embedded_oncall
from .state import State
from .told import Told

__all__ = [
    "EmbeddedOnCall",
    "Fault",
    "Refused",
    "Request",
    "Response",
    "Route",
    "State",
    "Told",
    "embedded_oncall",
]
