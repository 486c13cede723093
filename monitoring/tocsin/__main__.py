"""``python -m tocsin``: the command line without the installed script."""

from __future__ import annotations

import sys

INTERRUPTED = 130


def run() -> None:
    """The command line; Ctrl-C while it is still being read in is an end in order as well."""
    try:
        from .cli import main

        main(prog_name="tocsin")
    except KeyboardInterrupt:
        sys.stderr.write("tocsin: interrupted\n")
        raise SystemExit(INTERRUPTED) from None


if __name__ == "__main__":
    run()
