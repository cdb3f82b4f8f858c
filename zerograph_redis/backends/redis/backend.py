"""Redis as a backend: each request is one script, one round trip, on a client that redis-py or fakeredis made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from time import monotonic
from typing import Any, TypeVar

from redis.exceptions import NoScriptError

from zerograph_redis.core.bundles import Bundle
from zerograph_redis.core.drive import adrive, drive
from zerograph_redis.core.requests import ListThreads, PutCheckpoint, PutWrites, Request
from zerograph_redis.errors import CheckpointError, ReplicationError
from zerograph_redis.forks import settle
from zerograph_redis.ids import unescape

from .bindings import BINDINGS
from .commands import Batch, by_source
from .confirmation import Confirmation
from .eviction import QUESTION, warn_of_eviction
from .faults import translate, unconfirmed
from .keys import Keyspace
from .listing import read_reply
from .ranking import ThreadRankOf
from .retries import TIMEOUT, Tries
from .scripts import SOURCES
from .wires import DRIVER_ERRORS, AsyncWire, Wire

__all__ = ("AsyncRedisBackend", "RedisBackend")

R = TypeVar("R")

ASIDE = 1.0
"""Seconds for a question that nothing depends on."""


Exchange = Generator[Batch, Sequence[Any], R]
"""Yields what to send; gets the replies, errors among them."""


_COMPOSED = frozenset({Bundle, ListThreads})
"""Requests that may take more than one batch."""
_CONFIRMED = frozenset({PutCheckpoint, PutWrites})
"""Requests that replicas confirm."""


class RedisBackend:
    """Answers requests through a blocking client, from any number of OS threads."""

    def __init__(
        self, wire: Wire, keyspace: Keyspace, confirmation: Confirmation | None = None, *, timeout: float = TIMEOUT
    ) -> None:
        """Send on *wire*, for *timeout* seconds a request, and wait for replicas if *confirmation* is given."""
        self._looked_at_server = False
        self._wire = wire
        self._keyspace = keyspace
        self._confirmation = confirmation
        self._timeout = timeout
        self._fork_locks: list[Any] = []
        settle(self)

    def before_fork(self) -> None:
        """Hold the locks of redis-py, some of which it takes in the child to open connections of its own."""
        self._fork_locks = self._wire.locks()
        for each in self._fork_locks:
            each.acquire()

    def after_fork(self, *, child: bool) -> None:  # noqa: ARG002 - alike in both
        """Release them, in either process."""
        for each in self._fork_locks:
            each.release()

    def execute(self, request: Request[R]) -> R:
        """Answer *request*, blocking."""
        tries = Tries(request, self._wire.policy, self._timeout)
        try:
            if type(request) in _COMPOSED:
                reply: R = drive(self._steps(request), partial(self._send, tries))
            else:
                batch = self._batch(request)
                replies = self._send(tries, batch)
                if NoScriptError in map(type, replies):
                    replies = self._send(tries, _with_sources(batch))
                reply = self._read(request, replies)
        except ReplicationError:
            # A primary that misses its replicas may be one that a failover left behind.
            self._wire.doubt()
            raise
        except DRIVER_ERRORS as error:
            raise translate(error, request, tries) from error
        if not self._looked_at_server:
            self._looked_at_server = True
            # Not everyone may ask, and nothing depends on the answer.
            with suppress(*DRIVER_ERRORS):
                warn_of_eviction(self._wire.send(Batch([QUESTION]), monotonic() + ASIDE, everywhere=True))
        return reply

    def _send(self, tries: Tries, batch: Batch) -> Sequence[Any]:
        while True:
            try:
                return self._wire.send(batch, tries.deadline)
            except tries.errors as error:
                pause = tries.pause(error)
            time.sleep(pause)

    def _batch(self, request: Request[Any]) -> Batch:
        """What is sent for a request."""
        commands = BINDINGS[type(request)].commands(request, self._keyspace)
        if self._confirmation is not None and type(request) in _CONFIRMED:
            return Batch((*commands, self._confirmation.command), together=True)
        return Batch(commands)

    def _read(self, request: Request[R], replies: Sequence[Any]) -> R:
        """What the replies to `_batch` say."""
        binding = BINDINGS[type(request)]
        if not binding.takes_errors:
            for each in replies:
                if isinstance(each, Exception):
                    raise each
        reply: R = read_reply(binding.parse, replies, request)
        confirmation = self._confirmation
        # A put without a reply stored nothing yet: it is sent again whole.
        if (
            confirmation is not None
            and type(request) in _CONFIRMED
            and replies[0] is not None
            and replies[1] < confirmation.replicas
        ):
            raise unconfirmed(request, replies[1], confirmation.replicas, confirmation.timeout)
        return reply

    def _steps(self, request: Request[R]) -> Exchange[R]:
        """Answer a request that may take more than one batch."""
        reply: Any
        if isinstance(request, Bundle):
            reply = yield from self._side_by_side(request.requests)
            return reply  # type: ignore[no-any-return]
        if isinstance(request, ListThreads):
            request = yield from self._noted(request)
        batch = self._batch(request)
        replies = yield batch
        if NoScriptError in map(type, replies):
            # The server restarted, or never saw it. EVAL also leaves it there for the next time.
            replies = yield _with_sources(batch)
        return self._read(request, replies)

    def _noted(self, request: ListThreads) -> Exchange[Any]:
        """Begin where the list has the named thread: it may say another time than that of the thread's last write."""
        cursor = request.cursor
        if cursor is None or not isinstance(cursor.name, str):
            return request
        noted = yield from self._steps(ThreadRankOf(unescape(cursor.name)))
        return request if noted is None else replace(request, cursor=cursor._replace(updated=noted))

    def _side_by_side(self, requests: Sequence[Request[Any]]) -> Exchange[Any]:
        found: list[Any] = [None] * len(requests)
        exchanges = [self._steps(request) for request in requests]
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
        wire: Wire,
        async_wire: Callable[[], AsyncWire],
        keyspace: Keyspace,
        confirmation: Confirmation | None = None,
        *,
        timeout: float = TIMEOUT,
    ) -> None:
        """Send on *wire*, and what is awaited on the wire that *async_wire* returns at each request."""
        super().__init__(wire, keyspace, confirmation, timeout=timeout)
        self._async_wire = async_wire

    async def aexecute(self, request: Request[R]) -> R:
        """Answer *request* without blocking the event loop."""
        wire = self._async_wire()
        tries = Tries(request, wire.policy, self._timeout)
        try:
            if type(request) in _COMPOSED:
                reply: R = await adrive(self._steps(request), partial(self._asend, wire, tries))
            else:
                batch = self._batch(request)
                replies = await self._asend(wire, tries, batch)
                if NoScriptError in map(type, replies):
                    replies = await self._asend(wire, tries, _with_sources(batch))
                reply = self._read(request, replies)
        except ReplicationError:
            await wire.doubt()
            raise
        except DRIVER_ERRORS as error:
            raise translate(error, request, tries) from error
        if not self._looked_at_server:
            self._looked_at_server = True
            with suppress(*DRIVER_ERRORS):
                warn_of_eviction(await wire.send(Batch([QUESTION]), monotonic() + ASIDE, everywhere=True))
        return reply

    async def _asend(self, wire: AsyncWire, tries: Tries, batch: Batch) -> Sequence[Any]:
        while True:
            try:
                return await wire.send(batch, tries.deadline)
            except tries.errors as error:
                pause = tries.pause(error)
            await asyncio.sleep(pause)


def _caused(error: CheckpointError, cause: Exception) -> CheckpointError:
    error.__cause__ = cause
    return error


def _with_sources(batch: Batch) -> Batch:
    return batch._replace(commands=[by_source(each, SOURCES) for each in batch.commands])
