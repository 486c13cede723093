"""What tests of drills work with: the shop, deployed and on call, its runbooks, and one of its alarms."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from oncall_tools import as_caller, cloud_of, deploy_watched, shop, succeed

from tocsin.cloud.embedded import EmbeddedAws
from tocsin.cloud.session import Cloud
from tocsin.paging.embedded import EmbeddedOnCall

PAGE, OTHER = "dev-shop-orders-complete-page", "dev-shop-orders-fresh-page"
CLOUDWATCH = "/v1/json/cloudwatch"
_KEPT = ("AlarmName", "AlarmDescription", "AlarmRule", "AlarmActions", "OKActions", "ActionsEnabled")


class Runbooks(BaseHTTPRequestHandler):
    """Where the runbooks are: all of them, but those in ``gone``."""

    gone: set[str] = set()  # noqa: RUF012
    asked: Callable[[], None] | None = None

    def do_GET(self) -> None:
        if self.asked is not None:
            type(self).asked()  # type: ignore[misc]  # a plain function of the class
        status = 404 if self.path.rpartition("/")[2] in self.gone else 200
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@contextmanager
def runbooks_served() -> Iterator[str]:
    """Where they are, for the length of the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Runbooks)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/runbooks"
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def staged(folder: Path, aws: EmbeddedAws, pager: EmbeddedOnCall, runbooks: str) -> Iterator[Path]:
    """The shop, deployed and on call, for the account's root."""
    deploy_watched(cloud_of(aws), aws)
    shop(folder, aws, pager.url, runbooks=runbooks)
    with pytest.MonkeyPatch.context() as patch, as_caller(aws):
        patch.chdir(folder)
        patch.setenv("OPSGENIE_API_KEY", pager.key)
        for arguments in (("build",), ("oncall", "apply", "dev"), ("deploy", "dev")):
            succeed(*arguments)
        yield folder


@contextmanager
def kept(cloud: Cloud) -> Iterator[None]:
    """The alarm as it was after the block, and in OK."""
    record = composite(cloud)
    yield
    cloud.client("cloudwatch").put_composite_alarm(**{name: record[name] for name in _KEPT})
    set_state(cloud, "OK")


def composite(cloud: Cloud, name: str = PAGE) -> dict[str, Any]:
    return cloud.client("cloudwatch").describe_alarms(AlarmNames=[name], AlarmTypes=["CompositeAlarm"])[
        "CompositeAlarms"
    ][0]


def set_state(cloud: Cloud, state: str, reason: str = "test", name: str = PAGE) -> None:
    cloud.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason=reason)


def change(cloud: Cloud, **changed: Any) -> None:
    """The alarm with something changed by hand."""
    record = composite(cloud)
    cloud.client("cloudwatch").put_composite_alarm(**{**{name: record[name] for name in _KEPT}, **changed})


def raised(pager: EmbeddedOnCall) -> list[Any]:
    return list(pager.state.alerts)


def quiet(cloud: Cloud, pager: EmbeddedOnCall, seconds: float = 20) -> bool:
    """The alarm is back and its alert closed; what is under way is given a moment."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if composite(cloud)["StateValue"] == "OK" and PAGE not in pager.open_alerts():
            return True
        time.sleep(0.05)
    return False
