"""What to do before and after a fork, so that the child neither waits for a lock that nobody holds nor shares a socket."""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from typing import Any, Protocol


class Forks(Protocol):
    """Something with locks or connections."""

    def before_fork(self) -> None:
        """Wait until nothing is in progress, and let nothing begin."""

    def after_fork(self, *, child: bool) -> None:
        """Go on, in either process; may be called twice, or after a `before_fork` that was interrupted."""


_alive: weakref.WeakSet[Any] = weakref.WeakSet()
_suspended: list[Forks] = []


def register_at_fork(thing: Forks) -> None:
    """Call the methods of *thing* around every fork, as long as it lives."""
    _alive.add(thing)


def _before() -> None:
    for thing in list(_alive):
        _suspended.append(thing)
        thing.before_fork()


def _after(*, child: bool) -> None:
    while _suspended:
        try:
            _suspended[-1].after_fork(child=child)
        except Exception:  # noqa: BLE001 - raised by a signal handler, or since one interrupted its `before_fork`
            with suppress(Exception):
                _suspended[-1].after_fork(child=child)
        _suspended.pop()


os.register_at_fork(
    before=_before, after_in_parent=lambda: _after(child=False), after_in_child=lambda: _after(child=True)
)
# Again, for what an exception of a signal handler kept from being done, or from being noted as done.
os.register_at_fork(after_in_parent=lambda: _after(child=False), after_in_child=lambda: _after(child=True))
