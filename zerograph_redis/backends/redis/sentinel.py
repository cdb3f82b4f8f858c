"""Connections through Sentinel that ask it anew when they connect, when their server is no primary any more, and at times.

redis-py's own ask it only when they are taken from the pool: one that broke in the middle of an operation would go back
to the primary that is gone, with every retry. Of all that a server says that was left behind by a failover, they know
only READONLY. And a primary that was cut off, or stood still, knows nothing of its failover: it goes on to take writes,
for which there is another by now, until the Sentinels reach it.

The question to the Sentinels passes through redis-py's own pools, so a helper asks it (see `helpers`).
"""

from __future__ import annotations

import logging
from contextlib import suppress
from time import monotonic
from typing import Any

from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.asyncio.sentinel import SentinelManagedConnection as AsyncSentinelManagedConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.sentinel import Sentinel, SentinelManagedConnection

from zerograph_redis.display import about, quoted, visible

from .faults import is_left_behind
from .helpers import aundisturbed, undisturbed

_log = logging.getLogger(__name__)

BELIEVED = 1.0  # seconds for which a primary that the Sentinels named is taken for the primary
SILENT = 30.0  # seconds for which Sentinels that did not answer are not asked about a connection that is open


def check_primary(error: ResponseError) -> None:
    """Raise what the client repeats, on another connection, if *error* says that this server is no primary."""
    if isinstance(error, ReadOnlyError) or is_left_behind(error):
        raise RedisConnectionError(f"this server is not, or no longer, a primary that takes writes: {error}") from error


class _Following:
    """What is asked of a connection before each request."""

    def is_doubtful(self) -> bool:
        """Tell whether another server may be the primary by now."""
        here: Any = self
        pool = here.connection_pool
        return bool(pool.sentinel_manager.is_doubtful() or pool.master_address != (here.host, here.port))


class FollowingConnection(_Following, SentinelManagedConnection):
    """A blocking connection that follows a failover."""

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's
        """Send a command, to the primary of this moment."""
        connected: Any = self._sock
        if connected and check_health and self._is_left():
            self.disconnect()  # type: ignore[no-untyped-call]
        if not self._sock:
            self.connect_to(self._ask())  # type: ignore[no-untyped-call]
        super().send_packed_command(command, check_health)  # type: ignore[no-untyped-call]

    def _ask(self) -> Any:
        """Ask the Sentinels for the primary, for as long as a connection may take."""
        try:
            return undisturbed(
                lambda _: self.connection_pool.get_master_address(), self.socket_connect_timeout or SILENT
            )
        except TimeoutError:
            raise RedisTimeoutError("the Sentinels did not name a primary in time") from None

    def _is_left(self) -> bool:
        """Tell whether another server is the primary by now. Without an answer of the Sentinels it is not."""
        pool = self.connection_pool
        if pool.sentinel_manager.is_doubtful():
            with suppress(RedisConnectionError, RedisTimeoutError):
                self._ask()
        return bool(pool.master_address != (self.host, self.port))

    def read_response(self, *given: Any, **options: Any) -> Any:
        """Read a reply; disconnect if it says that this is not the primary."""
        try:
            return super().read_response(*given, **options)
        except ResponseError as error:
            try:
                check_primary(error)
            except RedisConnectionError:
                self.disconnect()  # type: ignore[no-untyped-call]
                raise
            raise


class AsyncFollowingConnection(_Following, AsyncSentinelManagedConnection):
    """An asyncio connection that follows a failover."""

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - as above
        """Send a command, to the primary of this moment."""
        if self.is_connected and check_health and await self._is_left():
            await self.disconnect()
        if not self.is_connected:
            await self.connect_to(await self._ask())  # type: ignore[no-untyped-call]
        await super().send_packed_command(command, check_health)

    async def _ask(self) -> Any:
        """Ask the Sentinels for the primary, for as long as a connection may take."""
        try:
            return await aundisturbed(self._primary(), self.socket_connect_timeout or SILENT)
        except TimeoutError:
            raise RedisTimeoutError("the Sentinels did not name a primary in time") from None

    async def _primary(self) -> Any:
        return await self.connection_pool.get_master_address()

    async def _is_left(self) -> bool:
        """Tell whether another server is the primary by now. Without an answer of the Sentinels it is not."""
        pool = self.connection_pool
        if pool.sentinel_manager.is_doubtful():
            with suppress(RedisConnectionError, RedisTimeoutError):
                await self._ask()
        return bool(pool.master_address != (self.host, self.port))

    async def read_response(self, *given: Any, **options: Any) -> Any:
        """Read a reply; disconnect if it says that this is not the primary."""
        try:
            return await super().read_response(*given, **options)
        except ResponseError as error:
            try:
                check_primary(error)
            except RedisConnectionError:
                await self.disconnect()
                raise
            raise


class _LastPrimary:
    """Remembers what the Sentinels said, and tells the log when they name another primary than before."""

    _primary: tuple[Any, Any] | None = None
    _believed_until = 0.0

    def is_doubtful(self) -> bool:
        """Whether they should be asked again, for a connection that is still open."""
        return monotonic() > self._believed_until

    def _begin_to_ask(self) -> None:
        # One asks, the others go on; and nobody waits all the time for Sentinels that are out of reach.
        self._believed_until = monotonic() + SILENT

    def _note(self, service: str, primary: tuple[Any, Any]) -> None:
        self._believed_until = monotonic() + BELIEVED
        before, self._primary = self._primary, primary
        if before is not None and before != primary:
            _log.warning(
                "the primary of service %s is now %s, no longer %s",
                quoted(service),
                *(visible(f"{host}:{port}") for host, port in (primary, before)),
                extra=about(None),
            )


class ToldSentinels(_LastPrimary, Sentinel):
    """The Sentinels of a blocking client."""

    def discover_master(self, service_name: str) -> tuple[Any, Any]:
        """Ask them for the primary's host and port."""
        self._begin_to_ask()
        primary: tuple[Any, Any] = super().discover_master(service_name)  # type: ignore[no-untyped-call]
        self._note(service_name, primary)
        return primary


class AsyncToldSentinels(_LastPrimary, AsyncSentinel):
    """The Sentinels of an asyncio client."""

    async def discover_master(self, service_name: str) -> tuple[Any, Any]:
        """Ask them for the primary's host and port."""
        self._begin_to_ask()
        primary: tuple[Any, Any] = await super().discover_master(service_name)
        self._note(service_name, primary)
        return primary
