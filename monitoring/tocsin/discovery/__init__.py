"""From a template to the resources Tocsin watches, by the catalog: one file per input format."""

from __future__ import annotations

from .listing import as_json
from .template import discover

__all__ = ["as_json", "discover"]
