"""Redis as a backend: each request is one script, one round trip, on a client that redis-py or fakeredis made."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from redis.exceptions import NoScriptError, ResponseError

from zerograph_redis.core.attempts import UNDER_WAY, Attempt
from zerograph_redis.core.bundles import Bundle
from zerograph_redis.core.requests import ListThreads, PutCheckpoint, PutWrites, Request
from zerograph_redis.errors import CheckpointError, ReplicationError
from zerograph_redis.forks import settle
from zerograph_redis.ids import unescape

from .bindings import BINDINGS
from .clients import DRIVER_ERRORS, adoubt, cluster_retry, doubt
from .commands import Command, by_source, routed, run
from .confirmation import Confirmation, asend_to_node, send_to_node
from .eviction import QUESTION, warn_of_eviction
from .faults import is_passing, translate, unconfirmed
from .keys import Keyspace
from .listing import LISTINGS, read_reply
from .ranking import ThreadRankOf

__all__ = ("AsyncRedisBackend", "RedisBackend")

R = TypeVar("R")


class Batch(NamedTuple):
    """Commands for one round trip: on one connection but for a cluster, where each goes to the node of its keys."""

    commands: Sequence[Command]
    confirmed_at: bytes | None = None
    """On a cluster too, on one connection, to the node that has this key: a write, and the wait for its replicas."""


_SOURCES = {script.sha: script.source for script, _, _ in BINDINGS.values()}

Exchange = Generator[Batch, Sequence[Any], R]
"""Yields what to send; gets the replies, errors among them."""


class RedisBackend:
    """Answers requests through a blocking client, from any number of OS threads."""

    def __init__(
        self,
        client: Callable[[], Any],
        keyspace: Keyspace,
        confirmation: Confirmation | None = None,
        *,
        clustered: bool = False,
    ) -> None:
        """Use the client that *client* returns at each request, and wait for replicas if *confirmation* is given.

        A cluster's client by itself repeats too little, so what it does is repeated if *clustered*.
        """
        self._clustered = clustered
        self._looked_at_server = False
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
        UNDER_WAY.set(Attempt(request))
        try:
            batch = next(exchange)
            while True:
                batch = exchange.send(self._repeat(batch) if self._clustered else self._send(batch))
        except StopIteration as end:
            reply: R = end.value
        except ReplicationError:
            # A primary that misses its replicas may be one that a failover left behind.
            doubt(self._client())
            raise
        except DRIVER_ERRORS as error:
            raise translate(error, request) from error
        finally:
            # Not by a reset: a task that is thrown away is closed in another context.
            UNDER_WAY.set(None)
        if not self._looked_at_server:
            self._looked_at_server = True
            self._look_at_server()
        return reply

    def _look_at_server(self) -> None:
        # Not everyone may ask, and nothing depends on the answer.
        with suppress(*DRIVER_ERRORS):
            warn_of_eviction(self._client().execute_command(*QUESTION, **self._everywhere))

    @property
    def _everywhere(self) -> dict[str, str]:
        return {"target_nodes": "primaries"} if self._clustered else {}

    def _repeat(self, batch: Batch) -> Sequence[Any]:
        replies: Sequence[Any] = cluster_retry().call_with_retry(lambda: self._send(batch), lambda _: None)
        return replies

    def _send(self, batch: Batch) -> Sequence[Any]:
        client, commands = self._client(), batch.commands
        if self._clustered and batch.confirmed_at is not None:
            return send_to_node(client, batch.confirmed_at, commands)
        if len(commands) == 1:
            name, arguments, options = commands[0]
            try:
                return [getattr(client, name)(*arguments, **options)]
            except ResponseError as error:
                if is_passing(error):
                    raise
                return [error]
        if self._clustered:
            commands = [routed(command, client) for command in commands]
        with client.pipeline(transaction=False) as pipeline:
            for name, arguments, options in commands:
                getattr(pipeline, name)(*arguments, **options)
            replies: Sequence[Any] = pipeline.execute(raise_on_error=False)
            return replies

    def _exchange(self, request: Request[R]) -> Exchange[R]:
        reply: R
        if isinstance(request, Bundle):
            reply = yield from self._side_by_side(request.requests)
            return reply
        listing = LISTINGS.get(type(request))
        if listing is not None:
            if isinstance(request, ListThreads) and request.cursor is not None and isinstance(request.cursor.name, str):
                # Who names a thread knows when it was written last; the list may say another time, and goes by that.
                asked = ThreadRankOf(unescape(request.cursor.name))
                noted = yield from self._exchange(asked)
                if noted is not None:
                    cursor = request.cursor._replace(updated=noted)
                    request = replace(request, cursor=cursor)  # type: ignore[assignment]
            commands = listing.commands(request, self._keyspace)
            replies = yield Batch(commands)
            if any(isinstance(each, NoScriptError) for each in replies):
                replies = yield Batch([by_source(command, _SOURCES) for command in commands])
            reply = read_reply(listing.parse, replies if listing.sorts_errors else _sound(replies), request)
            return reply
        script, call, parse = BINDINGS[type(request)]
        keys, arguments = call(request, self._keyspace)
        confirmation = self._confirmation if isinstance(request, PutCheckpoint | PutWrites) else None
        after, confirmed_at = ([], None) if confirmation is None else ([confirmation.command], keys[0])
        replies = yield Batch([run("EVALSHA", script.sha, keys, arguments), *after], confirmed_at)
        if isinstance(replies[0], NoScriptError):
            # The server restarted, or never saw it. EVAL also leaves it there for the next time.
            replies = yield Batch([run("EVAL", script.source, keys, arguments), *after], confirmed_at)
        raw, *_ = _sound(replies[:1])
        reply = read_reply(parse, raw, request)
        # A put without a reply stored nothing yet: it is sent again whole.
        if (
            confirmation is not None
            and raw is not None
            and (confirmed := _sound(replies[1:]))[0] < confirmation.replicas
        ):
            raise unconfirmed(request, confirmed[0], confirmation.replicas, confirmation.timeout)
        return reply

    def _side_by_side(self, requests: Sequence[Request[Any]]) -> Exchange[Any]:
        found: list[Any] = [None] * len(requests)
        exchanges = [self._exchange(request) for request in requests]
        asked = {place: next(exchange) for place, exchange in enumerate(exchanges)}
        while asked:
            replies = iter((yield Batch([command for batch in asked.values() for command in batch.commands])))
            answered, asked = asked, {}
            for place, batch in answered.items():
                try:
                    asked[place] = exchanges[place].send(list(islice(replies, len(batch.commands))))
                except StopIteration as end:
                    found[place] = end.value
                except CheckpointError as error:
                    found[place] = error
                except DRIVER_ERRORS as error:
                    found[place] = _caused(translate(error, requests[place]), error)
        return found


class AsyncRedisBackend(RedisBackend):
    """Answers requests through a blocking client and through an asyncio one."""

    def __init__(
        self,
        client: Callable[[], Any],
        keyspace: Keyspace,
        async_client: Callable[[], Any],
        confirmation: Confirmation | None = None,
        *,
        clustered: bool = False,
    ) -> None:
        """Use the clients that *client* and *async_client* return at each request."""
        super().__init__(client, keyspace, confirmation, clustered=clustered)
        self._async_client = async_client

    async def aexecute(self, request: Request[R]) -> R:
        """Answer *request* without blocking the event loop."""
        exchange = self._exchange(request)
        UNDER_WAY.set(Attempt(request))
        try:
            batch = next(exchange)
            while True:
                batch = exchange.send(await (self._arepeat(batch) if self._clustered else self._asend(batch)))
        except StopIteration as end:
            reply: R = end.value
        except ReplicationError:
            await adoubt(self._async_client())
            raise
        except DRIVER_ERRORS as error:
            raise translate(error, request) from error
        finally:
            UNDER_WAY.set(None)  # as above
        if not self._looked_at_server:
            self._looked_at_server = True
            with suppress(*DRIVER_ERRORS):
                warn_of_eviction(await self._async_client().execute_command(*QUESTION, **self._everywhere))
        return reply

    async def _arepeat(self, batch: Batch) -> Sequence[Any]:
        async def settled(_: Exception) -> None:
            pass

        retry = cluster_retry(asynchronous=True)
        replies: Sequence[Any] = await retry.call_with_retry(lambda: self._asend(batch), settled)
        return replies

    async def _asend(self, batch: Batch) -> Sequence[Any]:
        client, commands = self._async_client(), batch.commands
        if self._clustered and batch.confirmed_at is not None:
            return await asend_to_node(client, batch.confirmed_at, commands)
        if len(commands) == 1:
            name, arguments, options = commands[0]
            try:
                return [await getattr(client, name)(*arguments, **options)]
            except ResponseError as error:
                if is_passing(error):
                    raise
                return [error]
        if self._clustered:
            await client.initialize()
            commands = [routed(command, client) for command in commands]
        async with client.pipeline(transaction=False) as pipeline:
            for name, arguments, options in commands:
                getattr(pipeline, name)(*arguments, **options)
            replies: Sequence[Any] = await pipeline.execute(raise_on_error=False)
            return replies


def _caused(error: CheckpointError, cause: Exception) -> CheckpointError:
    error.__cause__ = cause
    return error


def _sound(replies: Sequence[Any]) -> Sequence[Any]:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies
