"""The savers of many machines: Redis."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from datetime import timedelta
from sys import getrefcount
from typing import Any, NoReturn, Self, TypeVar

from typing_extensions import Unpack

from zerograph_redis.backends.redis import (
    AsyncRedisBackend,
    AsyncThreadIndexBackend,
    Keyspace,
    RedisBackend,
    Replication,
    ThreadIndexBackend,
)
from zerograph_redis.backends.redis.clients import AsyncClients, attributes_of, close, connect, sync_twin, url_of
from zerograph_redis.backends.redis.faults import TIMEOUT
from zerograph_redis.backends.redis.wires import AsyncWire, Wire
from zerograph_redis.core.drive import AsyncBackend, arun, run
from zerograph_redis.core.requests import Operation
from zerograph_redis.core.settings import Options, Settings
from zerograph_redis.display import quoted
from zerograph_redis.errors import BackendUnavailableError, ConfigError
from zerograph_redis.store import Store

from .base import AsyncSaver, Saver

R = TypeVar("R")


class Use:
    """Who is in an operation of a saver: refuses others once it is closed, and tells when nobody is in one any more.

    Whoever is inside refers to one object, and how many references it has is counted. So there is no lock, which a fork
    would copy held, and nothing to take back that an interrupted operation could leave behind.
    """

    def __init__(self) -> None:
        """Begin open, and with nobody inside."""
        self.closed = False
        self.inside = object()
        """To be referred to for as long as one is inside."""
        self._unused = self._references()

    def _references(self) -> int:
        return getrefcount(self.inside)

    def refuse(self) -> NoReturn:
        """Refuse who is inside already: it was closed."""
        raise BackendUnavailableError("the saver was closed: make another one")

    def is_busy(self) -> bool:
        """Tell whether anybody is inside."""
        return self._references() > self._unused

    def is_over(self) -> bool:
        """Tell whether to end what was used: it was closed, and nobody uses it. It may be over more than once."""
        return self.closed and not self.is_busy()


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
        timeout: float | timedelta = TIMEOUT,
        **options: Unpack[Options],
    ) -> None:
        """Use a client that you made, and that you close: closing the saver ends the saver alone.

        Args:
            client: A blocking client of redis-py or fakeredis (``Redis``, ``RedisCluster``, Sentinel's).
            prefix: What every key begins with.
            wait_replicas: How many replicas must confirm a `put` or `put_writes` before it returns; else it raises
                `ReplicationError`.
            wait_timeout: Milliseconds to wait for them; keep it below the client's socket time-out.
            timeout: Seconds, or a timedelta, that a request may take with all its tries; then it raises
                `BackendUnavailableError`. Most methods are one request. The default lets a failover pass.
            **options: ``ttl``, ``refresh_on_read``, ``keep_last``, ``max_age``, ``serializer``, ``compression``,
                ``compression_level``, ``max_state_bytes``, ``require_lease``, ``durability``, ``telemetry``: see `Options`.

        Raises:
            ValueError: An option makes no sense.
        """
        wire = client if isinstance(client, Wire) else Wire(_checked(client, asynchronous=False))
        confirmation = _confirmation(wait_replicas, wait_timeout)
        keyspace = Keyspace(prefix, clustered=wire.is_cluster)
        backend = RedisBackend(wire, keyspace, confirmation, timeout=_seconds(timeout))
        self._client = wire.client
        self._wire = wire
        self._use = Use()
        self._prefix = prefix
        self._owned = wire is client
        settings = Settings.check(store=prefix, **options)
        super().__init__(
            Store(ThreadIndexBackend(backend) if wire.is_cluster else backend, settings, url_of(wire.client)),
            attributes_of(wire.client),
            place_of=lambda thread: wire.node_of(keyspace.of(thread)[0]),
            # WAIT is for what its own connection wrote last.
            one_by_one=confirmation is not None,
        )

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
        return cls(_own_wire(url, options), **options)

    def _run(self, operation: Operation[R]) -> R:
        use = self._use
        inside = use.inside
        try:
            if use.closed:
                use.refuse()
            if self._observer is None and not self._queue.is_used:
                return run(operation, self.store.backend)
            return super()._run(operation)
        finally:
            del inside
            if use.closed and not use.is_busy():
                self._end()

    def _close(self) -> None:
        self._use.closed = True
        if self._use.is_over():
            self._end()

    def _end(self) -> None:
        if self._owned:
            self._wire.close()
            close(self._client)


class AsyncRedisSaver(AsyncSaver, RedisSaver):
    """A `RedisSaver` with awaited twins. Making one needs no running event loop.

    It has a blocking client too, since the engine calls the blocking methods even under ``ainvoke``.
    """

    store: Store[AsyncBackend]  # type: ignore[assignment]

    def __init__(
        self,
        client: Any,
        *,
        sync_client: Any = None,
        prefix: str = "zerograph",
        wait_replicas: int = 0,
        wait_timeout: int = 1000,
        timeout: float | timedelta = TIMEOUT,
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
            timeout: Seconds, or a timedelta.
            **options: Those of `RedisSaver`.

        Raises:
            ValueError: An option makes no sense.
            ConfigError: No blocking client can be derived: pass *sync_client*.
        """
        clients = client if isinstance(client, AsyncClients) else None
        if clients is None:
            wire = AsyncWire(_checked(client, asynchronous=True))
        twin = sync_twin(client) if sync_client is None else sync_client
        given: dict[str, Any] = {"prefix": prefix, "wait_replicas": wait_replicas, "wait_timeout": wait_timeout}
        super().__init__(twin, **given, timeout=timeout, **options)
        self._owned |= sync_client is None
        self._async_clients = clients
        self._async_use = Use()
        backend = AsyncRedisBackend(
            self._wire,
            (lambda: wire) if clients is None else clients,
            Keyspace(prefix, clustered=self._wire.is_cluster),
            _confirmation(wait_replicas, wait_timeout),
            timeout=_seconds(timeout),
        )
        self.store.backend = AsyncThreadIndexBackend(backend) if self._wire.is_cluster else backend

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """Make a saver with clients of its own: a blocking one, and one for each event loop that it is used in.

        Arguments and errors are those of `RedisSaver.from_url`.
        """
        return cls(AsyncClients(url), sync_client=_own_wire(url, options), **options)

    async def _arun(self, operation: Operation[R]) -> R:
        use = self._async_use
        inside = use.inside
        try:
            if use.closed:
                use.refuse()
            if self._observer is None and not self._queue.is_used:
                return await arun(operation, self.store.backend)
            return await super()._arun(operation)
        finally:
            del inside
            if use.closed and not use.is_busy():
                await self._aend()

    def close(self) -> None:
        """Close the saver for both faces, and the blocking client if the saver made that; `aclose` closes the others."""
        super().close()

    def _close(self) -> None:
        self._async_use.closed = True
        super()._close()

    async def aclose(self) -> None:
        """Close the saver, and the clients that it made: the blocking one, and the one of the running event loop."""
        await super().aclose()

    async def _aclose(self) -> None:
        self._close()
        if self._async_use.is_over():
            await self._aend()

    async def _aend(self) -> None:
        if self._async_clients is not None:
            await self._async_clients.aclose()


def _confirmation(replicas: Any, timeout: Any) -> Replication | None:
    if type(replicas) is not int or not 0 <= replicas <= 1000:
        raise ValueError(f"wait_replicas must be a whole number from 0 to 1000, not {quoted(replicas)}")
    if type(timeout) is not int or not 1 <= timeout <= 86_400_000:
        raise ValueError(f"wait_timeout must be a whole number of milliseconds, from 1 to a day, not {quoted(timeout)}")
    return Replication(replicas, timeout) if replicas else None


def _seconds(timeout: Any) -> float:
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if type(seconds) not in {int, float} or not 0 < seconds <= _LONGEST:
        raise ValueError(f"timeout must be seconds or a timedelta, above 0 and up to a day, not {quoted(timeout)}")
    return float(seconds)


_LONGEST = 86_400


def _own_wire(url: str, options: Mapping[str, Any]) -> Wire:
    return Wire(connect(url, timeout=_seconds(options.get("timeout", TIMEOUT))), own=True)


def _checked(client: Any, *, asynchronous: bool) -> Any:
    run = getattr(client, "execute_command", None)
    if run is None or not hasattr(client, "pipeline"):
        raise ConfigError(
            f"client must be one of redis-py or fakeredis, not a {type(client).__name__}; for a URL, use from_url"
        )
    if inspect.iscoroutinefunction(run) is not asynchronous:
        right, wrong = ("an asyncio", "a blocking") if asynchronous else ("a blocking", "an asyncio")
        raise ConfigError(f"this saver needs {right} client, and got {wrong} one: {type(client).__module__}")
    return client
