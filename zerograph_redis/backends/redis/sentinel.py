"""Connections through Sentinel that ask it anew whenever they connect.

redis-py's own ask it only when they are taken from the pool: one that broke in the middle of an operation would go back
to the primary that is gone, with every retry.
"""

from __future__ import annotations

from typing import Any

from redis.asyncio.sentinel import SentinelManagedConnection as AsyncSentinelManagedConnection
from redis.sentinel import SentinelManagedConnection

__all__ = ("AsyncFollowingConnection", "FollowingConnection")


class FollowingConnection(SentinelManagedConnection):
    """A blocking connection that follows a failover."""

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's
        """Send a command, to the primary of this moment."""
        if not self._sock:
            self._connect_retry()  # type: ignore[no-untyped-call]
        super().send_packed_command(command, check_health)  # type: ignore[no-untyped-call]


class AsyncFollowingConnection(AsyncSentinelManagedConnection):
    """An asyncio connection that follows a failover."""

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - as above
        """Send a command, to the primary of this moment."""
        if not self.is_connected:
            await self._connect_retry()  # type: ignore[no-untyped-call]
        await super().send_packed_command(command, check_health)
