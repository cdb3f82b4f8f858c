"""Connections of pools and clients that a user made, whose limits hold.

A pool of redis-py's is changed by several assignments, and an exception that a signal handler raises between two of them
leaks a connection, or its place among those that there may be. So there are two ways to one:

- If nothing is wrong, and the pool and its connections are of redis-py's plain kinds, an idle connection is moved from list
  to list by single calls that run no bytecode, so it is in one of them at every moment. What a call was interrupted with
  is noted when its loan dies, and brought back, closed, before anything else is borrowed.
- Otherwise a helper borrows, in an OS thread where no signal handler runs, or in a task that nobody cancels (see
  `helpers`), and gives back in any case. It connects, waits for a place, and repeats what failed as the client was told to.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Any
from weakref import ref

import redis
import redis.asyncio
from redis import exceptions

from .commands import Command
from .exchange import (
    Watch,
    adrop,
    aexchange,
    aexchange_by_driver,
    ahas_news,
    exchange,
    exchange_by_driver,
    has_news,
    is_direct,
)
from .helpers import Errand, aundisturbed, undisturbed
from .own import until
from .retries import OutOfTime

_PATIENCE = 1.0
"""Seconds to wait for a helper that brings something back, which does not wait for a server."""
_LAST = (-1,)


class _Loan:
    """What its borrower alone refers to: it dies when that is done, or was interrupted."""

    __slots__ = ("__weakref__",)


class Borrowed:
    """Connections of a blocking client that a user made."""

    def __init__(self) -> None:
        """Borrow nothing yet."""
        self._lent: dict[ref[_Loan], tuple[Any, list[Any]]] = {}
        """For each loan its pool, and a list of the connection that is out."""
        self._dead: list[ref[_Loan]] = []
        """Loans whose borrowers were interrupted."""

    def send(self, client: Any, commands: Sequence[Command], deadline: float) -> list[Any]:
        """Exchange *commands* on a connection of the client's pool, or on the one that the client has."""
        if self._dead:
            self._bring_back()
        pool = client.connection_pool
        if type(pool) is redis.ConnectionPool and is_direct(pool.connection_class) and client.connection is None:
            replies = self._send_at_once(pool, commands, deadline)
            if replies is not None:
                return replies
        return _in_time(lambda errand: _borrow(client, commands, errand), deadline)

    def _send_at_once(self, pool: Any, commands: Sequence[Command], deadline: float) -> list[Any] | None:
        """Exchange *commands* on a connection that lies there ready; None if there is none."""
        idle, in_use, lock = pool._available_connections, pool._in_use_connections, pool._lock  # noqa: SLF001
        if not idle or pool.pid != os.getpid():
            return None
        taken: list[Any] = []
        loan = _Loan()
        mark = ref(loan, self._dead.append)
        self._lent[mark] = pool, taken
        replies = None
        try:
            with lock:
                if idle:  # no other OS thread took it meanwhile
                    taken.extend(map(idle.pop, _LAST))
                    in_use.update(taken)
            if taken and _is_ready(taken[0]):
                connection = taken[0]
                try:
                    replies = exchange(connection, commands, deadline, connection.socket_timeout)
                except (exceptions.RedisError, OSError) as error:
                    return self._go_on(mark, commands, deadline, error)
                if connection.health_check_interval:
                    connection.next_health_check = monotonic() + connection.health_check_interval
            if taken:
                with lock:
                    in_use.difference_update(taken)
                    idle.extend(map(taken.pop, _LAST))
        except BaseException:
            del loan
            if mark in self._lent:
                self._bring_back()
            raise
        del self._lent[mark], mark  # in this order: a loan tells of its death while there is a mark
        return replies

    def _go_on(self, mark: ref[_Loan], commands: Sequence[Command], deadline: float, error: Exception) -> list[Any]:
        """Repeat what failed with *error* as the client was told to."""

        def go_on(errand: Errand) -> list[Any]:
            pool, (connection,) = self._lent.pop(mark)
            try:
                return _exchange_on(connection, commands, errand, error)
            finally:
                pool.release(connection)

        return _in_time(go_on, deadline)

    def _bring_back(self) -> None:
        with suppress(TimeoutError):
            undisturbed(lambda _: self._give_back(), _PATIENCE)

    def _give_back(self) -> None:
        while self._dead:
            with suppress(IndexError):  # another helper is at it
                pool, taken = self._lent.pop(self._dead.pop(), (None, []))
                for connection in taken:
                    connection.disconnect()
                    with pool._lock:  # noqa: SLF001
                        pool._in_use_connections.add(connection)  # noqa: SLF001
                    pool.release(connection)

    def doubt(self, client: Any) -> None:
        """Close the idle connections of the client's pool, so that others ask where to go."""
        undisturbed(lambda _: client.connection_pool.disconnect(inuse_connections=False), _PATIENCE)

    def close(self) -> None:
        """Leave them to their owner."""


def _is_ready(connection: Any) -> bool:
    """Tell whether redis-py would use an idle connection as it is."""
    return (
        is_direct(type(connection))
        and connection._sock is not None  # noqa: SLF001
        and connection.credential_provider is None
        and not connection.should_reconnect()
        and not (connection.health_check_interval and monotonic() > connection.next_health_check)
        and not has_news(connection)
    )


def _in_time(work: Any, deadline: float) -> list[Any]:
    try:
        replies: list[Any] = undisturbed(work, deadline - monotonic())
    except TimeoutError:
        raise OutOfTime from None
    return replies


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


def _exchange_on(
    connection: Any, commands: Sequence[Command], errand: Errand, failed: Exception | None = None
) -> list[Any]:
    """Exchange *commands*, and repeat what failed as the client was told to; a first try may have *failed* already."""
    failures = [] if failed is None else [failed]

    def attempt() -> list[Any]:
        if failures:
            raise failures.pop()
        if not errand.wanted:
            raise RuntimeError("nobody waits for this any more")
        return exchange_by_driver(connection, commands)

    errand.waits_at(connection)
    try:
        # redis-py takes what a connection that lay idle has to say for news of a server's maintenance.
        if is_direct(type(connection)) and connection._sock is not None and has_news(connection):  # noqa: SLF001
            connection.disconnect()
        # As the client was told to: the saver repeats nothing of its own then.
        replies: list[Any] = connection.retry.call_with_retry(attempt, lambda _: connection.disconnect())
    except BaseException:
        connection.disconnect()
        raise
    finally:
        errand.waits_at(None)
    return replies


class AsyncBorrowed:
    """Connections of an asyncio client that a user made."""

    def __init__(self) -> None:
        """Borrow nothing yet."""
        self._watch = Watch()

    async def send(self, client: Any, commands: Sequence[Command], deadline: float) -> list[Any]:
        """Exchange *commands* on a connection of the client's pool, or on the one that the client has."""
        pool = client.connection_pool
        if type(pool) is redis.asyncio.ConnectionPool and is_direct(pool.connection_class):
            connection = _take_ready(pool) if not client.single_connection_client else None
            if connection is not None:
                return await _asend_at_once(pool, connection, commands, deadline, self._watch)
        return await _ain_time(_aborrow(client, commands), deadline)

    async def doubt(self, client: Any) -> None:
        """Close the idle connections of the client's pool, so that others ask where to go."""
        await aundisturbed(client.connection_pool.disconnect(inuse_connections=False), _PATIENCE)

    async def aclose(self) -> None:
        """Leave them to their owner."""


def _take_ready(pool: Any) -> Any:
    """Take an idle connection that redis-py would use as it is; None if the last one is not."""
    idle = pool._available_connections  # noqa: SLF001
    if not idle or not _is_aready(idle[-1]):
        return None
    connection = idle.pop()
    pool._in_use_connections.add(connection)  # noqa: SLF001
    return connection


def _is_aready(connection: Any) -> bool:
    return (
        is_direct(type(connection))
        and connection.is_connected
        and connection.credential_provider is None
        and not connection.should_reconnect()
        and not (connection.health_check_interval and monotonic() > connection.next_health_check)
        and not ahas_news(connection)
    )


async def _asend_at_once(
    pool: Any, connection: Any, commands: Sequence[Command], deadline: float, watch: Watch
) -> list[Any]:
    try:
        replies = await aexchange(connection, commands, _patient(connection, deadline), watch)
    except (exceptions.RedisError, OSError) as error:
        adrop(connection)
        return await _ain_time(_ago_on(pool, connection, commands, error), deadline)
    except BaseException:
        adrop(connection)
        _put_back(pool, connection)
        raise
    _put_back(pool, connection)
    if connection.health_check_interval:
        connection.next_health_check = monotonic() + connection.health_check_interval
    return replies


def _put_back(pool: Any, connection: Any) -> None:
    pool._in_use_connections.discard(connection)  # noqa: SLF001
    pool._available_connections.append(connection)  # noqa: SLF001


def _patient(connection: Any, deadline: float) -> float:
    """Return the deadline of a request that may take no longer than the connection waits for a reply."""
    patience = connection.socket_timeout
    return deadline if patience is None else min(deadline, monotonic() + patience)


async def _ago_on(pool: Any, connection: Any, commands: Sequence[Command], failed: Exception) -> list[Any]:
    try:
        return await _aexchange_on(connection, commands, failed)
    finally:
        await pool.release(connection)


async def _ain_time(work: Any, deadline: float) -> list[Any]:
    try:
        replies: list[Any] = await aundisturbed(work, deadline - monotonic())
    except TimeoutError:
        raise OutOfTime from None
    return replies


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


async def _aexchange_on(connection: Any, commands: Sequence[Command], failed: Exception | None = None) -> list[Any]:
    failures = [] if failed is None else [failed]

    async def attempt() -> list[Any]:
        if failures:
            raise failures.pop()
        return await aexchange_by_driver(connection, commands)

    replies = None
    try:
        if is_direct(type(connection)) and connection.is_connected and ahas_news(connection):
            adrop(connection)
        replies = await connection.retry.call_with_retry(attempt, lambda _: connection.disconnect(nowait=True))
    finally:
        if replies is None:
            await connection.disconnect(nowait=True)
    found: list[Any] = replies
    return found


async def aexchange_at(node: Any, commands: Sequence[Command], deadline: float, watch: Watch) -> list[Any]:
    """Exchange *commands* on a connection of a node of an asyncio client of a cluster."""
    connection, replies = node.acquire_connection(), None
    try:
        if _is_aready(connection):
            replies = await aexchange(connection, commands, _patient(connection, deadline), watch)
        else:
            async with until(deadline):
                if connection.should_reconnect():
                    await connection.disconnect(nowait=True)
                replies = await aexchange_by_driver(connection, commands)
    finally:
        try:
            if replies is None:
                await connection.disconnect(nowait=True)
        finally:
            node.release(connection)
    found: list[Any] = replies
    return found
