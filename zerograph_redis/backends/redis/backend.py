"""Redis as a backend: each request is one script, one round trip, on a client that redis-py or fakeredis made."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from time import monotonic
from typing import Any, NamedTuple, TypeVar, cast

from redis.exceptions import NoScriptError

from zerograph_redis.core.bundles import Bundle
from zerograph_redis.core.drive import adrive, drive
from zerograph_redis.core.examination import ReadIndexEntry
from zerograph_redis.core.requests import ListThreads, PutCheckpoint, PutWrites, Request
from zerograph_redis.display import about, visible
from zerograph_redis.errors import CheckpointError, ReplicationError
from zerograph_redis.fork_hooks import register_at_fork
from zerograph_redis.ids import unescape

from .bindings import BINDINGS
from .clients import server_of
from .faults import DRIVER_ERRORS, TIMEOUT, Policy, Tries, translate, unconfirmed
from .keys import Keyspace
from .scripts import Binding, Command, by_source, command
from .thread_bindings import read_reply
from .transport import AsyncTransport, Transport

R = TypeVar("R")

_log = logging.getLogger(__name__)

Replies = Sequence[Any]
_Call = Callable[[Any], Any]
"""What to do with a transport, blocking or asyncio."""
_Calls = Generator[_Call, Any, R]
"""Yields calls; gets what each returns, or the error of redis-py that it raised."""
_Batches = Generator[Sequence[Command], Replies, R]
"""Yields commands; gets their replies, the server's errors among them."""

_COMPOSED = frozenset({Bundle, ListThreads})
"""Requests that may take more than one batch of commands."""
_REPLICATED = frozenset({PutCheckpoint, PutWrites})
"""Requests that replicas confirm."""

_ASK_MEMORY = command("INFO", "memory")
"""Not CONFIG GET, which few users of a managed server may run."""
_ASK_SECONDS = 1.0
_POLICY = re.compile(rb"^maxmemory_policy:(\S+)", re.MULTILINE)


class Replication(NamedTuple):
    """How many replicas must confirm a write, and for how many ms to wait for them."""

    replicas: int
    timeout: int

    @property
    def command(self) -> Command:
        """What follows the write. WAIT counts for the connection that wrote, so both go to one node on one connection."""
        return command("WAIT", self.replicas, self.timeout)


class RedisBackend:
    """Answers requests through a blocking client, from any number of OS threads."""

    def __init__(
        self,
        transport: Transport,
        keyspace: Keyspace,
        replication: Replication | None = None,
        *,
        timeout: float = TIMEOUT,
    ) -> None:
        """Send on *transport*, for *timeout* seconds a request, and wait for replicas if *replication* is given."""
        self.transport = transport
        self.keyspace = keyspace
        self._replication = replication
        self._timeout = timeout
        self._simple: Mapping[Any, Binding] = {}
        """Bindings of the requests that are one batch; empty until the first answer, after which the server is checked."""
        self._fork_locks: list[Any] = []
        register_at_fork(self)

    def before_fork(self) -> None:
        """Hold the locks of redis-py, some of which it takes in the child to open the child's connections."""
        for each in self.transport.locks():
            self._fork_locks.append(each)
            each.acquire()

    def after_fork(self, *, child: bool) -> None:  # noqa: ARG002 - alike in both
        """Release them in either process: each, even if another is not held since an exception hit `before_fork`."""
        while self._fork_locks:
            with suppress(RuntimeError):
                self._fork_locks[-1].release()
            self._fork_locks.pop()

    def execute(self, request: Request[R]) -> R:
        """Answer *request*, blocking."""
        # Nearly always one command is sent once, and its reply is no error. `_calls` does all the rest.
        deadline = monotonic() + self._timeout
        commands: Sequence[Command] = ()
        outcome: Any = None
        binding = self._simple.get(type(request))
        if binding is not None:
            commands = binding.commands(request, self.keyspace)
            try:
                outcome = self.transport.send(commands, deadline)
            except DRIVER_ERRORS as error:
                outcome = error
            else:
                if len(outcome) == 1 and not isinstance(outcome[0], Exception):
                    return read_reply(binding.parse, outcome, request)  # type: ignore[no-any-return]
        return drive(self._calls(request, self.transport.policy, deadline, commands, outcome), self._do)

    def _do(self, call: _Call) -> Any:
        try:
            return call(self.transport)
        except DRIVER_ERRORS as error:
            return error

    def _calls(
        self, request: Request[R], policy: Policy, deadline: float, commands: Sequence[Command], outcome: Any
    ) -> _Calls[R]:
        """Answer a request with as many batches and tries as it takes.

        *commands* may have been sent once already; then *outcome* is their replies, or the error of redis-py.
        """
        tries = Tries(request, policy, self._timeout, deadline)
        try:
            if isinstance(outcome, Exception):
                outcome = yield from _sent(tries, commands, outcome)
            batches = self._batches(request, commands, outcome)
            replies: Any = None
            while True:
                try:
                    batch = batches.send(replies)
                except StopIteration as end:
                    reply: R = end.value
                    break
                replies = yield from _sent(tries, batch)
        except ReplicationError:
            # The old primary of a failover may be without replicas.
            yield lambda transport: transport.drop_idle()
            raise
        except DRIVER_ERRORS as error:
            raise translate(error, request, server_of(self.transport.client), tries) from error
        if not self._simple:
            composed = _COMPOSED if self._replication is None else _COMPOSED | _REPLICATED
            self._simple = {kind: binding for kind, binding in BINDINGS.items() if kind not in composed}
            found = yield lambda transport: transport.send_everywhere([_ASK_MEMORY], monotonic() + _ASK_SECONDS)
            if not isinstance(found, Exception):  # not everyone may ask
                _warn_of_eviction(found)
        return reply

    def _batches(
        self, request: Request[R], commands: Sequence[Command] = (), replies: Replies | None = None
    ) -> _Batches[R]:
        """Send one batch of commands or more, until the replies answer a request; *commands* may have *replies* already."""
        kind: Any = type(request)
        reply: Any
        if kind is Bundle:
            reply = yield from self._side_by_side(cast("Bundle", request).requests)
            return reply  # type: ignore[no-any-return]
        if kind is ListThreads:
            request = yield from self._from_entry(cast("ListThreads", request))
        binding = BINDINGS[kind]
        replication = self._replication if kind in _REPLICATED else None
        if replies is None:
            commands = binding.commands(request, self.keyspace)
            if replication is not None:
                commands = (*commands, replication.command)
            replies = yield commands
        if NoScriptError in map(type, replies):
            # The server restarted, or never had the script. EVAL also stores it for the next time.
            replies = yield [by_source(each) for each in commands]
        if not binding.takes_errors:
            for each in replies:
                if isinstance(each, Exception):
                    raise each
        reply = read_reply(binding.parse, replies, request)
        # A put without a reply stored nothing: the state is sent again, whole.
        if replication is not None and replies[0] is not None and replies[1] < replication.replicas:
            raise unconfirmed(request, replies[1], *replication)
        return reply  # type: ignore[no-any-return]

    def _from_entry(self, request: ListThreads) -> _Batches[Any]:
        """Begin at the named thread's entry in the thread index, whose time may differ from the thread's last write."""
        cursor = request.cursor
        if cursor is None or not isinstance(cursor.name, str):
            return request
        updated = yield from self._batches(ReadIndexEntry(unescape(cursor.name)))
        return request if updated is None else replace(request, cursor=cursor._replace(updated=updated))

    def _side_by_side(self, requests: Sequence[Request[Any]]) -> _Batches[Any]:
        found: list[Any] = [None] * len(requests)
        running = [self._batches(request) for request in requests]
        waiting = {place: next(batches) for place, batches in enumerate(running)}
        while waiting:
            replies = iter((yield [each for commands in waiting.values() for each in commands]))
            answered, waiting = waiting, {}
            for place, commands in answered.items():
                try:
                    waiting[place] = running[place].send(list(islice(replies, len(commands))))
                except StopIteration as end:
                    found[place] = end.value
                except CheckpointError as error:
                    found[place] = error
                except DRIVER_ERRORS as error:
                    found[place] = translate(error, requests[place], server_of(self.transport.client))
                    found[place].__cause__ = error
        return found


def _sent(tries: Tries, commands: Sequence[Command], outcome: Any = None) -> _Calls[Replies]:
    """Send *commands* until there are replies, or no try is left; *outcome* may be the error of the first try."""
    while True:
        if outcome is None:
            outcome = yield lambda transport: transport.send(commands, tries.deadline)
        if not isinstance(outcome, Exception):
            return outcome  # type: ignore[no-any-return]
        if not isinstance(outcome, tries.policy.errors):
            raise outcome
        pause = tries.pause(outcome)
        yield lambda transport: transport.sleep(pause)  # noqa: B023 - called before the next round
        outcome = None


def _warn_of_eviction(answers: Replies) -> None:
    """Warn if a server may evict keys, and with them parts of threads."""
    for answer in answers:
        found = _POLICY.search(answer) if isinstance(answer, bytes) else None
        if found is not None and found[1] != b"noeviction":
            _log.warning(
                "the server's maxmemory-policy is %s: when its memory is full it removes keys, and with them parts of a "
                "thread, which then cannot be read. Set it to noeviction, and use ttl, keep_last or max_age",
                visible(found[1].decode(errors="replace")),
                extra=about(None),
            )
            return


class AsyncRedisBackend(RedisBackend):
    """Answers requests through a blocking client and through an asyncio client."""

    def __init__(
        self,
        transport: Transport,
        async_transport: Callable[[], AsyncTransport],
        keyspace: Keyspace,
        replication: Replication | None = None,
        *,
        timeout: float = TIMEOUT,
    ) -> None:
        """Send on *transport*, and awaited requests on the transport that *async_transport* returns at each request."""
        super().__init__(transport, keyspace, replication, timeout=timeout)
        self._async_transport = async_transport

    async def aexecute(self, request: Request[R]) -> R:
        """Answer *request* without blocking the event loop."""
        transport = self._async_transport()
        deadline = monotonic() + self._timeout
        commands: Sequence[Command] = ()
        outcome: Any = None
        binding = self._simple.get(type(request))
        if binding is not None:
            commands = binding.commands(request, self.keyspace)
            try:
                outcome = await transport.send(commands, deadline)
            except DRIVER_ERRORS as error:
                outcome = error
            else:
                if len(outcome) == 1 and not isinstance(outcome[0], Exception):
                    return read_reply(binding.parse, outcome, request)  # type: ignore[no-any-return]

        async def do(call: _Call) -> Any:
            try:
                return await call(transport)
            except DRIVER_ERRORS as error:
                return error

        return await adrive(self._calls(request, transport.policy, deadline, commands, outcome), do)
