"""Connections of a saver's own: one for each OS thread and server, or handed out within one event loop.

Where an exception hits does not matter: putting a connection back is one assignment, which was done or was not.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

from redis import exceptions
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from zerograph_redis.forks import settle

from .commands import Command
from .connections import timed
from .exchange import Receiver, Watch, adrop, ahas_news, exchange, has_news, sort_out
from .helpers import undisturbed
from .retries import OutOfTime
from .sentinel import AsyncFollowingConnection, FollowingConnection

IDLE = 1.0
"""Seconds after which a connection is looked at before it is used: the server may have closed it."""
AT_ONCE = 100
"""Connections that the tasks of one event loop may have at a time; more wait."""


class _Line:
    """A connection of a saver's own; what nobody has any more is closed."""

    __slots__ = ("__weakref__", "connection", "follows", "patience", "used")

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.follows = isinstance(connection, FollowingConnection)
        self.patience = connection.patience
        self.used = 0.0

    def __del__(self) -> None:
        self.connection.disconnect()


class Own:
    """Connections of a saver's own: one for each OS thread, and each node."""

    def __init__(self) -> None:
        """Open none yet."""
        self._begin()
        settle(self)

    def _begin(self) -> None:
        self._kept = threading.local()
        self._all: set[weakref.ref[_Line]] = set()

    def before_fork(self) -> None:
        """Nothing: the child does not use them."""

    def after_fork(self, *, child: bool) -> None:
        """Have the child open its own; it closes its copies without a word to the server."""
        if child:
            self._begin()

    def send(self, client: Any, commands: Sequence[Command], deadline: float) -> list[Any]:
        """Exchange *commands* with the server of *client*, on the connection of this OS thread."""
        kept, pool = self._kept.__dict__, client.connection_pool
        line = kept.pop(pool, None) or self._open(pool)
        connection, now = line.connection, monotonic()
        try:
            if now - line.used > IDLE or connection._sock is None or (line.follows and connection.is_doubtful()):  # noqa: SLF001
                _prepare(line, deadline)
            replies = exchange(connection, commands, deadline, line.patience)
        except (exceptions.RedisError, OSError):
            connection.disconnect()
            raise
        except BaseException:
            # Who interrupts once may do so again.
            with suppress(TimeoutError):
                undisturbed(lambda _: connection.disconnect(), IDLE)
            raise
        line.used = now
        kept[pool] = line
        return replies

    def _open(self, pool: Any) -> _Line:
        # What fails is tried again by the caller, within its budget.
        options = {**pool.connection_kwargs, "retry": Retry(NoBackoff(), 0)}
        line = _Line(timed(pool.connection_class)(**options))
        self._all.add(weakref.ref(line, self._all.discard))
        return line

    def doubt(self, client: Any) -> None:
        """Close the connection of this OS thread, so that another asks where to go."""
        self._kept.__dict__.pop(client.connection_pool, None)

    def close(self) -> None:
        """Close all of them, those of other OS threads too."""
        for each in list(self._all):
            line = each()
            if line is not None:
                line.connection.disconnect()


def _prepare(line: _Line, deadline: float) -> None:
    connection = line.connection
    if connection._sock is not None and has_news(connection):  # noqa: SLF001
        connection.disconnect()
    connection.next_health_check = line.used + connection.health_check_interval
    connection.prepare(deadline)


class _AsyncLine:
    """A connection of a saver's own, and what receives on it."""

    __slots__ = ("connection", "follows", "receiver", "used")

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.follows = isinstance(connection, AsyncFollowingConnection)
        self.receiver: Receiver | None = None
        self.used = 0.0


class AsyncOwn:
    """Connections of a saver's own for one event loop, handed out to one task after the other."""

    def __init__(self) -> None:
        """Open none yet."""
        self._free: list[_AsyncLine] = []
        self._all: weakref.WeakSet[Any] = weakref.WeakSet()
        self._watch = Watch()
        self._busy = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        """Tasks that wait for a place, in their order."""

    async def send(self, client: Any, commands: Sequence[Command], deadline: float) -> list[Any]:
        """Exchange *commands* with the server of *client*."""
        now, pool = monotonic(), client.connection_pool
        patience = pool.connection_kwargs.get("socket_timeout")
        if patience is not None and now + patience < deadline:
            deadline = now + patience
        if self._busy < AT_ONCE:
            self._busy += 1
        else:
            await self._wait(deadline)
        try:
            line = self._free.pop() if self._free else self._open(pool)
            replies = None
            try:
                receiver = line.receiver
                if (
                    receiver is None
                    or receiver.is_over
                    or now - line.used > IDLE
                    or (line.follows and line.connection.is_doubtful())
                ):
                    async with until(deadline):
                        receiver = await self._prepare(line)
                found = await receiver.ask(commands, deadline)
                replies = await sort_out(line.connection, found) if receiver.is_odd else found
            finally:
                if replies is None:
                    adrop(line.connection)
            line.used = now
            self._free.append(line)
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

    def _open(self, pool: Any) -> _AsyncLine:
        # One time-out for the whole: redis-py's own, one for each step, each make a task that may swallow a cancellation.
        options = {**pool.connection_kwargs, "retry": AsyncRetry(NoBackoff(), 0), "socket_timeout": None}
        connection = pool.connection_class(**options)
        self._all.add(connection)
        return _AsyncLine(connection)

    async def _prepare(self, line: _AsyncLine) -> Receiver:
        """Do all that redis-py does before it sends a command: connect, log in, look whether the server is well."""
        connection = line.connection
        if line.receiver is not None and connection.is_connected:
            line.receiver.leave()
            if ahas_news(connection):
                adrop(connection)
        connection.next_health_check = line.used + connection.health_check_interval
        await connection.send_packed_command(())
        line.receiver = receiver = Receiver(connection, self._watch)
        return receiver

    async def doubt(self, client: Any) -> None:  # noqa: ARG002 - as below
        """Close the idle connections, so that others ask where to go."""
        free, self._free = self._free, []
        for line in free:
            await line.connection.disconnect(nowait=True)

    async def aclose(self) -> None:
        """Close all of them."""
        for each in list(self._all):
            await each.disconnect()
        self._free.clear()


class until:  # noqa: N801 - used as the function that it stands for
    """A time-out that is one of redis-py's."""

    def __init__(self, deadline: float) -> None:
        """Be over at *deadline*, by the clock of `monotonic`."""
        self._timeout = asyncio.timeout(max(deadline - monotonic(), 0.0))

    async def __aenter__(self) -> None:
        """Begin."""
        await self._timeout.__aenter__()

    async def __aexit__(self, *error: object) -> None:
        """End; raises `OutOfTime` if it is late."""
        try:
            await self._timeout.__aexit__(*error)  # type: ignore[arg-type]
        except TimeoutError:
            raise OutOfTime from None
