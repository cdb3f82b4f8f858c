"""Connections of pools and clients that a user made; their limits hold.

A pool of redis-py's is changed by several assignments. An exception that a signal handler raises between two of them leaks a
connection, or its place among those that the pool allows. So there are two ways to a connection:

- If nothing is wrong, and the pool and its connections are of redis-py's own classes, single calls that run no bytecode move
  an idle connection from list to list. So it is in one of the lists at every moment. The loan of a borrower that was
  interrupted dies, and the next borrower first closes the connection and returns it to the pool.
- Otherwise the call is shielded (see `shielding`), and returns the connection in any case. It connects, waits for a place
  in the pool, and repeats what failed as the client's options demand.
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

from .connections import until
from .exchange import (
    Deadlines,
    abort,
    aexchange,
    aexchange_by_driver,
    ahas_unread,
    exchange,
    exchange_by_driver,
    has_unread,
    is_direct,
)
from .faults import OutOfTime
from .scripts import Command
from .shielding import ShieldedCall, ashielded, shielded

_TIMEOUT = 1.0
"""Seconds to wait for a shielded call that does not wait for a server."""
_LAST = (-1,)
"""``map(idle.pop, _LAST)`` pops in one call, which no signal handler interrupts."""


class _Loan:
    """Referred to by the borrower alone: it dies when the borrower is done, or was interrupted."""

    __slots__ = ("__weakref__",)


class PoolConnections:
    """Connections of a blocking client that a user made."""

    def __init__(self) -> None:
        """Begin without loans."""
        self._lent: dict[ref[_Loan], tuple[Any, list[Any]]] = {}
        """For each loan its pool, and a list of the connection that is out."""
        self._dead: list[ref[_Loan]] = []
        """Loans whose borrowers were interrupted."""

    def send(self, client: Any, commands: Sequence[Command], deadline: float) -> list[Any]:
        """Exchange *commands* on a connection of the client's pool, or on the client's only connection."""
        if self._dead:
            self._recover()
        pool = client.connection_pool
        if type(pool) is redis.ConnectionPool and is_direct(pool.connection_class) and client.connection is None:
            replies = self._send_at_once(pool, commands, deadline)
            if replies is not None:
                return replies
        return shielded(lambda call: _borrow(client, commands, call), deadline - monotonic())

    def _send_at_once(self, pool: Any, commands: Sequence[Command], deadline: float) -> list[Any] | None:
        """Exchange *commands* on an idle connection that is ready; None if there is none."""
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
            if taken and _is_ready(taken[0], taken[0]._sock is not None, has_unread):  # noqa: SLF001
                connection = taken[0]
                try:
                    replies = exchange(connection, commands, deadline, connection.socket_timeout)
                except (exceptions.RedisError, OSError) as error:
                    return self._repeat(mark, commands, deadline, error)
                if connection.health_check_interval:
                    connection.next_health_check = monotonic() + connection.health_check_interval
            if taken:
                with lock:
                    in_use.difference_update(taken)
                    idle.extend(map(taken.pop, _LAST))
        except BaseException:
            del loan
            if mark in self._lent:
                self._recover()
            raise
        del self._lent[mark], mark  # in this order: a loan reports its death while its mark lives
        return replies

    def _repeat(self, mark: ref[_Loan], commands: Sequence[Command], deadline: float, error: Exception) -> list[Any]:
        """Repeat what failed with *error* as the client's options demand."""

        def repeat(call: ShieldedCall) -> list[Any]:
            pool, (connection,) = self._lent.pop(mark)
            return _exchange_and_release(pool, connection, commands, call, error)

        return shielded(repeat, deadline - monotonic())

    def _recover(self) -> None:
        """Give back the connections of interrupted borrowers."""
        with suppress(OutOfTime):
            shielded(lambda _: self._give_back(), _TIMEOUT)

    def _give_back(self) -> None:
        while self._dead:
            with suppress(IndexError):  # another helper does it too
                pool, taken = self._lent.pop(self._dead.pop(), (None, []))
                for connection in taken:
                    connection.disconnect()
                    with pool._lock:  # noqa: SLF001
                        pool._in_use_connections.add(connection)  # noqa: SLF001
                    pool.release(connection)

    def drop_idle(self, client: Any) -> None:
        """Close the idle connections of the client's pool."""
        shielded(lambda _: client.connection_pool.disconnect(inuse_connections=False), _TIMEOUT)

    def close(self) -> None:
        """Leave them to their owner."""


def _is_ready(connection: Any, is_open: bool, unread: Any) -> bool:  # noqa: FBT001 - a condition
    """Whether redis-py would use an idle connection as it is."""
    return (
        is_open
        and is_direct(type(connection))
        and connection.credential_provider is None
        and not connection.should_reconnect()
        and not (connection.health_check_interval and monotonic() > connection.next_health_check)
        and not unread(connection)
    )


def _borrow(client: Any, commands: Sequence[Command], call: ShieldedCall) -> list[Any]:
    if getattr(client, "connection", None) is not None:
        with client.single_connection_lock:
            return _exchange_on(client.connection, commands, call)
    return _exchange_and_release(client.connection_pool, client.connection_pool.get_connection(), commands, call)


def _exchange_and_release(
    pool: Any, connection: Any, commands: Sequence[Command], call: ShieldedCall, failed: Exception | None = None
) -> list[Any]:
    try:
        return _exchange_on(connection, commands, call, failed)
    finally:
        pool.release(connection)


def _exchange_on(
    connection: Any, commands: Sequence[Command], call: ShieldedCall, failed: Exception | None = None
) -> list[Any]:
    """Exchange *commands*, and repeat what failed as the client's options demand; a first try may have *failed*."""
    failures = [] if failed is None else [failed]

    def attempt() -> list[Any]:
        if failures:
            raise failures.pop()
        if not call.wanted:
            raise RuntimeError("the caller no longer waits for this")
        return exchange_by_driver(connection, commands)

    call.waits_at(connection)
    try:
        # redis-py would take unread data for news about the server's maintenance.
        if is_direct(type(connection)) and connection._sock is not None and has_unread(connection):  # noqa: SLF001
            connection.disconnect()
        # The client's own retries: the saver adds none to them.
        replies: list[Any] = connection.retry.call_with_retry(attempt, lambda _: connection.disconnect())
    except BaseException:
        connection.disconnect()
        raise
    finally:
        call.waits_at(None)
    return replies


class AsyncPoolConnections:
    """Connections of an asyncio client that a user made."""

    def __init__(self) -> None:
        """Watch no request yet."""
        self._deadlines = Deadlines()

    async def send(self, client: Any, commands: Sequence[Command], deadline: float) -> list[Any]:
        """Exchange *commands* on a connection of the client's pool, or on the client's only connection."""
        pool = client.connection_pool
        if type(pool) is redis.asyncio.ConnectionPool and is_direct(pool.connection_class):
            connection = _take_ready(pool) if not client.single_connection_client else None
            if connection is not None:
                return await _asend_at_once(pool, connection, commands, deadline, self._deadlines)
        return await ashielded(_aborrow(client, commands), deadline - monotonic())

    async def drop_idle(self, client: Any) -> None:
        """Close the idle connections of the client's pool."""
        await ashielded(client.connection_pool.disconnect(inuse_connections=False), _TIMEOUT)

    async def aclose(self) -> None:
        """Leave them to their owner."""


def _take_ready(pool: Any) -> Any:
    """Take an idle connection that redis-py would use as it is; None if the last one is not."""
    idle = pool._available_connections  # noqa: SLF001
    if not idle or not _is_ready(idle[-1], idle[-1].is_connected, ahas_unread):
        return None
    connection = idle.pop()
    pool._in_use_connections.add(connection)  # noqa: SLF001
    return connection


async def _asend_at_once(
    pool: Any, connection: Any, commands: Sequence[Command], deadline: float, deadlines: Deadlines
) -> list[Any]:
    try:
        replies = await aexchange(connection, commands, _earlier(connection, deadline), deadlines)
    except (exceptions.RedisError, OSError) as error:
        abort(connection)
        return await ashielded(_aexchange_and_release(pool, connection, commands, error), deadline - monotonic())
    except BaseException:
        abort(connection)
        _put_back(pool, connection)
        raise
    _put_back(pool, connection)
    if connection.health_check_interval:
        connection.next_health_check = monotonic() + connection.health_check_interval
    return replies


def _put_back(pool: Any, connection: Any) -> None:
    pool._in_use_connections.discard(connection)  # noqa: SLF001
    pool._available_connections.append(connection)  # noqa: SLF001


def _earlier(connection: Any, deadline: float) -> float:
    """Return the deadline, or when the connection's own time-out ends if that is earlier."""
    timeout = connection.socket_timeout
    return deadline if timeout is None else min(deadline, monotonic() + timeout)


async def _aborrow(client: Any, commands: Sequence[Command]) -> list[Any]:
    await client.initialize()
    if client.single_connection_client:
        async with client._single_conn_lock:  # noqa: SLF001 - the lock that its own commands take
            return await _aexchange_on(client.connection, commands)
    pool = client.connection_pool
    return await _aexchange_and_release(pool, await pool.get_connection(), commands)


async def _aexchange_and_release(
    pool: Any, connection: Any, commands: Sequence[Command], failed: Exception | None = None
) -> list[Any]:
    try:
        return await _aexchange_on(connection, commands, failed)
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
        if is_direct(type(connection)) and connection.is_connected and ahas_unread(connection):
            abort(connection)
        replies = await connection.retry.call_with_retry(attempt, lambda _: connection.disconnect(nowait=True))
    finally:
        if replies is None:
            await connection.disconnect(nowait=True)
    found: list[Any] = replies
    return found


async def aexchange_at(node: Any, commands: Sequence[Command], deadline: float, deadlines: Deadlines) -> list[Any]:
    """Exchange *commands* on a connection of a node of an asyncio cluster client."""
    connection, replies = node.acquire_connection(), None
    try:
        if _is_ready(connection, connection.is_connected, ahas_unread):
            replies = await aexchange(connection, commands, _earlier(connection, deadline), deadlines)
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
