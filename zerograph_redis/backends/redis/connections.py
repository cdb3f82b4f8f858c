"""A saver's own connections: one for each OS thread and server, or shared by the tasks of one event loop.

An exception may interrupt a sender anywhere: one assignment puts a connection back, so it is either kept or closed.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache
from time import monotonic
from typing import Any

from redis import exceptions
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from zerograph_redis.fork_hooks import register_at_fork

from .exchange import SHORTEST, Deadlines, Receiver, abort, ahas_unread, exchange, has_unread
from .faults import OutOfTime
from .scripts import Command, command, packed
from .sentinel import AsyncFollowingConnection, FollowingConnection
from .shielding import shielded

IDLE = 1.0
"""Seconds after which a connection is checked before it is used: the server may have closed it."""
AT_ONCE = 100
"""Connections that the tasks of one event loop may use at a time; further tasks wait."""


class _Packer:
    """Packs redis-py's own commands, such as logging in, from bytes alone as well: see `Command`."""

    def pack(self, name: str | bytes, *words: Any) -> list[bytes]:
        """Pack a command, whose name may be several words."""
        return [packed([command(*command(name).words[0].split(), *words)])]


class _Timed:
    """Gives a connection of redis-py's a deadline for all the steps before its first command."""

    _deadline: float | None = None

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"command_packer": _Packer(), **options})
        here: Any = self
        self._usual = here.socket_timeout, here.socket_connect_timeout

    def prepare(self, deadline: float) -> None:
        """Do all that redis-py does before it sends a command: connect, log in, check the connection.

        Raises:
            OutOfTime: It had not ended at *deadline*, by the clock of `monotonic`.
        """
        self._deadline = deadline
        self.send_packed_command(())
        self._deadline = None
        self._set_time_outs(*self._usual)

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's
        self._limit_step()
        super().send_packed_command(command, check_health)  # type: ignore[misc]

    def read_response(self, *given: Any, **options: Any) -> Any:
        self._limit_step()
        return super().read_response(*given, **options)  # type: ignore[misc]

    def _limit_step(self) -> None:
        if self._deadline is None:
            return
        left = self._deadline - monotonic()
        if left <= 0:
            raise OutOfTime
        left = max(left, SHORTEST)
        self._set_time_outs(*(left if each is None else min(each, left) for each in self._usual))

    def _set_time_outs(self, reading: float | None, connecting: float | None) -> None:
        here: Any = self
        here.socket_timeout, here.socket_connect_timeout = reading, connecting
        sock = here._sock  # noqa: SLF001 - this connection's
        if sock is not None:
            sock.settimeout(reading)


@cache
def _timed(kind: type[Any]) -> type[Any]:
    return type(f"Timed{kind.__name__}", (_Timed, kind), {})


class _Kept:
    """A connection that is kept for an OS thread, and closed when nothing refers to this object any more."""

    __slots__ = ("__weakref__", "connection", "follows", "timeout", "used")

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.follows = isinstance(connection, FollowingConnection)
        self.timeout = connection.socket_timeout
        self.used = 0.0

    def __del__(self) -> None:
        self.connection.disconnect()


class OwnConnections:
    """A saver's own connections: one for each OS thread, and each node."""

    def __init__(self) -> None:
        """Begin without connections."""
        self._begin()
        register_at_fork(self)

    def _begin(self) -> None:
        self._local = threading.local()
        self._all: set[weakref.ref[_Kept]] = set()

    def before_fork(self) -> None:
        """Nothing to do: the child does not use them."""

    def after_fork(self, *, child: bool) -> None:
        """Let the child open its own; it closes its copies without sending anything to the server."""
        if child:
            self._begin()

    def send(self, client: Any, commands: Sequence[Command], deadline: float) -> list[Any]:
        """Exchange *commands* with the server of *client*, on the connection of this OS thread."""
        local, pool = self._local.__dict__, client.connection_pool
        kept = local.pop(pool, None) or self._open(pool)
        connection, now = kept.connection, monotonic()
        try:
            if now - kept.used > IDLE or connection._sock is None or (kept.follows and connection.may_be_demoted()):  # noqa: SLF001
                _prepare(kept, deadline)
            replies = exchange(connection, commands, deadline, kept.timeout)
        except (exceptions.RedisError, OSError):
            connection.disconnect()
            raise
        except BaseException:
            # A signal handler that interrupts once may do so again.
            with suppress(OutOfTime):
                shielded(lambda _: connection.disconnect(), IDLE)
            raise
        kept.used = now
        local[pool] = kept
        return replies

    def _open(self, pool: Any) -> _Kept:
        # The caller repeats what fails, within its budget.
        options = {**pool.connection_kwargs, "retry": Retry(NoBackoff(), 0)}
        kept = _Kept(_timed(pool.connection_class)(**options))
        self._all.add(weakref.ref(kept, self._all.discard))
        return kept

    def drop_idle(self, client: Any) -> None:
        """Close the idle connection of this OS thread."""
        self._local.__dict__.pop(client.connection_pool, None)

    def close(self) -> None:
        """Close all connections, those of other OS threads too."""
        for each in list(self._all):
            kept = each()
            if kept is not None:
                kept.connection.disconnect()


def _prepare(kept: _Kept, deadline: float) -> None:
    connection = kept.connection
    if connection._sock is not None and has_unread(connection):  # noqa: SLF001
        connection.disconnect()
    connection.next_health_check = kept.used + connection.health_check_interval
    connection.prepare(deadline)


class _Shared:
    """A connection that tasks use one after the other, and what receives on it."""

    __slots__ = ("connection", "follows", "receiver", "used")

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.follows = isinstance(connection, AsyncFollowingConnection)
        self.receiver: Receiver | None = None
        self.used = 0.0


class AsyncOwnConnections:
    """A saver's own connections for one event loop, which tasks use one after the other."""

    def __init__(self) -> None:
        """Begin without connections."""
        self._idle: list[_Shared] = []
        self._all: weakref.WeakSet[Any] = weakref.WeakSet()
        self._deadlines = Deadlines()
        self._busy = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        """Tasks that wait for a place, in their order."""

    async def send(self, client: Any, commands: Sequence[Command], deadline: float) -> list[Any]:
        """Exchange *commands* with the server of *client*."""
        now, pool = monotonic(), client.connection_pool
        timeout = pool.connection_kwargs.get("socket_timeout")
        if timeout is not None and now + timeout < deadline:
            deadline = now + timeout
        if self._busy < AT_ONCE:
            self._busy += 1
        else:
            await self._wait(deadline)
        try:
            shared = self._idle.pop() if self._idle else self._open(pool)
            replies = None
            try:
                receiver = shared.receiver
                if (
                    receiver is None
                    or receiver.is_closed
                    or now - shared.used > IDLE
                    or (shared.follows and shared.connection.may_be_demoted())
                ):
                    async with until(deadline):
                        receiver = await self._prepare(shared)
                found = await receiver.send(commands, deadline)
                replies = await receiver.checked(found) if receiver.needs_check else found
            finally:
                if replies is None:
                    abort(shared.connection)
            shared.used = now
            self._idle.append(shared)
            return replies
        finally:
            self._leave()

    async def _wait(self, deadline: float) -> None:
        """Wait for the place of another task."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with until(deadline):
                await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self._leave()  # it got a place that it does not need any more
            raise

    def _leave(self) -> None:
        """Give a place to the next task that waits for one."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._busy -= 1

    def _open(self, pool: Any) -> _Shared:
        # One time-out for the whole: redis-py's own, one for each step, each make a task that may swallow a cancellation.
        options = {**pool.connection_kwargs, "retry": AsyncRetry(NoBackoff(), 0), "socket_timeout": None}
        connection = pool.connection_class(**options)
        self._all.add(connection)
        return _Shared(connection)

    async def _prepare(self, shared: _Shared) -> Receiver:
        """Do all that redis-py does before it sends a command: connect, log in, check the connection."""
        connection = shared.connection
        if shared.receiver is not None and connection.is_connected:
            shared.receiver.leave()
            if ahas_unread(connection):
                abort(connection)
        connection.next_health_check = shared.used + connection.health_check_interval
        await connection.send_packed_command(())
        shared.receiver = receiver = Receiver(connection, self._deadlines)
        return receiver

    async def drop_idle(self, client: Any) -> None:  # noqa: ARG002 - all are of one client
        """Close the idle connections."""
        idle, self._idle = self._idle, []
        for shared in idle:
            await shared.connection.disconnect(nowait=True)

    async def aclose(self) -> None:
        """Close all connections."""
        for each in list(self._all):
            await each.disconnect()
        self._idle.clear()


@asynccontextmanager
async def until(deadline: float) -> AsyncIterator[None]:
    """Raise `OutOfTime` at *deadline*, by the clock of `monotonic`."""
    time_out = asyncio.timeout(max(deadline - monotonic(), 0.0))
    try:
        async with time_out:
            yield
    except TimeoutError:
        if not time_out.expired():
            raise
        raise OutOfTime from None
