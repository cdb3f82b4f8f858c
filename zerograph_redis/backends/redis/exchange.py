"""Sends commands on a connection and reads their replies: all of them, or the connection is closed.

redis-py opens connections: it logs in, negotiates TLS, asks Sentinels. On an open connection a request is one `sendall` of
the packed bytes, and hiredis parses its replies from the bytes that arrive. In an event loop a `Receiver` gets those.
No reply is ever taken for another request's, whatever is raised and wherever:

- A sender takes the connection from where it is kept (see `connections` and `pools`). It puts it back only after it read
  as many replies as it sent commands. After an exception in between, the connection is closed. A signal handler that makes
  a request itself does not find the connection, and uses another.
- Redis answers each connection in order, and a connection on which a reply may be outstanding is never used again. That is
  why replies need not name their requests. A connection that was idle is checked for unread data before it is used.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Sequence
from time import monotonic
from typing import Any, NoReturn

import redis
import redis.asyncio
from hiredis import PushNotification, Reader
from redis import exceptions
from redis._parsers.hiredis import NOT_ENOUGH_DATA

from .faults import OutOfTime
from .scripts import Command, packed
from .sentinel import AsyncFollowingConnection, FollowingConnection, not_primary

SHORTEST = 0.001  # seconds; a time-out of zero would mean not to block

_DIRECT = frozenset(
    getattr(module, kind)
    for module in (redis, redis.asyncio)
    for kind in ("Connection", "SSLConnection", "UnixDomainSocketConnection")
)
"""The kinds of connections that only send a request and only read a reply."""


def is_direct(kind: type[Any]) -> bool:
    """Whether requests may pass on this kind of connection without its own methods."""
    return kind in _DIRECT


def exchange(connection: Any, commands: Sequence[Command], deadline: float, timeout: float | None) -> list[Any]:
    """Send *commands* on an open connection, and read their replies; the server's errors are among them.

    Args:
        connection: An open connection of redis-py whose parser is hiredis's.
        commands: What to send.
        deadline: When all must have ended, by the clock of `monotonic`.
        timeout: The socket's own time-out for each step, in seconds; None for none.
    """
    sock, parser = connection._sock, connection._parser  # noqa: SLF001 - redis-py gives no other access
    reader, buffer = parser._reader, parser._buffer  # noqa: SLF001
    if reader is None:
        _closed()  # by another OS thread, together with its client
    gets, replies = reader.gets, []
    short_from = 0.0 if timeout is None else deadline - timeout
    try:
        is_short = monotonic() > short_from and _shorten(sock, deadline)
        sock.sendall(packed(commands))
        for _ in commands:
            while (reply := gets(False)) is NOT_ENOUGH_DATA or isinstance(reply, PushNotification):
                if reply is not NOT_ENOUGH_DATA:
                    parser.handle_push_response(reply)
                    continue
                if monotonic() > short_from:
                    is_short = _shorten(sock, deadline)
                reader.feed(buffer, 0, sock.recv_into(buffer) or _closed())
            if isinstance(reply, Exception):
                _check(connection, reply)
            replies.append(reply)
        if is_short:
            sock.settimeout(timeout)
    except TimeoutError:
        raise exceptions.TimeoutError("the server did not answer in time") from None
    except OSError as error:
        raise exceptions.ConnectionError(f"the connection broke: {error}") from error
    return replies


def _shorten(sock: Any, deadline: float) -> bool:
    """Limit the next step to the time that is left. Returns True: the socket's time-out must be set back later."""
    left = deadline - monotonic()
    if left <= 0:
        raise OutOfTime
    sock.settimeout(max(left, SHORTEST))
    return True


def _closed() -> NoReturn:
    raise exceptions.ConnectionError("the connection was closed")


def _check(connection: Any, error: Exception) -> None:
    """Accept an error that is a reply; raise an error after which the connection cannot be used."""
    if not isinstance(error, exceptions.ResponseError):
        raise error
    if isinstance(connection, FollowingConnection | AsyncFollowingConnection) and (failed := not_primary(error)):
        raise failed from error


def exchange_by_driver(connection: Any, commands: Sequence[Command]) -> list[Any]:
    """Do the same with the connection's own methods, which also open it, and do what else its class adds."""
    connection.send_packed_command([packed(commands)])
    return [_read(connection) for _ in commands]


def _read(connection: Any) -> Any:
    try:
        return connection.read_response(disable_decoding=True)
    except exceptions.ResponseError as error:
        return error


def has_unread(connection: Any) -> bool:
    """Whether anything arrived on an open connection, or the other end closed it."""
    parser, sock = connection._parser, connection._sock  # noqa: SLF001
    reader = getattr(parser, "_reader", None)
    if type(reader) is not Reader or reader.has_data():
        return True
    if getattr(parser, "_next_response", NOT_ENOUGH_DATA) is not NOT_ENOUGH_DATA:  # read ahead, as redis-py 7 does
        return True
    if hasattr(sock, "pending") and sock.pending():
        return True
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


class Deadlines:
    """Ends late requests on the connections of one event loop: one timer for all of them, as hardly any is late."""

    def __init__(self) -> None:
        """Begin without requests."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0
        self._deadlines: dict[Receiver, float] = {}

    def add(self, receiver: Receiver, deadline: float, loop: asyncio.AbstractEventLoop) -> None:
        """Make *receiver* fail at *deadline*, by the clock of `monotonic`."""
        if loop is not self._loop:
            self._loop, self._timer, self._deadlines = loop, None, {}
        self._deadlines[receiver] = deadline
        if self._timer is None or deadline < self._at:
            self._set(deadline, loop)

    def drop(self, receiver: Receiver) -> None:
        """Forget a receiver that has its replies, or failed."""
        self._deadlines.pop(receiver, None)

    def _set(self, deadline: float, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._at, self._timer = deadline, loop.call_later(deadline - monotonic(), self._check, loop)

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer, now = None, monotonic()
        for receiver, deadline in list(self._deadlines.items()):
            if deadline <= now:
                receiver.fail(OutOfTime())
        if self._deadlines:
            self._set(min(self._deadlines.values()), loop)


class Receiver(asyncio.Protocol):
    """Receives on an open asyncio connection of redis-py, in place of the stream that redis-py reads.

    Replies are parsed as they arrive, and wake the sender once all have arrived. Every other event is passed on to the
    stream, so that redis-py closes the connection as usual.
    """

    def __init__(self, connection: Any, deadlines: Deadlines) -> None:
        """Receive for *connection*, until `leave`."""
        self._connection = connection
        self._deadlines = deadlines
        self._transport = connection._writer.transport  # noqa: SLF001 - redis-py gives no other access
        self._reader = connection._parser._reader  # noqa: SLF001
        self._stream = self._transport.get_protocol()
        self._waiter: asyncio.Future[list[Any]] | None = None
        self._found: list[Any] = []
        self._missing = 0
        self.is_closed = False
        """Whether the other end closed the connection, or it broke."""
        self.needs_check = False
        """Whether errors, or messages that are no replies, arrived last: see `checked`."""
        self._transport.set_protocol(self)

    def leave(self) -> None:
        """Let the stream receive again."""
        self._transport.set_protocol(self._stream)

    def send(self, commands: Sequence[Command], deadline: float) -> asyncio.Future[list[Any]]:
        """Send *commands*, and return the future of their replies, which `checked` must see if the receiver `needs_check`.

        If it is late or cancelled, `abort` must close the connection.
        """
        if self.is_closed:
            _closed()
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._missing, self._found, self.needs_check = len(commands), [], False
        if not commands:
            waiter.set_result(self._found)
            return waiter
        self._waiter = waiter
        self._deadlines.add(self, deadline, loop)
        # Without a wait until all is sent: the reply is waited for.
        self._transport.write(packed(commands))
        return waiter

    async def checked(self, found: Sequence[Any]) -> list[Any]:
        """Return the replies among what arrived; raise an error after which the connection cannot be used."""
        replies = []
        for each in found:
            if isinstance(each, PushNotification):
                await self._connection._parser.handle_push_response(each)  # noqa: SLF001 - as redis-py does
                continue
            if isinstance(each, Exception):
                _check(self._connection, each)
            replies.append(each)
        return replies

    def data_received(self, data: bytes) -> None:
        """Parse replies from the bytes that arrived."""
        reader, found = self._reader, self._found
        reader.feed(data)
        if self._waiter is None:
            return
        try:
            while self._missing:
                reply = reader.gets(False)
                if reply is NOT_ENOUGH_DATA:
                    return
                if isinstance(reply, PushNotification):
                    self.needs_check = True
                else:
                    self._missing -= 1
                    if isinstance(reply, Exception):
                        self.needs_check = True
                found.append(reply)
        except exceptions.RedisError as error:
            self.fail(error)
            return
        if not self._waiter.done():
            self._waiter.set_result(found)
        self._waiter = None
        self._deadlines.drop(self)

    def fail(self, error: Exception) -> None:
        """End the wait for replies with an error."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
        self._waiter = None
        self._deadlines.drop(self)

    def eof_received(self) -> Any:
        """Note that the other end closed the connection."""
        self.is_closed = True
        self.fail(exceptions.ConnectionError("the connection was closed"))
        return self._stream.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        """Note that the connection is closed."""
        self.is_closed = True
        self.fail(exceptions.ConnectionError(f"the connection broke: {error or 'it was closed'}"))
        self._stream.connection_lost(error)

    def pause_writing(self) -> None:
        """Pass it on to the stream."""
        self._stream.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on to the stream."""
        self._stream.resume_writing()


async def aexchange(connection: Any, commands: Sequence[Command], deadline: float, deadlines: Deadlines) -> list[Any]:
    """Await `exchange`. If it is late or cancelled, the connection must be closed with `abort`."""
    receiver = Receiver(connection, deadlines)
    replies = await receiver.send(commands, deadline)
    if receiver.needs_check:
        replies = await receiver.checked(replies)
    receiver.leave()
    return replies


async def aexchange_by_driver(connection: Any, commands: Sequence[Command]) -> list[Any]:
    """Await `exchange_by_driver`."""
    try:
        await connection.send_packed_command([packed(commands)])
        return [await _aread(connection) for _ in commands]
    except AttributeError as error:
        # redis-py uses a stream that another task closed, as a cluster's client does when it reads its nodes again.
        if connection.is_connected:
            raise
        raise exceptions.ConnectionError("the connection was closed meanwhile") from error


async def _aread(connection: Any) -> Any:
    try:
        return await connection.read_response(disable_decoding=True)
    except exceptions.ResponseError as error:
        return error


def ahas_unread(connection: Any) -> bool:
    """Whether anything arrived on an open connection, or the other end closed it."""
    stream = connection._reader  # noqa: SLF001
    reader = getattr(connection._parser, "_reader", None)  # noqa: SLF001
    return bool(
        type(reader) is not Reader or reader.has_data() or stream._buffer or stream.at_eof() or stream.exception()  # noqa: SLF001
    )


def abort(connection: Any) -> None:
    """Close an asyncio connection at once, without a wait in which a task could be cancelled."""
    writer = connection._writer  # noqa: SLF001
    if writer is not None:
        writer.transport.abort()
    connection._parser.on_disconnect()  # noqa: SLF001
    connection._writer = connection._reader = None  # noqa: SLF001
