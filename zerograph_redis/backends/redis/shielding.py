"""Calls that no signal handler, asynchronous exception or cancellation interrupts; their caller waits for a bounded time.

redis-py's pools, its Sentinel client and its map of a cluster are Python code that changes several things one after the
other. An exception that a signal handler raises between two of them leaks a connection or a place in a queue. Python runs
signal handlers in the main thread alone. So each OS thread that needs such code has a helper, another OS thread, which
completes it whatever happens to the caller. The helper makes one call after the other: a call that its owner gave up ends
before the owner's next call begins. A coroutine gets a separate task for the same reason.
"""

from __future__ import annotations

import asyncio
import threading
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable, Coroutine
from contextlib import suppress
from queue import SimpleQueue
from socket import SHUT_RDWR
from typing import Any, TypeVar

from zerograph_redis.fork_hooks import register_at_fork

from .faults import OutOfTime

R = TypeVar("R")


class ShieldedCall:
    """A call that a helper makes."""

    __slots__ = ("_connection", "_guard", "done", "error", "result", "wanted", "work")

    def __init__(self, work: Callable[[ShieldedCall], Any]) -> None:
        """Call *work* with this object."""
        self.work = work
        self.wanted = True
        """Whether its caller still waits."""
        self._connection: Any = None
        self._guard = allocate_lock()
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = allocate_lock()
        self.done.acquire()

    def waits_at(self, connection: Any) -> None:
        """Note the connection that it waits for; None for none."""
        with self._guard:
            self._connection = connection

    def give_up(self) -> None:
        """Shut its connection down, so that it ends soon, and sends nothing more."""
        self.wanted = False
        with self._guard:
            sock = getattr(self._connection, "_sock", None)
            if sock is not None:
                with suppress(OSError, AttributeError):  # closed meanwhile, or no socket of the system
                    sock.shutdown(SHUT_RDWR)


class _Helper:
    """An OS thread that makes one call after the other; it ends when its owner does."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[ShieldedCall | None] = SimpleQueue()
        # Not a Thread of `threading`: starting one is itself code that must not be interrupted.
        start_new_thread(_serve, (self.calls,))

    def __del__(self) -> None:
        self.calls.put(None)


def _serve(calls: SimpleQueue[ShieldedCall | None]) -> None:
    while (call := calls.get()) is not None:
        try:
            if call.wanted:
                call.result = call.work(call)
        except BaseException as error:  # noqa: BLE001 - it is raised in the caller
            call.error = error
        call.done.release()
        del call  # with the connection that it may hold


class _Helpers:
    """The helper of each OS thread."""

    def __init__(self) -> None:
        self.local = threading.local()
        register_at_fork(self)

    def before_fork(self) -> None:
        """Nothing to do: a helper is busy only while its owner waits for it."""

    def after_fork(self, *, child: bool) -> None:
        """Forget the helpers in the child, which has none of its parent's OS threads."""
        if child:
            self.local = threading.local()


_HELPERS = _Helpers()


def shielded(work: Callable[[ShieldedCall], R], seconds: float) -> R:
    """Have a helper call *work*, and wait for *seconds* at most.

    Raises:
        OutOfTime: The call did not end in time. A connection that it waits for is shut down, so that it ends soon.
    """
    local = _HELPERS.local
    helper = getattr(local, "helper", None)
    if helper is None:
        helper = local.helper = _Helper()
    call = ShieldedCall(work)
    try:
        helper.calls.put(call)
        if not call.done.acquire(timeout=min(max(seconds, 0.0), threading.TIMEOUT_MAX)):
            call.give_up()
            raise OutOfTime
        if call.error is not None:
            raise call.error
        result: R = call.result
        return result
    finally:
        call.wanted = False
        call.error = None  # whose traceback has this frame


_running: set[asyncio.Task[Any]] = set()


async def ashielded(coroutine: Coroutine[Any, Any, R], seconds: float) -> R:
    """Await *coroutine* in a separate task, which runs to its end even if the awaiting task is cancelled.

    Raises:
        OutOfTime: It did not end in time, and is cancelled.
    """
    task = asyncio.ensure_future(coroutine)
    _running.add(task)
    task.add_done_callback(_end)
    done, _ = await asyncio.wait((task,), timeout=max(seconds, 0.0))
    if not done:
        task.cancel()
        raise OutOfTime
    return task.result()


def _end(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled():
        task.exception()  # otherwise asyncio would log an error that no task awaits any more
