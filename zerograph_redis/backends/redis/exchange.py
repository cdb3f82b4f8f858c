"""The one place in which requests and replies pass: whole on a connection, or the connection is closed.

No reply is ever taken for another request's, whatever is raised and wherever:

- A sender takes the connection out of where it is kept. It is put back after as many replies were read as
  commands were sent, and not before. An exception in between leaves it out, and it is closed; a signal handler that
  makes a request of its own finds it gone, and takes another.
- A connection of a saver's own belongs to one OS thread, or is handed out within one event loop. Where an exception hits
  does not matter: putting it back is one assignment, which was done or was not.
- A pool that a user made is changed by more than one assignment. So a helper borrows from it, in an OS thread where no
  signal handler runs, or in a task that nobody cancels (see `helpers`), and gives back in any case.

That is why replies need not name their requests: Redis answers each connection in order, and a connection on which a reply
may be outstanding is never used again. One that lay idle is asked first whether anything arrived on it.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

from redis import exceptions
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from zerograph_redis.forks import settle

from .commands import Command, packed
from .connections import timed
from .helpers import Errand, aundisturbed, undisturbed
from .retries import OutOfTime

__all__ = ("AsyncBorrowed", "AsyncOwn", "Borrowed", "Own", "aexchange_at")

IDLE = 1.0
"""Seconds after which a connection is looked at before it is used: the server may have closed it."""
AT_ONCE = 100
"""Connections that the tasks of one event loop may have at a time; more wait."""


def exchange(connection: Any, commands: Sequence[Command]) -> list[Any]:
    """Send *commands* on a connection, and read their replies; what the server calls an error is one of them."""
    connection.send_packed_command([packed(commands)])
    return [_read(connection) for _ in commands]


def _read(connection: Any) -> Any:
    try:
        return connection.read_response(disable_decoding=True)
    except exceptions.ResponseError as error:
        return error


async def aexchange(connection: Any, commands: Sequence[Command]) -> list[Any]:
    """Await `exchange`."""
    try:
        await connection.send_packed_command([packed(commands)])
        return [await _aread(connection) for _ in commands]
    except AttributeError as error:
        # redis-py looks for a stream that another task closed, as the client of a cluster does when it starts over.
        if connection.is_connected:
            raise
        raise exceptions.ConnectionError("the connection was closed meanwhile") from error


async def _aread(connection: Any) -> Any:
    try:
        return await connection.read_response(disable_decoding=True)
    except exceptions.ResponseError as error:
        return error


class _Line:
    """A connection of a saver's own; what nobody has any more is closed."""

    __slots__ = ("__weakref__", "connection", "used")

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.used = monotonic()

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
        connection = line.connection
        try:
            connection.begin(deadline)
            if monotonic() - line.used > IDLE and connection.is_connected and _is_stale(connection):
                connection.disconnect()
            replies = exchange(connection, commands)
        except (exceptions.RedisError, OSError):
            connection.disconnect()
            raise
        except BaseException:
            # Who interrupts once may do so again.
            with suppress(TimeoutError):
                undisturbed(lambda _: connection.disconnect(), IDLE)
            raise
        line.used = monotonic()
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


def _is_stale(connection: Any) -> bool:
    try:
        return bool(connection.can_read(0))
    except (exceptions.RedisError, OSError):
        return True


class Borrowed:
    """Connections of a pool that a user made, whose limits hold."""

    def send(self, client: Any, commands: Sequence[Command], deadline: float) -> list[Any]:
        """Exchange *commands* on a connection of the client's pool, or on the one that the client has."""
        try:
            return undisturbed(lambda errand: _borrow(client, commands, errand), deadline - monotonic())
        except TimeoutError:
            raise OutOfTime from None

    def doubt(self, client: Any) -> None:
        """Close the idle connections of the client's pool, so that others ask where to go."""
        undisturbed(lambda _: client.connection_pool.disconnect(inuse_connections=False), IDLE)

    def close(self) -> None:
        """Leave them to their owner."""


def _borrow(client: Any, commands: Sequence[Command], errand: Errand) -> list[Any]:
    if getattr(client, "connection", None) is not None:
        with client.single_connection_lock:
            return _exchange_on(client.connection, commands, errand)
    pool = client.connection_pool
    connection = pool.get_connection()
    try:
        return _exchange_on(connection, commands, errand)
    finally:
        pool.release(connection)


def _exchange_on(connection: Any, commands: Sequence[Command], errand: Errand) -> list[Any]:
    def attempt() -> list[Any]:
        if not errand.wanted:
            raise RuntimeError("nobody waits for this any more")
        return exchange(connection, commands)

    errand.waits_at(connection)
    try:
        # As the client was told to: the saver repeats nothing of its own then.
        replies: list[Any] = connection.retry.call_with_retry(attempt, lambda _: connection.disconnect())
    except BaseException:
        connection.disconnect()
        raise
    finally:
        errand.waits_at(None)
    return replies


class AsyncOwn:
    """Connections of a saver's own for one event loop, handed out to one task after the other."""

    def __init__(self) -> None:
        """Open none yet."""
        self._free: list[tuple[Any, float]] = []
        self._all: weakref.WeakSet[Any] = weakref.WeakSet()
        self._places = asyncio.Semaphore(AT_ONCE)

    async def send(self, client: Any, commands: Sequence[Command], deadline: float) -> list[Any]:
        """Exchange *commands* with the server of *client*."""
        pool = client.connection_pool
        patience = pool.connection_kwargs.get("socket_timeout")
        if patience is not None:
            deadline = min(deadline, monotonic() + patience)
        async with _until(deadline), self._places:
            connection, used = self._free.pop() if self._free else (self._open(pool), monotonic())
            replies = None
            try:
                if monotonic() - used > IDLE and connection.is_connected and await _ais_stale(connection):
                    await connection.disconnect(nowait=True)
                replies = await aexchange(connection, commands)
            finally:
                if replies is None:
                    await connection.disconnect(nowait=True)
            self._free.append((connection, monotonic()))
            return replies

    def _open(self, pool: Any) -> Any:
        # One time-out for the whole: redis-py's own, one for each step, each make a task that may swallow a cancellation.
        options = {**pool.connection_kwargs, "retry": AsyncRetry(NoBackoff(), 0), "socket_timeout": None}
        connection = pool.connection_class(**options)
        self._all.add(connection)
        return connection

    async def doubt(self, client: Any) -> None:  # noqa: ARG002 - as below
        """Close the idle connections, so that others ask where to go."""
        free, self._free = self._free, []
        for connection, _ in free:
            await connection.disconnect(nowait=True)

    async def aclose(self) -> None:
        """Close all of them."""
        for each in list(self._all):
            await each.disconnect()
        self._free.clear()


async def _ais_stale(connection: Any) -> bool:
    try:
        return bool(await connection.can_read())
    except (exceptions.RedisError, OSError):
        return True


class _until:  # noqa: N801 - used as the function that it stands for
    """A time-out that is one of redis-py's."""

    def __init__(self, deadline: float) -> None:
        self._timeout = asyncio.timeout(max(deadline - monotonic(), 0.0))

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, *error: object) -> None:
        try:
            await self._timeout.__aexit__(*error)  # type: ignore[arg-type]
        except TimeoutError:
            raise OutOfTime from None


async def aexchange_at(node: Any, commands: Sequence[Command], deadline: float) -> list[Any]:
    """Exchange *commands* on a connection of a node of an asyncio client of a cluster."""
    async with _until(deadline):
        connection, replies = node.acquire_connection(), None
        try:
            if connection.should_reconnect():
                await connection.disconnect(nowait=True)
            replies = await aexchange(connection, commands)
        finally:
            try:
                if replies is None:
                    await connection.disconnect(nowait=True)
            finally:
                node.release(connection)
        found: list[Any] = replies
        return found


class AsyncBorrowed:
    """Connections of an asyncio pool that a user made, whose limits hold."""

    async def send(self, client: Any, commands: Sequence[Command], deadline: float) -> list[Any]:
        """Exchange *commands* on a connection of the client's pool, or on the one that the client has."""
        try:
            return await aundisturbed(_aborrow(client, commands), deadline - monotonic())
        except TimeoutError:
            raise OutOfTime from None

    async def doubt(self, client: Any) -> None:
        """Close the idle connections of the client's pool, so that others ask where to go."""
        await aundisturbed(client.connection_pool.disconnect(inuse_connections=False), IDLE)

    async def aclose(self) -> None:
        """Leave them to their owner."""


async def _aborrow(client: Any, commands: Sequence[Command]) -> list[Any]:
    await client.initialize()
    if client.single_connection_client:
        async with client._single_conn_lock:  # noqa: SLF001 - the lock that its own commands take
            return await _aexchange_on(client.connection, commands)
    pool = client.connection_pool
    connection = await pool.get_connection()
    try:
        return await _aexchange_on(connection, commands)
    finally:
        await pool.release(connection)


async def _aexchange_on(connection: Any, commands: Sequence[Command]) -> list[Any]:
    replies = None
    try:
        replies = await connection.retry.call_with_retry(
            lambda: aexchange(connection, commands), lambda _: connection.disconnect(nowait=True)
        )
    finally:
        if replies is None:
            await connection.disconnect(nowait=True)
    found: list[Any] = replies
    return found
