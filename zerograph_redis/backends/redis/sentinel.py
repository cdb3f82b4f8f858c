"""Connections through Sentinel that ask it anew whenever they connect, and whenever their server is no primary any more.

redis-py's own ask it only when they are taken from the pool: one that broke in the middle of an operation would go back
to the primary that is gone, with every retry. And of all that a server says that was left behind by a failover, they
know only READONLY.
"""

from __future__ import annotations

import logging
from typing import Any

from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.asyncio.sentinel import SentinelManagedConnection as AsyncSentinelManagedConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.sentinel import Sentinel, SentinelManagedConnection

from .faults import is_left_behind

__all__ = ("AsyncFollowingConnection", "AsyncToldSentinels", "FollowingConnection", "ToldSentinels")

_log = logging.getLogger(__name__)


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


class _LastPrimary:
    """Tells the log when the Sentinels name another primary than before."""

    _primary: tuple[Any, Any] | None = None

    def _note(self, service: str, primary: tuple[Any, Any]) -> None:
        before, self._primary = self._primary, primary
        if before is not None and before != primary:
            _log.warning(
                "the primary of service %r is now %s:%s, no longer %s:%s",
                service,
                *primary,
                *before,
                extra={"thread_id": None},
            )


class ToldSentinels(_LastPrimary, Sentinel):
    """The Sentinels of a blocking client."""

    def discover_master(self, service_name: str) -> tuple[Any, Any]:
        """Ask them for the primary's host and port."""
        primary: tuple[Any, Any] = super().discover_master(service_name)  # type: ignore[no-untyped-call]
        self._note(service_name, primary)
        return primary


class AsyncToldSentinels(_LastPrimary, AsyncSentinel):
    """The Sentinels of an asyncio client."""

    async def discover_master(self, service_name: str) -> tuple[Any, Any]:
        """Ask them for the primary's host and port."""
        primary: tuple[Any, Any] = await super().discover_master(service_name)
        self._note(service_name, primary)
        return primary
