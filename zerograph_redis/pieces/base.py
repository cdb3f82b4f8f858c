"""What the next state of a namespace is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .segments import Segment

__all__ = ("SEGMENT_SIZE", "BaseCheckpoint", "BasePart")

SEGMENT_SIZE = 100
"""About how many bytes of memory a segment takes."""


class BasePart(NamedTuple):
    """A part of a base checkpoint."""

    start: int
    """From where in the packed state, …"""
    stop: int
    """… and to where it stands."""
    bytes_free: bool
    """See `cut.Part`."""
    segments: Sequence[Segment]
    """Where it lies in the log."""


class BaseCheckpoint(NamedTuple):
    """A checkpoint that the worker read or stored, whose state the next one of its namespace is compared with.

    Its content stands here, and not only where it lies in the log: what a worker remembers of the log may be of a history
    that the store has left.
    """

    checkpoint_id: str
    generation: str
    proof: str
    """What the header of its record says of its put: where it appended to the log, how much, and its random name."""
    digest: bytes
    """That of its state."""
    packed: bytes
    """Its state."""
    parts: Mapping[int, BasePart]
    """By their places."""
    size: int
    """About how many bytes of memory it takes."""
    order: str = ""
    mark: bytes = b""
    """Names its put in a record that is encrypted, if the store confirmed its parent; see `records.Link`."""
