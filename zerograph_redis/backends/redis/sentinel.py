"""Connections through Sentinel: they ask for the primary when they connect, at times, and when their server is no primary.

redis-py's own connections ask only when they are taken from the pool: a connection that broke in the middle of an operation
would connect to the old primary again, at every retry. Of the errors of a server that a failover demoted, they know only
READONLY. And a primary that was cut off, or stood still, does not know of its failover: it goes on to accept writes,
although another primary exists, until the Sentinels reach it.

The question to the Sentinels passes through redis-py's own pools, so it is shielded (see `shielding`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any

from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.asyncio.sentinel import SentinelManagedConnection as AsyncSentinelManagedConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.sentinel import Sentinel, SentinelManagedConnection

from zerograph_redis.core.drive import adrive, drive
from zerograph_redis.display import about, quoted, visible

from .faults import OutOfTime, is_from_old_primary
from .shielding import ashielded, shielded

_log = logging.getLogger(__name__)

CACHED = 1.0  # seconds for which the Sentinels' answer is used again
SILENT = 30.0  # seconds for which Sentinels that did not answer are not asked about a connection that is open


def not_primary(error: ResponseError) -> RedisConnectionError | None:
    """Return an error that is tried again, on another connection, if *error* means that this server is no primary."""
    if isinstance(error, ReadOnlyError) or is_from_old_primary(error):
        return RedisConnectionError(f"this server is not, or no longer, a primary that accepts writes: {error}")
    return None


class _Following:
    """What the connections of both kinds decide; each step that they yield is a call, whose result they get."""

    _ask: Callable[..., Any]
    disconnect: Any
    connect_to: Any

    connection_pool: Any
    host: Any
    port: Any

    def may_be_demoted(self) -> bool:
        """Whether another server may be the primary by now."""
        pool = self.connection_pool
        return bool(pool.sentinel_manager.is_outdated() or pool.master_address != (self.host, self.port))

    def _following(self, *, is_open: bool) -> Generator[Callable[[], Any], Any, None]:
        """Connect to the current primary, if the connection is closed or leads to another server."""
        pool = self.connection_pool
        if is_open and pool.sentinel_manager.is_outdated():
            yield partial(self._ask, quietly=True)
        if is_open and pool.master_address != (self.host, self.port):
            yield self.disconnect
            is_open = False
        if not is_open:
            primary = yield self._ask
            yield partial(self.connect_to, primary)


_NOT_NAMED = "the Sentinels did not name a primary in time"


class FollowingConnection(_Following, SentinelManagedConnection):
    """A blocking connection that follows a failover."""

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's
        """Send a command to the current primary."""
        connected: Any = self._sock
        if check_health or not connected:
            drive(self._following(is_open=connected is not None), lambda step: step())
        super().send_packed_command(command, check_health)  # type: ignore[no-untyped-call]

    def _ask(self, *, quietly: bool = False) -> Any:
        """Ask the Sentinels for the primary, for as long as a connection may take; *quietly*, without an error."""
        with suppress(*((RedisConnectionError, RedisTimeoutError) if quietly else ())):
            try:
                return shielded(
                    lambda _: self.connection_pool.get_master_address(), self.socket_connect_timeout or SILENT
                )
            except OutOfTime:
                raise RedisTimeoutError(_NOT_NAMED) from None
        return None

    def read_response(self, *given: Any, **options: Any) -> Any:
        """Read a reply; disconnect if it means that this is not the primary."""
        try:
            return super().read_response(*given, **options)
        except ResponseError as error:
            if failed := not_primary(error):
                self.disconnect()
                raise failed from error
            raise


class AsyncFollowingConnection(_Following, AsyncSentinelManagedConnection):
    """An asyncio connection that follows a failover."""

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - as above
        """Send a command to the current primary."""
        if check_health or not self.is_connected:
            await adrive(self._following(is_open=self.is_connected), lambda step: step())
        await super().send_packed_command(command, check_health)

    async def _ask(self, *, quietly: bool = False) -> Any:
        """Ask as the blocking connection does."""
        with suppress(*((RedisConnectionError, RedisTimeoutError) if quietly else ())):
            try:
                return await ashielded(self.connection_pool.get_master_address(), self.socket_connect_timeout or SILENT)
            except OutOfTime:
                raise RedisTimeoutError(_NOT_NAMED) from None
        return None

    async def read_response(self, *given: Any, **options: Any) -> Any:
        """Read a reply; disconnect if it means that this is not the primary."""
        try:
            return await super().read_response(*given, **options)
        except ResponseError as error:
            if failed := not_primary(error):
                await self.disconnect()
                raise failed from error
            raise


class _Caching:
    """Caches the Sentinels' last answer, and logs when they name another primary than before."""

    _primary: tuple[Any, Any] | None = None
    _cached_until = 0.0

    def is_outdated(self) -> bool:
        """Whether the Sentinels should be asked again, for a connection that is still open."""
        return monotonic() > self._cached_until

    def _begin(self) -> None:
        # While one connection asks, the others are used as they are. Sentinels that do not answer are asked seldom.
        self._cached_until = monotonic() + SILENT

    def _note(self, service: str, primary: tuple[Any, Any]) -> tuple[Any, Any]:
        self._cached_until = monotonic() + CACHED
        before, self._primary = self._primary, primary
        if before is not None and before != primary:
            _log.warning(
                "the primary of service %s is now %s, no longer %s",
                quoted(service),
                *(visible(f"{host}:{port}") for host, port in (primary, before)),
                extra=about(None),
            )
        return primary


class CachingSentinels(_Caching, Sentinel):
    """The Sentinels of a blocking client."""

    def discover_master(self, service_name: str) -> tuple[Any, Any]:
        """Ask them for the primary's host and port."""
        self._begin()
        return self._note(service_name, super().discover_master(service_name))  # type: ignore[no-untyped-call]


class AsyncCachingSentinels(_Caching, AsyncSentinel):
    """The Sentinels of an asyncio client."""

    async def discover_master(self, service_name: str) -> tuple[Any, Any]:
        """Ask them for the primary's host and port."""
        self._begin()
        return self._note(service_name, await super().discover_master(service_name))
