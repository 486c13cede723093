"""``python -m tocsin.cloud.embedded``: run the embedded AWS in the foreground; see --help."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from ...errors import TocsinError
from .server import Options, serve


def main(arguments: list[str]) -> int:
    """Parse, serve, exit code: 0 when told to stop, 2 when it could not start."""
    parser = argparse.ArgumentParser(prog="python -m tocsin.cloud.embedded", description="An AWS on this machine.")
    parser.add_argument("--directory", type=Path, help="where state and databases live (default: a temporary one)")
    parser.add_argument("--region", default="eu-west-1")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--tls-port", type=int, default=0, help="port for https on 127.0.0.1 (default: a free one)")
    parser.add_argument("--clock-factor", type=float, default=1.0, help="simulated seconds per real second")
    parser.add_argument("--clock-start", type=datetime.fromisoformat, help="when its time begins (default: now)")
    parser.add_argument("--no-gauges", action="store_true", help="sample no queue and no database each minute")
    parser.add_argument("--iam", action="store_true", help="check every call against the caller's policies")
    parser.add_argument("--until-stdin-closes", action="store_true", help="stop when standard input ends")
    parser.add_argument("--ready-line", action="store_true", help="write one JSON line when ready")
    given = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="tocsin-aws-") if given.directory is None else _kept(given.directory) as path
    ):
        options = Options(
            directory=Path(path).resolve(),
            region=given.region,
            port=given.port,
            tls_port=given.tls_port,
            clock_factor=given.clock_factor,
            clock_start=given.clock_start,
            gauges=not given.no_gauges,
            enforce_iam=given.iam,
            until_stdin_closes=given.until_stdin_closes,
            ready_line=given.ready_line or not given.until_stdin_closes,
        )
        try:
            serve(options)
        except TocsinError as error:
            sys.stderr.write(f"{error}\n")
            return 2
    # Handlers may still be running in ministack's threads; their processes end with their standard input.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


class _kept:  # noqa: N801  # stands beside TemporaryDirectory
    """A directory that stays."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._path = path

    def __enter__(self) -> str:
        return str(self._path)

    def __exit__(self, *_: object) -> None:
        """Leave the directory where it is."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
