"""Turns whatever goes wrong into one line and an exit code: 2 is wrong input, 3 our own mistake, 130 Ctrl-C."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import click

from ..errors import TocsinError

WRONG_INPUT, OWN_MISTAKE, INTERRUPTED = 2, 3, 130

# Set to anything, a mistake of Tocsin itself is shown with its traceback.
TRACEBACK = "TOCSIN_TRACEBACK"


class Group(click.Group):
    """Turns whatever goes wrong into one line and an exit code."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what stands before the command."""
        with _one_line(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        # A build makes a million small values and drops few: looking for circles often costs an eighth of its time.
        gc.set_threshold(50_000, 20, 100)
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, ValueError):  # a sign that the terminal does not know is better than none
                stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        with _one_line(ctx):
            return super().invoke(ctx)


@contextmanager
def _one_line(ctx: click.Context) -> Iterator[None]:
    try:
        yield
    except TocsinError as error:
        _fail(ctx, str(error))
    except (click.exceptions.Exit, click.exceptions.NoArgsIsHelpError):
        raise
    except click.ClickException as error:
        command = (getattr(error, "ctx", None) or ctx).command_path
        _fail(ctx, f"{error.format_message().rstrip('.')}; see `{command} --help`")
    except (KeyboardInterrupt, click.Abort):
        _fail(ctx, "interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        _drop_output()
        ctx.exit(0)
    except OSError as error:
        _drop_output()
        _fail(ctx, f"{error.filename or 'the output'}: {error.strerror or error}")
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        _fail(ctx, _own_mistake(error), OWN_MISTAKE)


def _fail(ctx: click.Context, message: str, code: int = WRONG_INPUT) -> NoReturn:
    click.echo(f"tocsin: {' '.join(message.splitlines())}", err=True)
    ctx.exit(code)


def _drop_output() -> None:
    """Let nothing that is still to be written fail a second time when the interpreter ends."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _own_mistake(error: Exception) -> str:
    import traceback

    frame = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"a mistake in Tocsin, not yours: {type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno}); "
        f"run it again with {TRACEBACK}=1 and report what is printed"
    )
