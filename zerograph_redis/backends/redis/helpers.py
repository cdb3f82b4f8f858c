"""Calls that no signal handler, asynchronous exception or cancellation reaches, and whose caller waits for a bounded time.

redis-py's pools, its Sentinel client and its map of a cluster are Python code that changes several things one after the
other. An exception that a signal handler raises between two of them leaks a connection or a place in a queue. Python runs
signal handlers in the main thread alone. So each OS thread that needs such code has a helper, another OS thread, that
runs it to its end whatever befalls the caller. The helper does one call after the other: a call that was given up is over
before the next one of its owner begins. A coroutine gets a task of its own for the same reason.
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

from zerograph_redis.forks import settle

R = TypeVar("R")


class Errand:
    """A call that a helper makes."""

    __slots__ = ("_connection", "_guard", "done", "error", "result", "wanted", "work")

    def __init__(self, work: Callable[[Errand], Any]) -> None:
        """Make the call *work*, which gets this errand."""
        self.work = work
        self.wanted = True
        """Whether somebody still waits for it."""
        self._connection: Any = None
        self._guard = allocate_lock()
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = allocate_lock()
        self.done.acquire()

    def waits_at(self, connection: Any) -> None:
        """Note the connection at which it waits, or that it is at none."""
        with self._guard:
            self._connection = connection

    def give_up(self) -> None:
        """Shut its connection down, so that it ends soon, and does nothing more."""
        self.wanted = False
        with self._guard:
            sock = getattr(self._connection, "_sock", None)
            if sock is not None:
                with suppress(OSError, AttributeError):  # closed meanwhile, or none of the system's
                    sock.shutdown(SHUT_RDWR)


class _Helper:
    """An OS thread that makes one call after the other; it ends when its owner does."""

    def __init__(self) -> None:
        self.errands: SimpleQueue[Errand | None] = SimpleQueue()
        # Not a Thread of `threading`: starting one is itself code that must not be interrupted.
        start_new_thread(_serve, (self.errands,))

    def __del__(self) -> None:
        self.errands.put(None)


def _serve(errands: SimpleQueue[Errand | None]) -> None:
    while (errand := errands.get()) is not None:
        try:
            if errand.wanted:
                errand.result = errand.work(errand)
        except BaseException as error:  # noqa: BLE001 - it is raised where the call was asked for
            errand.error = error
        errand.done.release()
        del errand  # with the connection that it may hold


class _Helpers:
    """The helper of each OS thread."""

    def __init__(self) -> None:
        self.own = threading.local()
        settle(self)

    def before_fork(self) -> None:
        """Nothing: a helper is busy only while its owner waits for it."""

    def after_fork(self, *, child: bool) -> None:
        """Have helpers made as they are needed: a child has none of the threads of its parent."""
        if child:
            self.own = threading.local()


_HELPERS = _Helpers()


def undisturbed(work: Callable[[Errand], R], seconds: float) -> R:
    """Have a helper call *work*, and wait for so many seconds at most.

    Raises:
        TimeoutError: It was not over in time. If it waits for a reply, its connection is shut down, so that it ends soon.
    """
    own = _HELPERS.own
    helper = getattr(own, "helper", None)
    if helper is None:
        helper = own.helper = _Helper()
    errand = Errand(work)
    try:
        helper.errands.put(errand)
        if not errand.done.acquire(timeout=min(max(seconds, 0.0), threading.TIMEOUT_MAX)):
            errand.give_up()
            raise TimeoutError
        if errand.error is not None:
            raise errand.error
        result: R = errand.result
        return result
    finally:
        errand.wanted = False
        errand.error = None  # whose traceback has this frame


_under_way: set[asyncio.Task[Any]] = set()


async def aundisturbed(coroutine: Coroutine[Any, Any, R], seconds: float) -> R:
    """Await *coroutine* in a task of its own, which goes on to its end if the awaiting one is cancelled.

    Raises:
        TimeoutError: It was not over in time, and is cancelled.
    """
    task = asyncio.ensure_future(coroutine)
    _under_way.add(task)
    task.add_done_callback(_end)
    done, _ = await asyncio.wait((task,), timeout=max(seconds, 0.0))
    if not done:
        task.cancel()
        raise TimeoutError
    return task.result()


def _end(task: asyncio.Task[Any]) -> None:
    _under_way.discard(task)
    if not task.cancelled():
        task.exception()  # asyncio would log one that nobody waits for any more
