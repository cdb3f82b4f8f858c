"""Redis as a backend: each request is one script, one round trip, on a client that redis-py or fakeredis made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from time import monotonic
from typing import Any, TypeVar, cast

from redis.exceptions import NoScriptError

from zerograph_redis.core.bundles import Bundle
from zerograph_redis.core.drive import adrive, drive
from zerograph_redis.core.examination import LookUpThread
from zerograph_redis.core.requests import ListThreads, PutCheckpoint, PutWrites, Request
from zerograph_redis.errors import CheckpointError, ReplicationError
from zerograph_redis.forks import settle
from zerograph_redis.ids import unescape

from .bindings import BINDINGS
from .commands import Command, by_source
from .eviction import QUESTION, warn_of_eviction
from .faults import translate, unconfirmed
from .keys import Keyspace
from .listing import read_reply
from .replication import Replication
from .retries import TIMEOUT, Tries
from .scripts import SOURCES, Binding
from .wires import DRIVER_ERRORS, AsyncWire, Wire

R = TypeVar("R")

ASIDE = 1.0
"""Seconds for a question that nothing depends on."""


Replies = Sequence[Any]
Outcome = Replies | Exception | None
"""What became of a first try; None if there was none."""
Exchange = Generator[Sequence[Command], Replies, R]
"""Yields what to send; gets the replies, errors among them."""

_COMPOSED = frozenset({Bundle, ListThreads})
"""Requests that may take more than one batch."""
_CONFIRMED = frozenset({PutCheckpoint, PutWrites})
"""Requests that replicas confirm."""


class RedisBackend:
    """Answers requests through a blocking client, from any number of OS threads."""

    def __init__(
        self, wire: Wire, keyspace: Keyspace, confirmation: Replication | None = None, *, timeout: float = TIMEOUT
    ) -> None:
        """Send on *wire*, for *timeout* seconds a request, and wait for replicas if *confirmation* is given."""
        self.wire = wire
        self.keyspace = keyspace
        self._confirmation = confirmation
        self._timeout = timeout
        self._simple: Mapping[Any, Binding] = {}
        """The kinds of requests that are one batch, once there was an answer: after the first, the server is looked at."""
        self._fork_locks: list[Any] = []
        settle(self)

    def before_fork(self) -> None:
        """Hold the locks of redis-py, some of which it takes in the child to open connections of its own."""
        for each in self.wire.locks():
            self._fork_locks.append(each)
            each.acquire()

    def after_fork(self, *, child: bool) -> None:  # noqa: ARG002 - alike in both
        """Release them, in either process: each, also if another is not held since an exception hit `before_fork`."""
        while self._fork_locks:
            with suppress(RuntimeError):
                self._fork_locks[-1].release()
            self._fork_locks.pop()

    def execute(self, request: Request[R]) -> R:
        """Answer *request*, blocking."""
        # Nearly always it is sent once, and its replies are no errors: all else is left to those who go on.
        deadline = monotonic() + self._timeout
        commands: Sequence[Command] = ()
        outcome: Any = None
        binding = self._simple.get(type(request))
        if binding is not None:
            commands = binding.commands(request, self.keyspace)
            try:
                outcome = self.wire.send(commands, deadline)
            except DRIVER_ERRORS as error:
                outcome = error
            else:
                for each in outcome:
                    if isinstance(each, Exception):
                        break
                else:
                    return read_reply(binding.parse, outcome, request)  # type: ignore[no-any-return]
        return self._go_on(request, deadline, commands, outcome)

    def _go_on(self, request: Request[R], deadline: float, commands: Sequence[Command], outcome: Outcome) -> R:
        """Answer a request by as many tries and batches as it takes. *commands* may have been sent, with some *outcome*."""
        tries = Tries(request, self.wire.policy, self._timeout, deadline)
        try:
            if isinstance(outcome, Exception):
                outcome = self._send(tries, commands, outcome)
            reply = drive(self._steps(request, commands, outcome), partial(self._send, tries))
        except ReplicationError:
            # A primary that misses its replicas may be one that a failover left behind.
            self.wire.doubt()
            raise
        except DRIVER_ERRORS as error:
            raise translate(error, request, tries) from error
        if not self._simple:
            self._note_simple()
            # Not everyone may ask, and nothing depends on the answer.
            with suppress(*DRIVER_ERRORS):
                warn_of_eviction(self.wire.send_everywhere([QUESTION], monotonic() + ASIDE))
        return reply

    def _note_simple(self) -> None:
        """Note that there was an answer, so that from now on most requests only need to be sent."""
        composed = _COMPOSED if self._confirmation is None else _COMPOSED | _CONFIRMED
        self._simple = {kind: binding for kind, binding in BINDINGS.items() if kind not in composed}

    def _send(self, tries: Tries, commands: Sequence[Command], failed: Exception | None = None) -> Replies:
        """Send *commands* until there is an answer, or no try left; a first try may have *failed*."""
        while True:
            try:
                if failed is not None:
                    raise failed
                return self.wire.send(commands, tries.deadline)
            except self.wire.policy.errors as error:
                failed, pause = None, tries.pause(error)
            time.sleep(pause)

    def _steps(
        self, request: Request[R], commands: Sequence[Command] = (), replies: Replies | None = None
    ) -> Exchange[R]:
        """What is sent for a request, once or more often, until the replies answer it; *commands* may have some already."""
        kind: Any = type(request)
        reply: Any
        if kind is Bundle:
            reply = yield from self._side_by_side(cast("Bundle", request).requests)
            return reply  # type: ignore[no-any-return]
        if kind is ListThreads:
            request = yield from self._noted(cast("ListThreads", request))
        binding = BINDINGS[kind]
        confirmation = self._confirmation if kind in _CONFIRMED else None
        if replies is None:
            commands = binding.commands(request, self.keyspace)
            if confirmation is not None:
                commands = (*commands, confirmation.command)
            replies = yield commands
        if NoScriptError in map(type, replies):
            # The server restarted, or never saw it. EVAL also leaves it there for the next time.
            replies = yield [by_source(each, SOURCES) for each in commands]
        if not binding.takes_errors:
            for each in replies:
                if isinstance(each, Exception):
                    raise each
        reply = read_reply(binding.parse, replies, request)
        # A put without a reply stored nothing yet: it is sent again whole.
        if confirmation is not None and replies[0] is not None and replies[1] < confirmation.replicas:
            raise unconfirmed(request, replies[1], confirmation.replicas, confirmation.timeout)
        return reply  # type: ignore[no-any-return]

    def _noted(self, request: ListThreads) -> Exchange[Any]:
        """Begin where the list has the named thread: it may say another time than that of the thread's last write."""
        cursor = request.cursor
        if cursor is None or not isinstance(cursor.name, str):
            return request
        noted = yield from self._steps(LookUpThread(unescape(cursor.name)))
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
        confirmation: Replication | None = None,
        *,
        timeout: float = TIMEOUT,
    ) -> None:
        """Send on *wire*, and what is awaited on the wire that *async_wire* returns at each request."""
        super().__init__(wire, keyspace, confirmation, timeout=timeout)
        self._async_wire = async_wire

    async def aexecute(self, request: Request[R]) -> R:
        """Answer *request* without blocking the event loop."""
        wire = self._async_wire()
        deadline = monotonic() + self._timeout
        commands: Sequence[Command] = ()
        outcome: Any = None
        binding = self._simple.get(type(request))
        if binding is not None:
            commands = binding.commands(request, self.keyspace)
            try:
                outcome = await wire.send(commands, deadline)
            except DRIVER_ERRORS as error:
                outcome = error
            else:
                for each in outcome:
                    if isinstance(each, Exception):
                        break
                else:
                    return read_reply(binding.parse, outcome, request)  # type: ignore[no-any-return]
        return await self._ago_on(wire, request, deadline, commands, outcome)

    async def _ago_on(
        self, wire: AsyncWire, request: Request[R], deadline: float, commands: Sequence[Command], outcome: Outcome
    ) -> R:
        tries = Tries(request, wire.policy, self._timeout, deadline)
        try:
            if isinstance(outcome, Exception):
                outcome = await self._asend(wire, tries, commands, outcome)
            reply = await adrive(self._steps(request, commands, outcome), partial(self._asend, wire, tries))
        except ReplicationError:
            await wire.doubt()
            raise
        except DRIVER_ERRORS as error:
            raise translate(error, request, tries) from error
        if not self._simple:
            self._note_simple()
            with suppress(*DRIVER_ERRORS):
                warn_of_eviction(await wire.send_everywhere([QUESTION], monotonic() + ASIDE))
        return reply

    async def _asend(
        self, wire: AsyncWire, tries: Tries, commands: Sequence[Command], failed: Exception | None = None
    ) -> Replies:
        while True:
            try:
                if failed is not None:
                    raise failed
                return await wire.send(commands, tries.deadline)
            except wire.policy.errors as error:
                failed, pause = None, tries.pause(error)
            await asyncio.sleep(pause)


def _caused(error: CheckpointError, cause: Exception) -> CheckpointError:
    error.__cause__ = cause
    return error
