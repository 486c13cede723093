"""Spans: which stretches of time series have given already, so that no moment is given twice."""

from __future__ import annotations

from bisect import bisect_right


class Spans:
    """Stretches [start, end) that do not overlap, with the places they come from; those that touch become one."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._places: list[tuple[str, str]] = []

    def taken(self, start: int, end: int) -> str | None:
        """Where a part of [start, end) was given; None if nowhere."""
        place = bisect_right(self._starts, start) - 1
        for index in (place, place + 1):
            if 0 <= index < len(self._starts) and start < self._ends[index] and self._starts[index] < end:
                first, last = self._places[index]
                return first if first == last else f"{first} to {last}"
        return None

    def add(self, start: int, end: int, place: str) -> None:
        """Take note of a stretch that is free."""
        if end <= start:
            return
        index = bisect_right(self._starts, start)
        if index and self._ends[index - 1] == start:
            self._ends[index - 1] = end
            self._places[index - 1] = self._places[index - 1][0], place
            return
        self._starts.insert(index, start)
        self._ends.insert(index, end)
        self._places.insert(index, (place, place))
