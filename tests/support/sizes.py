"""How much a search tries: all of it with ``--full``, else a quarter."""

from __future__ import annotations

full = False
"""Whether the tests run with ``--full``; set before any test is read."""


def scaled(count: int) -> int:
    """Return how often to do what is done *count* times with ``--full``."""
    return count if full else -(-count // 4)
