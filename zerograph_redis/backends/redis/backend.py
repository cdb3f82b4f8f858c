"""Redis as a backend: each request is one script, one round trip, on a client that redis-py or fakeredis made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from time import monotonic
from typing import Any, TypeVar, cast

from redis.exceptions import NoScriptError

from zerograph_redis.core import bounds
from zerograph_redis.core.bundles import Bundle
from zerograph_redis.core.refusals import asked_for
from zerograph_redis.core.requests import ListThreads, PutCheckpoint, PutWrites, Request
from zerograph_redis.errors import CheckpointError, ReplicationError
from zerograph_redis.forks import settle
from zerograph_redis.ids import unescape

from .bindings import BINDINGS
from .commands import Command, by_source
from .confirmation import Confirmation
from .eviction import QUESTION, warn_of_eviction
from .faults import translate, unconfirmed
from .keys import Keyspace
from .ranking import ThreadRankOf
from .retries import TIMEOUT, Tries
from .scripts import SOURCES, Binding
from .wires import DRIVER_ERRORS, AsyncWire, Wire

__all__ = ("AsyncRedisBackend", "RedisBackend")

R = TypeVar("R")

ASIDE = 1.0
"""Seconds for a question that nothing depends on."""


Replies = Sequence[Any]
Exchange = Generator[Sequence[Command], Replies, R]
"""Yields what to send; gets the replies, errors among them."""
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
        wire, steps = self._wire, self._steps(request)
        replies: Any = None
        tries: Tries | None = None
        deadline = monotonic() + self._timeout
        try:
            while True:
                try:
                    commands = steps.send(replies)
                except StopIteration as end:
                    reply: R = end.value
                    break
                while True:
                    try:
                        replies = wire.send(commands, deadline)
                        break
                    except wire.policy.errors as error:
                        tries = tries or Tries(request, wire.policy, self._timeout, deadline)
                        pause = tries.pause(error)
                    time.sleep(pause)
        except ReplicationError:
            # A primary that misses its replicas may be one that a failover left behind.
            wire.doubt()
            raise
        except DRIVER_ERRORS as error:
            raise translate(error, request, tries) from error
        if not self._looked_at_server:
            self._looked_at_server = True
            # Not everyone may ask, and nothing depends on the answer.
            with suppress(*DRIVER_ERRORS):
                warn_of_eviction(wire.send_everywhere([QUESTION], monotonic() + ASIDE))
        return reply

    def _steps(self, request: Request[R]) -> Exchange[R]:
        """What is sent for a request, once or more often, until the replies say what answers it."""
        kind: Any = type(request)
        reply: Any
        if kind is Bundle:
            reply = yield from self._side_by_side(cast("Bundle", request).requests)
            return reply  # type: ignore[no-any-return]
        if kind is ListThreads:
            request = yield from self._noted(cast("ListThreads", request))
        binding = BINDINGS[kind]
        confirmation = self._confirmation if kind in _CONFIRMED else None
        commands = binding.commands(request, self._keyspace)
        if confirmation is not None:
            commands = (*commands, confirmation.command)
        replies = yield commands
        for each in replies:
            if isinstance(each, Exception):
                replies = yield from _past_errors(replies, commands, binding)
                break
        try:
            reply = binding.parse(replies, request)
        except bounds.UNREADABLE as error:
            raise bounds.unreadable(asked_for(request), error) from error
        # A put without a reply stored nothing yet: it is sent again whole.
        if confirmation is not None and replies[0] is not None and replies[1] < confirmation.replicas:
            raise unconfirmed(request, replies[1], confirmation.replicas, confirmation.timeout)
        return reply  # type: ignore[no-any-return]

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
            replies = iter((yield [each for commands in asked.values() for each in commands]))
            answered, asked = asked, {}
            for place, commands in answered.items():
                try:
                    asked[place] = exchanges[place].send(list(islice(replies, len(commands))))
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
        wire, steps = self._async_wire(), self._steps(request)
        replies: Any = None
        tries: Tries | None = None
        deadline = monotonic() + self._timeout
        try:
            while True:
                try:
                    commands = steps.send(replies)
                except StopIteration as end:
                    reply: R = end.value
                    break
                while True:
                    try:
                        replies = await wire.send(commands, deadline)
                        break
                    except wire.policy.errors as error:
                        tries = tries or Tries(request, wire.policy, self._timeout, deadline)
                        pause = tries.pause(error)
                    await asyncio.sleep(pause)
        except ReplicationError:
            await wire.doubt()
            raise
        except DRIVER_ERRORS as error:
            raise translate(error, request, tries) from error
        if not self._looked_at_server:
            self._looked_at_server = True
            with suppress(*DRIVER_ERRORS):
                warn_of_eviction(await wire.send_everywhere([QUESTION], monotonic() + ASIDE))
        return reply


def _past_errors(replies: Replies, commands: Sequence[Command], binding: Binding) -> Exchange[Replies]:
    """Send again what a server did not know the script of; raise what it refuses."""
    if NoScriptError in map(type, replies):
        # The server restarted, or never saw it. EVAL also leaves it there for the next time.
        replies = yield [by_source(each, SOURCES) for each in commands]
    if not binding.takes_errors:
        for each in replies:
            if isinstance(each, Exception):
                raise each
    return replies


def _caused(error: CheckpointError, cause: Exception) -> CheckpointError:
    error.__cause__ = cause
    return error
