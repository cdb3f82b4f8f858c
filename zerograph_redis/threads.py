"""What `list_threads` tells of a thread."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ("ThreadInfo",)


@dataclass(frozen=True, slots=True)
class ThreadInfo:
    """A thread at a glance."""

    thread_id: str
    created: datetime
    """When it was first written, in UTC, by the store's clock."""
    updated: datetime
    """When it was last written, in UTC, by the store's clock."""
    checkpoints: int
    """How many checkpoints it has, over all namespaces."""
    namespaces: int
    """How many namespaces have checkpoints."""
    bytes: int
    """The size of its records and pending writes as stored."""
    ttl: float | None
    """Seconds until it expires, None for never."""
