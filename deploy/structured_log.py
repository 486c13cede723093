"""One JSON object per log line, so that CloudWatch Logs Insights finds every field by name.

The line is written to standard output as it is: the functions' log format is Text, so Lambda passes it on unchanged.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

NOTHING: Mapping[str, object] = MappingProxyType({})


def log(level: Literal["INFO", "WARN", "ERROR"], event: str, details: Mapping[str, object] = NOTHING) -> None:
    """Write one line: ``event`` names what happened in kebab-case, ``details`` says to what."""
    line = {**details, "level": level, "event": event}
    sys.stdout.write(json.dumps(line, default=str, sort_keys=True) + "\n")
    sys.stdout.flush()
