"""The savers of many machines: Redis."""

from __future__ import annotations

import inspect
from typing import Any, Self, TypeVar

from typing_extensions import Unpack

from zerograph_redis.backends.redis import (
    AsyncRankingBackend,
    AsyncRedisBackend,
    Confirmation,
    Keyspace,
    RankingBackend,
    RedisBackend,
)
from zerograph_redis.backends.redis.clients import AsyncClients, close, connect, is_cluster, store_of, sync_twin
from zerograph_redis.core.drive import AsyncBackend, Backend
from zerograph_redis.core.requests import Operation
from zerograph_redis.core.settings import Options, Settings
from zerograph_redis.display import quoted
from zerograph_redis.errors import BackendUnavailableError, ConfigError

from .base import AsyncSaver, Saver

__all__ = ("AsyncRedisSaver", "RedisSaver")

R = TypeVar("R")


class Use:
    """Who is in an operation of a saver: refuses others once it is closed, and tells when the last one left.

    Without a lock, which a fork would copy held: adding to a set, and taking from it, is atomic.
    """

    def __init__(self) -> None:
        """Begin open, and with nobody inside."""
        self.closed = False
        self._inside: set[object] = set()

    def enter(self) -> object:
        """Enter; returns what to leave with."""
        inside = object()
        self._inside.add(inside)
        if self.closed:
            self._inside.discard(inside)
            raise BackendUnavailableError("the saver was closed: make another one")
        return inside

    def leave(self, inside: object) -> bool:
        """Leave. Returns whether to end what was used: it was closed meanwhile, and nobody else uses it."""
        self._inside.discard(inside)
        return self.closed and not self._inside

    def close(self) -> bool:
        """Let nobody in any more. Returns whether to end what was used: otherwise the last one who leaves does it."""
        self.closed = True
        return not self._inside


class RedisSaver(Saver):
    """Keeps checkpoints in Redis, so that any worker continues any thread where another one left it.

    A saver serves many OS threads at once, survives a fork, and reconnects. Core commands only: no modules.
    """

    def __init__(
        self,
        client: Any,
        *,
        prefix: str = "zerograph",
        wait_replicas: int = 0,
        wait_timeout: int = 1000,
        **options: Unpack[Options],
    ) -> None:
        """Use a client that you made, and that you close: closing the saver ends the saver alone.

        Args:
            client: A blocking client of redis-py or fakeredis (``Redis``, ``RedisCluster``, Sentinel's).
            prefix: What every key begins with.
            wait_replicas: How many replicas must confirm a `put` or `put_writes` before it returns; else it raises
                `ReplicationError`.
            wait_timeout: Milliseconds to wait for them; keep it below the client's socket time-out.
            **options: ``ttl``, ``refresh_on_read``, ``keep_last``, ``max_age``, ``serializer``, ``compression``,
                ``compression_level``, ``max_state_bytes``, ``require_lease``, ``telemetry``: see `Options`.

        Raises:
            ValueError: An option makes no sense.
        """
        _check_client(client, asynchronous=False)
        clustered = is_cluster(client)
        confirmation = _confirmation(wait_replicas, wait_timeout)
        backend: Backend = RedisBackend(
            lambda: client, Keyspace(prefix, clustered=clustered), confirmation, clustered=clustered
        )
        self._client = client
        self._use = Use()
        self._prefix = prefix
        self._owned = False
        settings = Settings.check(store=prefix, **options)
        super().__init__(RankingBackend(backend) if clustered else backend, settings, store_of(client))

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """Make a saver with a client of its own, which `close` closes. No connection is made yet, but to a cluster.

        Args:
            url: ``redis://``, ``rediss://``, ``unix://``, ``redis+cluster://``, or
                ``redis+sentinel://host:port,host:port/service``; redis-py's own options may follow a ``?``.
            **options: Those of the constructor.

        Raises:
            ConfigError: The url is wrong (also a ValueError).
            BackendUnavailableError: A cluster did not tell which nodes it has.
        """
        saver = cls(connect(url), **options)
        saver._owned = True
        return saver

    def _run(self, operation: Operation[R]) -> R:
        inside = self._use.enter()
        try:
            return super()._run(operation)
        finally:
            if self._use.leave(inside):
                self._end()

    def close(self) -> None:
        """Close the saver, and its client if it made that. Every later call raises `BackendUnavailableError`."""
        if self._use.close():
            self._end()

    def _end(self) -> None:
        if self._owned:
            close(self._client)


class AsyncRedisSaver(AsyncSaver, RedisSaver):
    """A `RedisSaver` with awaited twins. Making one needs no running event loop.

    It has a blocking client too, since the engine calls the blocking methods even under ``ainvoke``.
    """

    _backend: AsyncBackend

    def __init__(
        self,
        client: Any,
        *,
        sync_client: Any = None,
        prefix: str = "zerograph",
        wait_replicas: int = 0,
        wait_timeout: int = 1000,
        **options: Unpack[Options],
    ) -> None:
        """Use clients that you made, and that you close.

        Args:
            client: A client of ``redis.asyncio`` or fakeredis, for the awaited methods; it belongs to one event loop.
            sync_client: A blocking client of the same Redis; unless given, one is derived from *client*, and closed by
                `close`.
            prefix: What every key begins with.
            wait_replicas: As in `RedisSaver`, like all that follow.
            wait_timeout: Milliseconds.
            **options: Those of `RedisSaver`.

        Raises:
            ValueError: An option makes no sense.
            ConfigError: No blocking client can be derived: pass *sync_client*.
        """
        per_loop = isinstance(client, AsyncClients)
        if not per_loop:
            _check_client(client, asynchronous=True)
        derived = sync_client is None
        twin = sync_twin(client) if derived else sync_client
        super().__init__(twin, prefix=prefix, wait_replicas=wait_replicas, wait_timeout=wait_timeout, **options)
        self._owned = derived
        self._async_clients = client if per_loop else None
        self._async_use = Use()
        clustered = is_cluster(twin)
        keyspace = Keyspace(prefix, clustered=clustered)
        confirmation = _confirmation(wait_replicas, wait_timeout)
        backend = AsyncRedisBackend(
            lambda: twin, keyspace, client if per_loop else lambda: client, confirmation, clustered=clustered
        )
        self._backend = AsyncRankingBackend(backend) if clustered else backend

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """Make a saver with clients of its own: a blocking one, and one for each event loop that it is used in.

        Arguments and errors are those of `RedisSaver.from_url`.
        """
        blocking = connect(url)
        saver = cls(AsyncClients(url), sync_client=blocking, **options)
        saver._owned = True
        return saver

    async def _arun(self, operation: Operation[R]) -> R:
        inside = self._async_use.enter()
        try:
            return await super()._arun(operation)
        finally:
            if self._async_use.leave(inside):
                await self._aend()

    def close(self) -> None:
        """Close the saver for both faces, and the blocking client if the saver made that; `aclose` closes the others."""
        self._async_use.close()
        super().close()

    async def aclose(self) -> None:
        """Close the saver, and the clients that it made: the blocking one, and the one of the running event loop."""
        self.close()
        if self._async_use.close():
            await self._aend()

    async def _aend(self) -> None:
        if self._async_clients is not None:
            await self._async_clients.aclose()


def _confirmation(replicas: Any, timeout: Any) -> Confirmation | None:
    if type(replicas) is not int or not 0 <= replicas <= 1000:
        raise ValueError(f"wait_replicas must be a whole number from 0 to 1000, not {quoted(replicas)}")
    if type(timeout) is not int or not 1 <= timeout <= 86_400_000:
        raise ValueError(f"wait_timeout must be a whole number of milliseconds, from 1 to a day, not {quoted(timeout)}")
    return Confirmation(replicas, timeout) if replicas else None


def _check_client(client: Any, *, asynchronous: bool) -> None:
    run = getattr(client, "execute_command", None)
    if run is None or not hasattr(client, "pipeline"):
        raise ConfigError(
            f"client must be one of redis-py or fakeredis, not a {type(client).__name__}; for a URL, use from_url"
        )
    if inspect.iscoroutinefunction(run) is not asynchronous:
        right, wrong = ("an asyncio", "a blocking") if asynchronous else ("a blocking", "an asyncio")
        raise ConfigError(f"this saver needs {right} client, and got {wrong} one: {type(client).__module__}")
