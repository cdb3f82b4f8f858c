"""The savers for many machines: Redis."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
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
from zerograph_redis.backends.redis.transport import AsyncTransport, Transport
from zerograph_redis.core.drive import AsyncBackend, arun, run
from zerograph_redis.core.requests import Operation
from zerograph_redis.core.settings import Options, Settings
from zerograph_redis.display import quoted
from zerograph_redis.errors import BackendUnavailableError, ConfigError
from zerograph_redis.store import Store

from .base import AsyncSaver, Saver

R = TypeVar("R")

_OPTIONS = {*Options.__optional_keys__, "prefix", "wait_replicas", "wait_timeout", "timeout", "sync_client"}


class Use:
    """Counts the operations that run on a saver, so that closing it waits for none and cuts off none.

    Each running operation holds a reference to one object, and its reference count is the number of operations. So there
    is no lock that a fork would copy while it is held, and no counter that an interrupted operation would leave wrong.
    """

    def __init__(self) -> None:
        self.closed = False
        self.inside = object()
        """An operation refers to it while it runs."""
        self._unused = self._references()

    def _references(self) -> int:
        return getrefcount(self.inside)

    def refuse(self) -> NoReturn:
        """Refuse an operation: the saver is closed."""
        raise BackendUnavailableError("the saver is closed: make another one")

    def is_busy(self) -> bool:
        """Whether an operation is running."""
        return self._references() > self._unused

    def is_over(self) -> bool:
        """Whether to close the connections now: the saver is closed, and no operation is running. True more than once."""
        return self.closed and not self.is_busy()


class RedisSaver(Saver):
    """Keeps checkpoints in Redis: any worker continues any thread where another one stopped.

    A saver serves many OS threads at once, survives a fork, and reconnects. It needs no Redis modules.
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
        """Use a client that you made. Closing the saver does not close it.

        Args:
            client: A blocking client of redis-py or fakeredis (``Redis``, ``RedisCluster``, Sentinel's).
            prefix: The beginning of every key.
            wait_replicas: How many replicas must confirm a `put` or `put_writes` before it returns. If fewer do, it
                raises `ReplicationError`.
            wait_timeout: Milliseconds to wait for them. Keep it below the client's socket timeout.
            timeout: Seconds, or a timedelta, that a request may take with all its retries before it raises
                `BackendUnavailableError`. Most methods are one request. The default outlasts a failover.
            **options: Those of every saver: see `Options`.

        Raises:
            ValueError: An option is out of range or of the wrong type.
        """
        transport = client if isinstance(client, Transport) else Transport(_checked(client, asynchronous=False))
        confirmation = _confirmation(wait_replicas, wait_timeout)
        keyspace = Keyspace(prefix, clustered=transport.is_cluster)
        backend = RedisBackend(transport, keyspace, confirmation, timeout=_seconds(timeout))
        self._client = transport.client
        self._transport = transport
        self._use = Use()
        self._prefix = prefix
        self._owned = transport is client
        settings = Settings.check(store=prefix, names=_OPTIONS, **options)
        super().__init__(
            Store(ThreadIndexBackend(backend) if transport.is_cluster else backend, settings, url_of(transport.client)),
            attributes_of(transport.client),
            server_of=lambda thread: transport.node_of(keyspace.of(thread)[0]),
            # WAIT is for what its own connection wrote last.
            one_by_one=confirmation is not None,
        )

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """Make a saver with its own client, which `close` closes. Only to a cluster does this connect at once.

        Args:
            url: ``redis://``, ``rediss://``, ``unix://``, ``redis+cluster://``, or
                ``redis+sentinel://host:port,host:port/service``. Options of redis-py may follow a ``?``.
            **options: Those of the constructor.

        Raises:
            ConfigError: The URL is wrong (also a ValueError).
            BackendUnavailableError: No node of a cluster answers.
        """
        return cls(_own_transport(url, options), **options)

    def _shown_options(self) -> Sequence[str]:
        return (f"prefix={self._prefix!r}", *super()._shown_options())

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
            self._transport.close()
            close(self._client)


class AsyncRedisSaver(AsyncSaver, RedisSaver):
    """A `RedisSaver` whose methods can be awaited too. Making one needs no running event loop.

    It also has a blocking client: ZeroGraph calls the blocking methods even under ``ainvoke``. `close` closes that client;
    `aclose` also closes the client of the running event loop.
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
        """Use clients that you made. Closing the saver does not close them.

        Args:
            client: A client of ``redis.asyncio`` or fakeredis, for the awaited methods. It belongs to one event loop.
            sync_client: A blocking client of the same Redis. By default one is derived from *client*, and `close`
                closes it.
            prefix: The beginning of every key.
            wait_replicas: As in `RedisSaver`, like the following.
            wait_timeout: Milliseconds.
            timeout: Seconds, or a timedelta.
            **options: Those of `RedisSaver`.

        Raises:
            ValueError: An option is out of range or of the wrong type.
            ConfigError: No blocking client can be derived: pass *sync_client*.
        """
        clients = client if isinstance(client, AsyncClients) else None
        if clients is None:
            transport = AsyncTransport(_checked(client, asynchronous=True))
        twin = sync_twin(client) if sync_client is None else sync_client
        given: dict[str, Any] = {"prefix": prefix, "wait_replicas": wait_replicas, "wait_timeout": wait_timeout}
        super().__init__(twin, **given, timeout=timeout, **options)
        self._owned |= sync_client is None
        self._async_clients = clients
        self._async_use = Use()
        backend = AsyncRedisBackend(
            self._transport,
            (lambda: transport) if clients is None else clients,
            Keyspace(prefix, clustered=self._transport.is_cluster),
            _confirmation(wait_replicas, wait_timeout),
            timeout=_seconds(timeout),
        )
        self.store.backend = AsyncThreadIndexBackend(backend) if self._transport.is_cluster else backend

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """Make a saver with its own clients: a blocking one, and one for each event loop that uses it.

        Arguments and errors are those of `RedisSaver.from_url`.
        """
        return cls(AsyncClients(url), sync_client=_own_transport(url, options), **options)

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

    def _close(self) -> None:
        self._async_use.closed = True
        super()._close()

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


def _own_transport(url: str, options: Mapping[str, Any]) -> Transport:
    return Transport(connect(url, timeout=_seconds(options.get("timeout", TIMEOUT))), own=True)


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
