"""Every error Tocsin raises on purpose.

    TocsinError
    ├── InputError            a file, flag or value given by the user cannot be used
    │   ├── TemplateError     a CloudFormation template cannot be read
    │   └── DeclarationError  a system declaration cannot be loaded or contradicts itself
    ├── PlanError             what was declared cannot be turned into alarms
    ├── QuotaError            the result would break a limit of AWS or Grafana
    ├── SimulationError       a rendered alarm or a series cannot be evaluated
    ├── CloudError            AWS, or the endpoint that stands in for it, refused or failed
    └── PagingError           the on-call tool refused, failed or did not answer

The text of each is one line: what is wrong, where, and what to do.  The library raises;
only ``cli/`` prints and exits.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class TocsinError(Exception):
    """Base of every error that is the user's to mend; its text is one line."""


class InputError(TocsinError):
    """A file, flag or value given by the user cannot be used."""


class TemplateError(InputError):
    """A CloudFormation template cannot be read.

    ``path``, ``line`` and ``column`` (from 1) say where, as far as that is known.
    """

    def __init__(
        self,
        message: str,
        *,
        path: Path | str | None = None,
        line: int | None = None,
        column: int | None = None,
    ) -> None:
        self.path, self.line, self.column = path, line, column
        where = "" if path is None else str(path)
        if line is not None:
            where += f":{line}"
            if column is not None:
                where += f":{column}"
        super().__init__(f"{where}: {message}" if where else message)


class DeclarationError(InputError):
    """A system declaration cannot be loaded or contradicts itself."""


class PlanError(TocsinError):
    """What was declared cannot be turned into alarms."""


class QuotaError(TocsinError):
    """The result would break a limit of AWS or Grafana."""


class SimulationError(TocsinError):
    """A rendered alarm or a metric series cannot be evaluated."""


class CloudError(TocsinError):
    """AWS, or the endpoint that stands in for it, refused or failed."""


class PagingError(TocsinError):
    """The on-call tool refused, failed or did not answer.  Its text never holds a key."""


def nearest(name: str, names: Iterable[str]) -> str:
    """The hint that ends an "unknown name" error."""
    known = sorted(names)
    if close := difflib.get_close_matches(name, known, n=1, cutoff=0.6):
        return f"did you mean {close[0]!r}?"
    if not known:
        return "there are none"
    shown = ", ".join(known[:10]) + (" …" if len(known) > 10 else "")
    return f"there are: {shown}"
