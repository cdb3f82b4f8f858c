"""The lease of a thread, as a block of code holds it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextvars import copy_context
from types import TracebackType
from typing import Any, Self

from .core.drive import AsyncRunner, Runner
from .core.leasing import HELD_HERE, end_lease, new_attempt, renew_lease, take_lease
from .core.settings import Settings
from .display import about
from .errors import BackendUnavailableError, LeaseLostError

__all__ = ("AsyncLease", "Lease")

_log = logging.getLogger(__name__)


class Lease:
    """One worker's right to write to a thread, held while the block runs and renewed in the background.

    A process that stalls stops renewing; when it goes on, its writes are refused with `LeaseLostError`.
    """

    def __init__(
        self, run: Runner, settings: Settings, thread_id: str, ttl: int, *, wait: float | None, owner: str | None
    ) -> None:
        """Name what is to be held; use `RedisSaver.lease`, which explains the arguments. *ttl* is in ms here."""
        self._run = run
        self._settings = settings
        self._ttl = ttl
        self._wait = wait or 0.0
        self._token: int | None = None
        self._lost = False
        self._ended = threading.Event()
        self._renewing: threading.Thread
        self.thread_id = thread_id
        self.owner = owner or f"{socket.gethostname()}:{os.getpid()}"

    @property
    def token(self) -> int:
        """The fencing token; every later lease of the thread has a larger one."""
        if self._token is None:
            raise LeaseLostError(f"the lease of thread {self.thread_id!r} is not held: use it in a with block")
        return self._token

    @property
    def lost(self) -> bool:
        """Whether the lease is known to be lost."""
        return self._lost

    def config(self, **configurable: Any) -> dict[str, Any]:
        """Return a config for the engine that carries the token, with more *configurable* if given."""
        return {"configurable": {**configurable, "thread_id": self.thread_id, "lease_token": self.token}}

    def __enter__(self) -> Self:
        """Take the lease, waiting for it as long as was asked for.

        Raises:
            LeaseHeldError: Another worker holds the thread.
        """
        taken = self._run(take_lease(self.thread_id, new_attempt(), self.owner, self._ttl, self._wait))
        self._begin(taken.token)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop renewing, and give the lease back."""
        token = self.token
        self._ended.set()
        self._renewing.join()
        self._forget()
        with self._best_effort():
            self._run(end_lease(self.thread_id, token))

    def _begin(self, token: int) -> None:
        self._token = token
        self._ended.clear()
        HELD_HERE.set(HELD_HERE.get() | {(self._settings, self.thread_id): token})
        # A thread of its own also under asyncio: the engine's blocking calls hold up the event loop.
        self._renewing = threading.Thread(
            target=copy_context().run, args=(self._renew, token), daemon=True, name="zerograph-redis-lease"
        )
        self._renewing.start()

    def _renew(self, token: int) -> None:
        while not self._ended.wait(self._ttl / 3000):
            try:
                self._run(renew_lease(self.thread_id, token, self._ttl))
            except LeaseLostError:
                self._lost = True
                _log.warning("the lease was lost", extra=about(self.thread_id))
                return
            except BackendUnavailableError as error:
                # There may be time for another try; the store itself judges when there is not.
                _log.warning("the lease could not be renewed: %s", error, extra=about(self.thread_id))

    def _forget(self) -> None:
        # Not by a reset: a block may be left in another context than it was entered in.
        mine = (self._settings, self.thread_id)
        HELD_HERE.set({key: token for key, token in HELD_HERE.get().items() if key != mine})
        self._token = None

    @contextlib.contextmanager
    def _best_effort(self) -> Iterator[None]:
        try:
            yield
        except BackendUnavailableError as error:
            _log.warning("the lease was left to expire: %s", error, extra=about(self.thread_id))


class AsyncLease(Lease):
    """A `Lease` for ``async with``."""

    def __init__(
        self,
        run: Runner,
        arun: AsyncRunner,
        settings: Settings,
        thread_id: str,
        ttl: int,
        *,
        wait: float | None,
        owner: str | None,
    ) -> None:
        """Name what is to be held; use `AsyncRedisSaver.alease`."""
        super().__init__(run, settings, thread_id, ttl, wait=wait, owner=owner)
        self._arun = arun

    async def __aenter__(self) -> Self:
        """Take the lease, waiting for it as long as was asked for."""
        taken = await self._arun(take_lease(self.thread_id, new_attempt(), self.owner, self._ttl, self._wait))
        self._begin(taken.token)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop renewing, and give the lease back."""
        token = self.token
        self._ended.set()
        await asyncio.to_thread(self._renewing.join)
        self._forget()
        with self._best_effort():
            await self._arun(end_lease(self.thread_id, token))
