"""The descriptions of threads and leases that savers return."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LeaseInfo:
    """A lease that a worker holds."""

    owner: str
    """The name of the worker: by default its host and process id."""
    seconds_left: float
    """For how long it holds the thread unless it renews, by the store's clock."""


@dataclass(frozen=True, slots=True)
class ThreadInfo:
    """A thread, as `list_threads` describes it."""

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
