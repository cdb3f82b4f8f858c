"""The one place in which requests and replies pass: whole on a connection, or the connection is closed.

redis-py opens connections: it logs in, speaks TLS, follows Sentinels. On one that is open, a request is one `sendall` of the
packed bytes, and its replies are what hiredis makes of the bytes that arrive; in an event loop, a `Receiver` takes those. No
reply is ever taken for another request's, whatever is raised and wherever:

- A sender takes the connection out of where it is kept (see `own` and `borrowed`). It is put back after as many replies were
  read as commands were sent, and not before. An exception in between leaves it out, and it is closed; a signal handler
  that makes a request of its own finds it gone, and takes another.
- Redis answers each connection in order, and a connection on which a reply may be outstanding is never used again. That is
  why replies need not name their requests. A connection that lay idle is asked first whether anything arrived on it.
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

from .commands import Command, packed
from .connections import SHORTEST
from .retries import OutOfTime
from .sentinel import AsyncFollowingConnection, FollowingConnection, check_primary

_DIRECT = frozenset(
    {
        redis.Connection,
        redis.SSLConnection,
        redis.UnixDomainSocketConnection,
        redis.asyncio.Connection,
        redis.asyncio.SSLConnection,
        redis.asyncio.UnixDomainSocketConnection,
    }
)
"""The kinds of connections that do nothing about a request but to send it, and nothing about a reply but to read it."""


def is_direct(kind: type[Any]) -> bool:
    """Tell whether requests may pass on this kind of connection without its own methods."""
    return kind in _DIRECT


def exchange(connection: Any, commands: Sequence[Command], deadline: float, patience: float | None) -> list[Any]:
    """Send *commands* on an open connection, and read their replies; what the server calls an error is one of them.

    Args:
        connection: One of redis-py's, open, whose parser is hiredis's.
        commands: What to send.
        deadline: When all must be over, by the clock of `monotonic`.
        patience: Seconds for which the socket waits by itself at each step.
    """
    sock, parser = connection._sock, connection._parser  # noqa: SLF001 - redis-py has no other way to them
    reader, buffer = parser._reader, parser._buffer  # noqa: SLF001
    if reader is None:
        _closed()  # by another OS thread, as with the client that has it
    gets, replies = reader.gets, []
    short_from = 0.0 if patience is None else deadline - patience
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
            sock.settimeout(patience)
    except TimeoutError:
        raise exceptions.TimeoutError("the server did not answer in time") from None
    except OSError as error:
        raise exceptions.ConnectionError(f"the connection broke: {error}") from error
    return replies


def _shorten(sock: Any, deadline: float) -> bool:
    """Have the next step last no longer than there is time left. Returns True, as the socket is to be told again later."""
    left = deadline - monotonic()
    if left <= 0:
        raise OutOfTime
    sock.settimeout(max(left, SHORTEST))
    return True


def _closed() -> NoReturn:
    raise exceptions.ConnectionError("the connection was closed")


def _check(connection: Any, error: Exception) -> None:
    """Let an error that is a reply pass; raise one that says that the connection is of no use."""
    if not isinstance(error, exceptions.ResponseError):
        raise error
    if isinstance(connection, FollowingConnection | AsyncFollowingConnection):
        check_primary(error)


def exchange_by_driver(connection: Any, commands: Sequence[Command]) -> list[Any]:
    """Do as `exchange` by the connection's own methods, which connect it, and do what else its kind does."""
    connection.send_packed_command([packed(commands)])
    return [_read(connection) for _ in commands]


def _read(connection: Any) -> Any:
    try:
        return connection.read_response(disable_decoding=True)
    except exceptions.ResponseError as error:
        return error


def has_news(connection: Any) -> bool:
    """Tell whether anything arrived on an open connection, or it was closed."""
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


class Watch:
    """Ends what is late on connections of one event loop: one timer for all of them, as hardly anything ever is."""

    def __init__(self) -> None:
        """Watch nothing yet."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0
        self._deadlines: dict[Receiver, float] = {}

    def add(self, receiver: Receiver, deadline: float, loop: asyncio.AbstractEventLoop) -> None:
        """Have *receiver* fail at *deadline*, by the clock of `monotonic`."""
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
        self._at, self._timer = deadline, loop.call_later(deadline - monotonic(), self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer, now = None, monotonic()
        for receiver, deadline in list(self._deadlines.items()):
            if deadline <= now:
                receiver.fail(OutOfTime())
        if self._deadlines:
            self._set(min(self._deadlines.values()), loop)


class Receiver(asyncio.Protocol):
    """Takes what arrives on an open asyncio connection of redis-py's, in the place of the stream that redis-py reads.

    Replies are parsed as they arrive, and wake who asked once they are all there. All that is no data goes on to the stream,
    so that redis-py closes the connection as ever.
    """

    def __init__(self, connection: Any, watch: Watch) -> None:
        """Receive for *connection*, until `leave`."""
        self._watch = watch
        self._transport = connection._writer.transport  # noqa: SLF001 - redis-py has no other way to them
        self._reader = connection._parser._reader  # noqa: SLF001
        self._stream = self._transport.get_protocol()
        self._waiter: asyncio.Future[list[Any]] | None = None
        self._found: list[Any] = []
        self._missing = 0
        self.is_over = False
        """Whether the other end closed the connection, or it broke."""
        self.is_odd = False
        """Whether some of what arrived last are errors, or no replies: see `sort_out`."""
        self._transport.set_protocol(self)

    def leave(self) -> None:
        """Let the stream have what arrives."""
        self._transport.set_protocol(self._stream)

    def ask(self, commands: Sequence[Command], deadline: float) -> asyncio.Future[list[Any]]:
        """Send *commands*, and return what is to be their replies, once `sort_out` saw them if the receiver `is_odd`.

        What is late, or is cancelled, leaves a connection to be closed with `adrop`.
        """
        if self.is_over:
            _closed()
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._missing, self._found, self.is_odd = len(commands), [], False
        if not commands:
            waiter.set_result(self._found)
            return waiter
        self._waiter = waiter
        self._watch.add(self, deadline, loop)
        # Nobody needs to wait until it is sent: the reply is waited for.
        self._transport.write(packed(commands))
        return waiter

    def data_received(self, data: bytes) -> None:
        """Take the replies out of what arrived."""
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
                    self.is_odd = True
                else:
                    self._missing -= 1
                    if isinstance(reply, Exception):
                        self.is_odd = True
                found.append(reply)
        except exceptions.RedisError as error:
            self.fail(error)
            return
        if not self._waiter.done():
            self._waiter.set_result(found)
        self._waiter = None
        self._watch.drop(self)

    def fail(self, error: Exception) -> None:
        """Tell who waits for replies that there will be none."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
        self._waiter = None
        self._watch.drop(self)

    def eof_received(self) -> Any:
        """Note that the other end closed the connection."""
        self.is_over = True
        self.fail(exceptions.ConnectionError("the connection was closed"))
        return self._stream.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        """Note that the connection is closed."""
        self.is_over = True
        self.fail(exceptions.ConnectionError(f"the connection broke: {error or 'it was closed'}"))
        self._stream.connection_lost(error)

    def pause_writing(self) -> None:
        """Tell the stream that much is to be sent."""
        self._stream.pause_writing()

    def resume_writing(self) -> None:
        """Tell the stream that it was sent."""
        self._stream.resume_writing()


async def sort_out(connection: Any, found: Sequence[Any]) -> list[Any]:
    """Return the replies of what arrived; raise an error that says that the connection is of no use."""
    replies = []
    for each in found:
        if isinstance(each, PushNotification):
            await connection._parser.handle_push_response(each)  # noqa: SLF001 - as redis-py does
            continue
        if isinstance(each, Exception):
            _check(connection, each)
        replies.append(each)
    return replies


async def aexchange(connection: Any, commands: Sequence[Command], deadline: float, watch: Watch) -> list[Any]:
    """Await `exchange`. What is late, or is cancelled, leaves a connection to be closed with `adrop`."""
    receiver = Receiver(connection, watch)
    replies = await receiver.ask(commands, deadline)
    if receiver.is_odd:
        replies = await sort_out(connection, replies)
    receiver.leave()
    return replies


async def aexchange_by_driver(connection: Any, commands: Sequence[Command]) -> list[Any]:
    """Await `exchange_by_driver`."""
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


def ahas_news(connection: Any) -> bool:
    """Tell whether anything arrived on an open connection, or it was closed."""
    stream = connection._reader  # noqa: SLF001
    reader = getattr(connection._parser, "_reader", None)  # noqa: SLF001
    return bool(
        type(reader) is not Reader or reader.has_data() or stream._buffer or stream.at_eof() or stream.exception()  # noqa: SLF001
    )


def adrop(connection: Any) -> None:
    """Close a connection at once, without a wait in which a task could be cancelled."""
    writer = connection._writer  # noqa: SLF001
    if writer is not None:
        writer.transport.abort()
    connection._parser.on_disconnect()  # noqa: SLF001
    connection._writer = connection._reader = None  # noqa: SLF001
