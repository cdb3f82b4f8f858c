"""Waiting for replicas: WAIT counts for the connection that wrote, so both commands go to one node on one connection."""

from __future__ import annotations

from typing import NamedTuple

from .commands import Command, command


class Replication(NamedTuple):
    """How many replicas must confirm a write, and for how many ms to wait for them."""

    replicas: int
    timeout: int

    @property
    def command(self) -> Command:
        """What follows the write."""
        return command("WAIT", self.replicas, self.timeout)
