"""What `list_threads` tells of a thread, and of who holds it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LeaseInfo:
    """A lease that a worker holds."""

    owner: str
    """What the worker calls itself: unless told otherwise, its host and process id."""
    seconds_left: float
    """For how long it holds the thread unless it renews, by the store's clock."""


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
    lease: LeaseInfo | None
    """Who holds it, None if nobody does."""
