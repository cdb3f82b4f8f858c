"""Redis as a backend: each request is one script, one round trip, on a client that redis-py or fakeredis made."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple, TypeVar

from redis.exceptions import NoScriptError, RedisError

from zerograph_redis.core.requests import PutCheckpoint, PutWrites, Request
from zerograph_redis.forks import settle

from .bindings import BINDINGS
from .clients import cluster_retry
from .faults import translate, unconfirmed
from .keys import Keyspace
from .listing import LISTINGS, Command

__all__ = ("AsyncRedisBackend", "Confirmation", "RedisBackend")

R = TypeVar("R")


class Confirmation(NamedTuple):
    """How many replicas must confirm a write, and for how many ms to wait for them."""

    replicas: int
    timeout: int


Exchange = Generator[Sequence[Command], Sequence[Any], R]
"""Yields commands for one round trip on one connection; gets their replies, errors among them."""


class RedisBackend:
    """Answers requests through a blocking client, from any number of OS threads."""

    def __init__(
        self,
        client: Callable[[], Any],
        keyspace: Keyspace,
        confirmation: Confirmation | None = None,
        *,
        retried: bool = False,
    ) -> None:
        """Use the client that *client* returns at each request, and wait for replicas if *confirmation* is given.

        *retried* is for a cluster client of our own, which by itself repeats too little.
        """
        self._retried = retried
        self._client = client
        self._keyspace = keyspace
        self._confirmation = confirmation
        settle(self)

    def before_fork(self) -> None:
        """Hold the lock of redis-py's pool, which it takes in the child to open connections of its own."""
        self._pool_lock = getattr(getattr(self._client(), "connection_pool", None), "_lock", None)
        if self._pool_lock is not None:
            self._pool_lock.acquire()

    def after_fork(self, *, child: bool) -> None:  # noqa: ARG002 - alike in both
        """Let go of it, in either process."""
        if self._pool_lock is not None:
            self._pool_lock.release()

    def execute(self, request: Request[R]) -> R:
        """Answer *request*, blocking."""
        exchange = self._exchange(request)
        try:
            commands = next(exchange)
            while True:
                commands = exchange.send(self._repeat(commands) if self._retried else self._send(commands))
        except StopIteration as end:
            reply: R = end.value
            return reply
        except (RedisError, OSError) as error:
            raise translate(error, request) from error

    def _repeat(self, commands: Sequence[Command]) -> Sequence[Any]:
        replies: Sequence[Any] = cluster_retry().call_with_retry(lambda: self._send(commands), lambda _: None)
        return replies

    def _send(self, commands: Sequence[Command]) -> Sequence[Any]:
        client = self._client()
        if len(commands) == 1:
            name, arguments, options = commands[0]
            try:
                return [getattr(client, name)(*arguments, **options)]
            except NoScriptError as error:
                return [error]
        with client.pipeline(transaction=False) as pipeline:
            for name, arguments, options in commands:
                getattr(pipeline, name)(*arguments, **options)
            replies: Sequence[Any] = pipeline.execute(raise_on_error=False)
            return replies

    def _exchange(self, request: Request[R]) -> Exchange[R]:
        listing = LISTINGS.get(type(request))
        reply: R
        if listing is not None:
            replies = yield listing.commands(request, self._keyspace)
            reply = listing.parse(_sound(replies), request)
            return reply
        script, call, parse = BINDINGS[type(request)]
        keys, arguments = call(request, self._keyspace)
        confirmation = self._confirmation if isinstance(request, PutCheckpoint | PutWrites) else None
        after: list[Command] = [] if confirmation is None else [("execute_command", ("WAIT", *confirmation), {})]
        replies = yield [_run("EVALSHA", script.sha, keys, arguments), *after]
        if isinstance(replies[0], NoScriptError):
            # The server restarted, or never saw it. EVAL also leaves it there for the next time.
            replies = yield [_run("EVAL", script.source, keys, arguments), *after]
        raw, *_ = _sound(replies[:1])
        reply = parse(raw, request)
        # A put without a reply stored nothing yet: it is sent again whole.
        if (
            confirmation is not None
            and raw is not None
            and (confirmed := _sound(replies[1:]))[0] < confirmation.replicas
        ):
            raise unconfirmed(request, confirmed[0], confirmation.replicas, confirmation.timeout)
        return reply


class AsyncRedisBackend(RedisBackend):
    """Answers requests through a blocking client and through an asyncio one."""

    def __init__(
        self,
        client: Callable[[], Any],
        keyspace: Keyspace,
        async_client: Callable[[], Any],
        confirmation: Confirmation | None = None,
        *,
        retried: bool = False,
    ) -> None:
        """Use the clients that *client* and *async_client* return at each request."""
        super().__init__(client, keyspace, confirmation, retried=retried)
        self._async_client = async_client

    async def aexecute(self, request: Request[R]) -> R:
        """Answer *request* without blocking the event loop."""
        exchange = self._exchange(request)
        try:
            commands = next(exchange)
            while True:
                commands = exchange.send(await (self._arepeat(commands) if self._retried else self._asend(commands)))
        except StopIteration as end:
            reply: R = end.value
            return reply
        except (RedisError, OSError) as error:
            raise translate(error, request) from error

    async def _arepeat(self, commands: Sequence[Command]) -> Sequence[Any]:
        async def settled(_: Exception) -> None:
            pass

        retry = cluster_retry(asynchronous=True)
        replies: Sequence[Any] = await retry.call_with_retry(lambda: self._asend(commands), settled)
        return replies

    async def _asend(self, commands: Sequence[Command]) -> Sequence[Any]:
        client = self._async_client()
        if len(commands) == 1:
            name, arguments, options = commands[0]
            try:
                return [await getattr(client, name)(*arguments, **options)]
            except NoScriptError as error:
                return [error]
        async with client.pipeline(transaction=False) as pipeline:
            for name, arguments, options in commands:
                getattr(pipeline, name)(*arguments, **options)
            replies: Sequence[Any] = await pipeline.execute(raise_on_error=False)
            return replies


def _run(verb: str, script: str, keys: Sequence[bytes], arguments: Sequence[Any]) -> Command:
    return ("execute_command", (verb, script, len(keys), *keys, *arguments), {"NEVER_DECODE": True})


def _sound(replies: Sequence[Any]) -> Sequence[Any]:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies
