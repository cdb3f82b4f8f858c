"""What must be settled around a fork, so that the child neither waits for a lock that nobody holds nor shares a socket."""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from typing import Any, Protocol


class Forks(Protocol):
    """Something with locks or connections."""

    def before_fork(self) -> None:
        """Let what is under way come to its end, and nothing begin."""

    def after_fork(self, *, child: bool) -> None:
        """Go on, in either process; it may be called twice, and after a `before_fork` that was cut short."""


_alive: weakref.WeakSet[Any] = weakref.WeakSet()
_settled: list[Forks] = []


def settle(thing: Forks) -> None:
    """Settle *thing* around every fork, as long as it lives."""
    _alive.add(thing)


def _before() -> None:
    for thing in list(_alive):
        _settled.append(thing)
        thing.before_fork()


def _after(*, child: bool) -> None:
    while _settled:
        try:
            _settled[-1].after_fork(child=child)
        except Exception:  # noqa: BLE001 - of a signal handler, or of a thing whose `before_fork` one has cut short
            with suppress(Exception):
                _settled[-1].after_fork(child=child)
        _settled.pop()


os.register_at_fork(
    before=_before, after_in_parent=lambda: _after(child=False), after_in_child=lambda: _after(child=True)
)
# Once more, for what the exception of a signal handler kept from being done, or from being noted as done.
os.register_at_fork(after_in_parent=lambda: _after(child=False), after_in_child=lambda: _after(child=True))
