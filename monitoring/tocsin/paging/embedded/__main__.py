"""``python -m tocsin.paging.embedded``: run the embedded on-call server in the foreground; see --help."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

from ...errors import PagingError
from .serve import embedded_oncall


def main(arguments: Sequence[str]) -> int:
    """Parse, serve, exit code: 0 when told to stop, 2 when it could not start."""
    parser = argparse.ArgumentParser(
        prog="python -m tocsin.paging.embedded", description="An on-call tool on this machine, which wakes nobody."
    )
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--user", action="append", default=[], metavar="ADDRESS", help="a user it knows; repeatable")
    parser.add_argument(
        "--certificates-from", default="", metavar="URL", help="embedded AWS whose signatures to verify"
    )
    given = parser.parse_args(arguments)
    told = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: told.set())
    try:
        with embedded_oncall(port=given.port, users=given.user, certificates_from=given.certificates_from) as oncall:
            # The key is of this process alone and ends with it.
            sys.stdout.write(f"on-call tool at {oncall.url}\nexport OPSGENIE_API_KEY={oncall.key}\n")
            sys.stdout.flush()
            told.wait()
    except PagingError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
