"""The lease of a thread, held by a block of code.

An exception of a signal handler, or the cancellation of a task, may interrupt a block at any step, also while it takes or
releases its lease. Neither reaches another OS thread. So each lease has an OS thread, run by a `Hold`, that takes, renews
and releases it, and the block only waits for that. The hold ends when nothing can leave the block any more: see `_Leaving`.
"""

from __future__ import annotations

import _thread
import asyncio
import logging
import os
import socket
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, Token, copy_context
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from zerograph_redis.core.configs import lease_of, read_owner, read_wait
from zerograph_redis.core.drive import Runner
from zerograph_redis.core.leasing import HELD_HERE, Held, end_lease, new_attempt, renew_lease, take_lease
from zerograph_redis.core.settings import Settings
from zerograph_redis.display import about
from zerograph_redis.errors import CheckpointError, LeaseHeldError, LeaseLostError

_log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

_entered: ContextVar[None] = ContextVar("zerograph_redis_entered", default=None)
"""Can be reset only in the context that entered a block, not in a copy: so it distinguishes the two."""


class Hold:
    """One lease, taken, renewed and released in an OS thread.

    An exception between any two steps of the block's thread leaves it consistent: the two threads share only flags that
    are set once, and queues written in C.
    """

    def __init__(self, run: Runner, thread_id: str, owner: str, ttl: int, wait: float) -> None:
        self._run = run
        self._thread_id = thread_id
        self._owner = owner
        self._ttl = ttl
        self._wait = wait
        self._attempt = new_attempt()
        self._block: Callable[[], object] = lambda: None
        self._is_left = False
        self._is_forgotten = False
        self._awake: SimpleQueue[Any] = SimpleQueue()
        self._thread = threading.Thread(
            # Also under asyncio: the engine's blocking calls hold up the event loop.
            target=copy_context().run, args=(self._keep,), daemon=True, name="zerograph-redis-lease"
        )  # fmt: skip
        self.entered: SimpleQueue[BaseException | None] = SimpleQueue()
        """Receives None once the lease is taken, or the error."""
        self.notify: Callable[[], object] = lambda: None
        """Called once `entered` received something."""
        self.token: int | None = None
        self.lost = False
        self.outer: Held | None = None
        """The lease of the same thread whose block encloses this one; it has expired or was broken."""

    @property
    def is_over(self) -> bool:
        """Whether the block has ended."""
        return self._is_left or self._block() is None

    def fencing(self) -> Held | None:
        """Return the hold whose token fences the writes of a context that contains this hold.

        A block whose end was interrupted leaves its hold in its own context: that hold no longer counts. A block that
        ended regularly leaves its hold only in copies of its context, those of tasks that it started: their writes are
        refused.
        """
        if self._is_forgotten or not self.is_over:
            return self
        return self.outer and self.outer.fencing()

    def begin(self, block: object) -> None:
        """Take the lease, and renew it until `leave` is called or *block* is garbage."""
        self._block = weakref.ref(block, self._awake.put)
        # By another thread: an exception of a signal handler within Thread.start would leave the thread half started.
        _thread.start_new_thread(self._start, ())

    def leave(self) -> None:
        """Have the lease released."""
        self._is_left = True
        self._awake.put(None)

    def forget(self) -> None:
        """Record that only copies of the block's context still contain this hold."""
        self._is_forgotten = True

    def wait_for_end(self) -> None:
        """Wait until the lease is released, or releasing it failed. In a forked child there is nothing to wait for."""
        self._thread.join()

    def _start(self) -> None:
        try:
            self._thread.start()
        except RuntimeError as error:
            self._report(error)

    def _keep(self) -> None:
        if self.is_over:
            return
        try:
            found = take_lease(
                self._thread_id, self._attempt, self._owner, self._ttl, self._wait, goes_on=lambda: not self.is_over
            )
            self.token = self._run(found).token
        except BaseException as error:  # noqa: BLE001 - it is raised where the block is entered
            self._report(error)
            if isinstance(error, LeaseHeldError):
                return
            # Any other error: the lease may have been taken all the same.
        else:
            self._report(None)
            self._keep_renewed(self.token)
        self._release()

    def _keep_renewed(self, token: int) -> None:
        while not self.is_over:
            with suppress(Empty):
                self._awake.get(timeout=self._ttl / 3000)
            if not self.is_over and not self.lost:
                self._renew(token)

    def _report(self, error: BaseException | None) -> None:
        self.entered.put(error)
        with suppress(RuntimeError):  # the event loop is closed, so nobody waits
            self.notify()

    def _renew(self, token: int) -> None:
        try:
            self._run(renew_lease(self._thread_id, token, self._ttl))
        except LeaseLostError:
            self.lost = True
            _log.warning("the lease expired or was broken", extra=about(self._thread_id))
        except CheckpointError as error:
            # There may be time for another attempt. If not, the store refuses later writes.
            _log.warning("the lease could not be renewed: %s", error, extra=about(self._thread_id))

    def _release(self) -> None:
        try:
            self._run(end_lease(self._thread_id, self._attempt))
        except CheckpointError as error:
            _log.warning("the lease could not be released, and will expire: %s", error, extra=about(self._thread_id))


class _Leaving(Generic[P, R]):
    """The method that ends a block, as an object that lives exactly as long as the block.

    A ``with`` statement looks up its exit method first, refers to it while the block runs, and drops it whatever happens,
    even if an exception comes before the method can run. So a hold lasts as long as that object. It is a `partial`: no frame
    of a traceback refers to it.
    """

    def __init__(self, method: Callable[Concatenate[Any, P], R]) -> None:
        self._method = method

    @overload
    def __get__(self, lease: None, kind: type) -> Callable[Concatenate[Any, P], R]: ...
    @overload
    def __get__(self, lease: Lease, kind: type) -> Callable[P, R]: ...
    def __get__(self, lease: Lease | None, kind: type) -> Callable[..., R]:
        if lease is None:
            return self._method
        leave = partial(self._method, lease)
        lease._leaving = weakref.ref(leave)  # noqa: SLF001 - a part of the class
        return leave


class Lease:
    """One worker's exclusive right to write to a thread, while a block runs. It is renewed in the background.

    A process that stalls stops renewing. When it continues, its writes are refused with `LeaseLostError`.
    """

    def __init__(
        self,
        run: Runner,
        settings: Settings,
        flush: Callable[[str], Any],
        thread_id: Any,
        ttl: Any,
        wait: Any,
        owner: Any,
    ) -> None:
        """Prepare a lease. Users call `RedisSaver.lease`, which explains the arguments.

        *flush* waits until the queued writes of a thread are stored; an `AsyncLease` awaits it.
        """
        self._run = run
        self._flush = flush
        self._settings = settings
        self._wait = read_wait(wait)
        self._leaving: weakref.ref[Any] | None = None
        self._hold: Hold | None = None
        self._entered: Token[None] | None = None
        self.thread_id, self._ttl = lease_of(thread_id, ttl)
        self.owner = read_owner(owner) or f"{socket.gethostname()}:{os.getpid()}"

    @property
    def token(self) -> int:
        """The fencing token: every later lease of the thread has a larger one."""
        hold = self._hold
        if hold is None or hold.token is None or hold.is_over:
            raise LeaseLostError(f"the lease of thread {self.thread_id!r} is not held: use it in a with block")
        return hold.token

    @property
    def lost(self) -> bool:
        """Whether a renewal found that the lease expired or was broken."""
        return self._hold is not None and self._hold.lost

    def config(self, **configurable: Any) -> dict[str, Any]:
        """Return a config for the engine that carries the fencing token, with more *configurable* entries if given."""
        return {"configurable": {**configurable, "thread_id": self.thread_id, "lease_token": self.token}}

    def __enter__(self) -> Self:
        """Take the lease, waiting up to *wait* seconds.

        Raises:
            LeaseHeldError: Another worker holds the thread.
        """
        hold = self._begin()
        try:
            self._enter(hold, hold.entered.get())
        except BaseException:
            hold.leave()
            raise
        return self

    def _exit(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait until the block's writes are stored, and release the lease.

        Raises:
            CheckpointError: A write with ``durability="async"`` failed. If the block raised, its exception is raised.
        """
        try:
            if kind is None:
                self._flush(self.thread_id)
        finally:
            self._leave().wait_for_end()

    __exit__ = _Leaving(_exit)

    def _begin(self, notify: Callable[[], object] | None = None) -> Hold:
        hold = self._hold = Hold(self._run, self.thread_id, self.owner, self._ttl, self._wait)
        hold.notify = notify or hold.notify
        # Without a with statement, as in an ExitStack, the block ends at the latest when the lease is garbage.
        leaving = self._leaving and self._leaving()
        hold.begin(self if leaving is None else leaving)
        return hold

    def _enter(self, hold: Hold, error: BaseException | None) -> None:
        if error is not None:
            raise error
        self._entered = _entered.set(None)
        around = _fencing_here()
        mine = (self._settings, self.thread_id)
        hold.outer = around.get(mine)
        HELD_HERE.set({**around, mine: hold})

    def _leave(self) -> Hold:
        hold, entered = self._hold, self._entered
        if hold is None or entered is None:
            raise LeaseLostError(f"the lease of thread {self.thread_id!r} is not held: use it in a with block")
        hold.leave()
        # Not by a reset: blocks may end in another order or context than they began in.
        HELD_HERE.set(_fencing_here())
        with suppress(ValueError, RuntimeError):
            _entered.reset(entered)
            hold.forget()
        return hold


def _fencing_here() -> dict[tuple[Settings, str], Held]:
    """The holds of this context, without those whose blocks have ended."""
    return {key: found for key, each in HELD_HERE.get().items() if (found := each.fencing()) is not None}


class AsyncLease(Lease):
    """A `Lease` for ``async with``."""

    async def __aenter__(self) -> Self:
        """Take the lease, waiting up to *wait* seconds."""
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        hold = self._begin(lambda: loop.call_soon_threadsafe(done.set))
        try:
            await done.wait()
            self._enter(hold, hold.entered.get())
        except BaseException:
            hold.leave()
            raise
        return self

    async def _aexit(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait until the block's writes are stored, and release the lease."""
        try:
            if kind is None:
                await self._flush(self.thread_id)
        finally:
            await asyncio.to_thread(self._leave().wait_for_end)

    __aexit__ = _Leaving(_aexit)
