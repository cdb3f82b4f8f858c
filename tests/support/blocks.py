"""Blocks of leases that are cut short, and what must be left of them."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable, Generator
from types import coroutine
from typing import Any
from uuid import uuid4

from support.data import at, state
from support.polling import until
from zerograph_redis.core.leasing import HELD_HERE
from zerograph_redis.core.requests import LeaseThread


def lease_threads() -> list[threading.Thread]:
    """The threads that keep leases."""
    return [each for each in threading.enumerate() if each.name == "zerograph-redis-lease"]


def check_nothing_left(saver: Any, thread: str = "thread", *, seconds: float = 30.0) -> None:
    """Check that no lease is kept or held, and that writes outside of any block are stored, here and anywhere else."""
    until(lambda: not lease_threads(), seconds=seconds)
    assert contextvars.Context().run(saver.break_lease, thread) is None, "the thread is held"
    for run in (contextvars.copy_context().run, lambda call, *given: call(*given)):
        named = uuid4().hex
        run(saver.put, at(thread), state(named), {})
        assert saver.get(at(thread))["id"] == named
    assert all(each.fencing() is None for each in HELD_HERE.get().values()), "the context has a lease"


def stall(lease: Any) -> None:
    """Stop the renewals of a lease, as a process does that stands still."""
    stopped = threading.Event()
    lease._hold._renew = lambda token: stopped.set()
    lease._hold._awake.put(None)
    assert stopped.wait(30)  # so none is under way either


def expire(lease: Any, saver: Any) -> None:
    """Stop the renewals of a lease, and let it expire now; *saver* is any of its store."""
    stall(lease)
    request = LeaseThread(lease.thread_id, "renew", lease.token, "-", "", 1)
    getattr(saver, "saver", saver).store.backend.execute(request)


async def cancelled_at(number: int, call: Callable[[], Awaitable[Any]]) -> bool:
    """Await *call* in a task of its own that is cancelled where it waits for the n-th time; False if it waits less often."""
    task = asyncio.create_task(_cancelled_at(number, call))
    await asyncio.wait({task})
    # What is cancelled may swallow it; then it is the same as if it had been done.
    return task.cancelled() or task.result() > number


async def _cancelled_at(number: int, call: Callable[[], Awaitable[Any]]) -> int:
    waits = 0

    @coroutine
    def step(inner: Any) -> Generator[Any, Any, None]:
        nonlocal waits
        error: BaseException | None = None
        while True:
            try:
                waited_for = inner.send(None) if error is None else inner.throw(error)
            except StopIteration:
                return
            error = None
            if waits == number:
                asyncio.current_task().cancel()
            waits += 1
            try:
                yield waited_for
            except BaseException as raised:  # noqa: BLE001 - it goes on to where it would have gone
                error = raised

    await step(call().__await__())
    return waits
