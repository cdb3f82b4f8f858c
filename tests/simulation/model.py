"""All states and writes that were ever put, and therefore may be read."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

Place = tuple[str, str]
"""Namespace and checkpoint id."""


class Model:
    """Every state and write that any worker ever put, also those that the store lost.

    A thread may hold what was put into it, or into a thread that it was ever copied from.
    """

    def __init__(self) -> None:
        self._states: dict[tuple[str, Place], list[Any]] = defaultdict(list)
        self._writes: dict[tuple[str, Place], list[Any]] = defaultdict(list)
        self._sources: dict[str, set[str]] = defaultdict(set)

    def put(self, thread: str, place: Place, state: Any) -> None:
        self._states[thread, place].append(state)

    def put_writes(self, thread: str, place: Place, writes: list[Any]) -> None:
        self._writes[thread, place] += writes

    def copied(self, source: str, target: str) -> None:
        self._sources[target] |= {source, *self._sources[source]}
        for name, sources in self._sources.items():
            if target in sources:
                self._sources[name] = sources | self._sources[target]

    def problem(self, thread: str, place: Place, state: Any, writes: list[Any]) -> str:
        """Why these values may not be read; empty if they may."""
        threads = [thread, *self._sources[thread]]
        if not any(state == each for name in threads for each in self._states[name, place]):
            return f"{place} of {thread!r} is read as a state that was never put there"
        return self.problem_of_writes(thread, place, writes)

    def problem_of_writes(self, thread: str, place: Place, writes: list[Any]) -> str:
        threads = [thread, *self._sources[thread]]
        allowed = [each for name in threads for each in self._writes[name, place]]
        if any(write not in allowed for write in writes):
            return f"{place} of {thread!r} has a pending write that was never put there"
        return ""
