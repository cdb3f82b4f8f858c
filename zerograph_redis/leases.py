"""The lease of a thread, as a block of code holds it.

A block may be entered, left or given up at any moment, by an exception of a signal handler or by a cancelled task. Neither
reaches a thread of its own, so that is where a lease is taken, renewed and given back, one after the other: in a `Hold`.
The block merely waits for it. What ends a hold is that nobody can leave the block any more, see `_Leaving`.
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

from .core.drive import Runner
from .core.leasing import HELD_HERE, Held, end_lease, new_attempt, renew_lease, take_lease
from .core.settings import Settings
from .display import about
from .errors import CheckpointError, LeaseHeldError, LeaseLostError

_log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

_entered: ContextVar[None] = ContextVar("zerograph_redis_entered", default=None)
"""Tells whether a block is left in the very context that it was entered in, not in a copy: only there it can be reset."""


class Hold:
    """One lease, from its taking until it was given back, in a thread of its own.

    Written so that an exception between any two of its steps in the block's thread leaves it right: what both threads
    share are flags that are set once, and queues, which are written in C.
    """

    def __init__(self, run: Runner, thread_id: str, owner: str, ttl: int, wait: float) -> None:
        """Hold nothing yet."""
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
        """Gets None when the lease was taken, or the error of trying to."""
        self.tell: Callable[[], object] = lambda: None
        """Is called when `entered` got something."""
        self.token: int | None = None
        self.lost = False
        self.outer: Held | None = None
        """The lease of the same thread whose block is around this one's; it was lost or broken."""

    @property
    def is_over(self) -> bool:
        """Whether the block is."""
        return self._is_left or self._block() is None

    def fencing(self) -> Held | None:
        """Return the hold whose token goes for writes of a context that has this one.

        Where leaving the block was cut short, its context still has the hold, which says nothing any more. Where it was
        not, only copies of the context have it: what began in the block and goes on behind its back is refused.
        """
        if self._is_forgotten or not self.is_over:
            return self
        return self.outer and self.outer.fencing()

    def begin(self, block: object) -> None:
        """Take the lease, and keep it for as long as *block* lives or until `leave`."""
        self._block = weakref.ref(block, self._awake.put)
        # Starting a thread from a thread, since an exception of a signal handler in the midst of it would leave one that
        # is neither started nor gone.
        _thread.start_new_thread(self._start, ())

    def leave(self) -> None:
        """Have the lease given back."""
        self._is_left = True
        self._awake.put(None)

    def forget(self) -> None:
        """Note that no context has this hold but copies of the one that the block was in."""
        self._is_forgotten = True

    def wait_for_end(self) -> None:
        """Wait until the lease was given back, or could not be. In a process forked meanwhile, there is nothing to do."""
        self._thread.join()

    def _start(self) -> None:
        try:
            self._thread.start()
        except RuntimeError as error:
            self._tell(error)

    def _keep(self) -> None:
        if self.is_over:
            return
        try:
            found = take_lease(
                self._thread_id, self._attempt, self._owner, self._ttl, self._wait, goes_on=lambda: not self.is_over
            )
            self.token = self._run(found).token
        except BaseException as error:  # noqa: BLE001 - it is raised where the block is entered
            self._tell(error)
            if isinstance(error, LeaseHeldError):
                return
            # Otherwise it may have been taken all the same.
        else:
            self._tell(None)
            self._keep_renewed(self.token)
        self._give_back()

    def _keep_renewed(self, token: int) -> None:
        while not self.is_over:
            with suppress(Empty):
                self._awake.get(timeout=self._ttl / 3000)
            if not self.is_over and not self.lost:
                self._renew(token)

    def _tell(self, error: BaseException | None) -> None:
        self.entered.put(error)
        with suppress(RuntimeError):  # the event loop is closed, so nobody waits
            self.tell()

    def _renew(self, token: int) -> None:
        try:
            self._run(renew_lease(self._thread_id, token, self._ttl))
        except LeaseLostError:
            self.lost = True
            _log.warning("the lease was lost", extra=about(self._thread_id))
        except CheckpointError as error:
            # There may be time for another try; the store itself judges when there is not.
            _log.warning("the lease could not be renewed: %s", error, extra=about(self._thread_id))

    def _give_back(self) -> None:
        try:
            self._run(end_lease(self._thread_id, self._attempt))
        except CheckpointError as error:
            _log.warning("the lease was left to expire: %s", error, extra=about(self._thread_id))


class _Leaving(Generic[P, R]):
    """The method that ends a block, made so that the block's end is seen even if the method never begins to run.

    A ``with`` looks up what it will call at the end, keeps it while the block runs, and drops it whatever happens. So a
    hold lasts as long as that object. It is a `partial`, which no frame of a traceback refers to.
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
    """One worker's right to write to a thread, held while the block runs and renewed in the background.

    A process that stalls stops renewing; when it goes on, its writes are refused with `LeaseLostError`.
    """

    def __init__(
        self,
        run: Runner,
        settings: Settings,
        thread_id: str,
        ttl: int,
        *,
        wait: float | None,
        owner: str | None,
        flush: Callable[[str], Any],
    ) -> None:
        """Name what is to be held; use `RedisSaver.lease`, which explains the arguments.

        *ttl* is in ms here. *flush* has the writes of a thread stored; that of an `AsyncLease` is awaited.
        """
        self._run = run
        self._flush = flush
        self._settings = settings
        self._ttl = ttl
        self._wait = wait or 0.0
        self._leaving: weakref.ref[Any] | None = None
        self._hold: Hold | None = None
        self._entered: Token[None] | None = None
        self.thread_id = thread_id
        self.owner = owner or f"{socket.gethostname()}:{os.getpid()}"

    @property
    def token(self) -> int:
        """The fencing token; every later lease of the thread has a larger one."""
        hold = self._hold
        if hold is None or hold.token is None or hold.is_over:
            raise LeaseLostError(f"the lease of thread {self.thread_id!r} is not held: use it in a with block")
        return hold.token

    @property
    def lost(self) -> bool:
        """Whether the lease is known to be lost."""
        return self._hold is not None and self._hold.lost

    def config(self, **configurable: Any) -> dict[str, Any]:
        """Return a config for the engine that carries the token, with more *configurable* if given."""
        return {"configurable": {**configurable, "thread_id": self.thread_id, "lease_token": self.token}}

    def __enter__(self) -> Self:
        """Take the lease, waiting for it as long as was asked for.

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
        """Have what was written in the block stored, stop renewing, and give the lease back.

        Raises:
            CheckpointError: A write with ``durability="async"`` failed. Left by an exception, the block raises that.
        """
        try:
            if kind is None:
                self._flush(self.thread_id)
        finally:
            self._leave().wait_for_end()

    __exit__ = _Leaving(_exit)

    def _begin(self, tell: Callable[[], object] | None = None) -> Hold:
        hold = self._hold = Hold(self._run, self.thread_id, self.owner, self._ttl, self._wait)
        hold.tell = tell or hold.tell
        # Without a with statement, as of an ExitStack, the block is over at the latest when nobody has the lease.
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
        # Not by a reset: blocks may be left in another order or context than they were entered in.
        HELD_HERE.set(_fencing_here())
        with suppress(ValueError, RuntimeError):
            _entered.reset(entered)
            hold.forget()
        return hold


def _fencing_here() -> dict[tuple[Settings, str], Held]:
    """The holds that this context is in, without those whose blocks are over."""
    return {key: found for key, each in HELD_HERE.get().items() if (found := each.fencing()) is not None}


class AsyncLease(Lease):
    """A `Lease` for ``async with``."""

    async def __aenter__(self) -> Self:
        """Take the lease, waiting for it as long as was asked for."""
        loop = asyncio.get_running_loop()
        told = asyncio.Event()
        hold = self._begin(lambda: loop.call_soon_threadsafe(told.set))
        try:
            await told.wait()
            self._enter(hold, hold.entered.get())
        except BaseException:
            hold.leave()
            raise
        return self

    async def _aexit(self, kind: type[BaseException] | None, *_: object) -> None:
        """Have what was written in the block stored, stop renewing, and give the lease back."""
        try:
            if kind is None:
                await self._flush(self.thread_id)
        finally:
            await asyncio.to_thread(self._leave().wait_for_end)

    __aexit__ = _Leaving(_aexit)
