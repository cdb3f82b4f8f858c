"""Connections through Sentinel that ask it anew whenever they connect, and whenever their server is no primary any more.

redis-py's own ask it only when they are taken from the pool: one that broke in the middle of an operation would go back
to the primary that is gone, with every retry. And of all that a server says that was left behind by a failover, they
know only READONLY.
"""

from __future__ import annotations

from typing import Any

from redis.asyncio.sentinel import SentinelManagedConnection as AsyncSentinelManagedConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.sentinel import SentinelManagedConnection

from .faults import is_left_behind

__all__ = ("AsyncFollowingConnection", "FollowingConnection")


def _gone(error: ResponseError) -> RedisConnectionError:
    """Return the error to raise from *error*: one that the client repeats, on a connection made anew."""
    return RedisConnectionError(f"this server is not, or no longer, a primary that takes writes: {error}")


class FollowingConnection(SentinelManagedConnection):
    """A blocking connection that follows a failover."""

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's
        """Send a command, to the primary of this moment."""
        if not self._sock:
            self._connect_retry()  # type: ignore[no-untyped-call]
        super().send_packed_command(command, check_health)  # type: ignore[no-untyped-call]

    def read_response(self, *given: Any, **options: Any) -> Any:
        """Read a reply; disconnect if it says that this is not the primary."""
        try:
            return super().read_response(*given, **options)
        except ResponseError as error:
            if not is_left_behind(error):
                raise
            self.disconnect()  # type: ignore[no-untyped-call]
            raise _gone(error) from error


class AsyncFollowingConnection(AsyncSentinelManagedConnection):
    """An asyncio connection that follows a failover."""

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - as above
        """Send a command, to the primary of this moment."""
        if not self.is_connected:
            await self._connect_retry()  # type: ignore[no-untyped-call]
        await super().send_packed_command(command, check_health)

    async def read_response(self, *given: Any, **options: Any) -> Any:
        """Read a reply; disconnect if it says that this is not the primary."""
        try:
            return await super().read_response(*given, **options)
        except ResponseError as error:
            if not is_left_behind(error):
                raise
            await self.disconnect()
            raise _gone(error) from error
