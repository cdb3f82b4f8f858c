"""A saver seen through its blocking methods, or through their awaited twins: tests are written once, for both."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from zerograph_redis.core.drive import arun, run
from zerograph_redis.core.requests import Operation

METHODS = (
    "get_tuple", "get", "get_by_id", "put", "put_writes", "get_pending_writes", "prune", "delete_thread",
    "break_lease",
    "copy_thread", "list_threads", "list", "flush", "close",
)  # fmt: skip


class Face:
    """What both have."""

    flushes = False
    """Whether what is put is stored when the call returns, also with ``durability="async"``."""

    def _like(self, face: Any) -> Any:
        face.flushes = self.flushes
        return face

    def _flushed(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        if not self.flushes or name not in {"put", "put_writes"}:
            return method

        def put(*given: Any, **named: Any) -> Any:
            result = method(*given, **named)
            self.flush()
            return result

        return put


class SyncFace(Face):
    """The blocking methods."""

    def __init__(self, saver: Any, run: Callable[..., Any] | None = None) -> None:
        self.saver = saver
        self._run = run

    def ask(self, operation: Operation[Any]) -> Any:
        """Run an operation on what the saver keeps."""
        given = (operation, self.saver.store.backend)
        return run(*given) if self._run is None else self._run(run, *given)

    def __getattr__(self, name: str) -> Any:
        assert name in METHODS, name
        method = getattr(self.saver, name)
        if self._run is not None:
            return self._flushed(name, lambda *given, **named: self._run(method, *given, **named))
        return self._flushed(name, method)

    def run(self, operation: Operation[Any]) -> Any:
        """Drive an operation of the core."""
        return run(operation, self.saver.store.backend)

    def copied(self) -> SyncFace:
        """The same saver from a copy of this context, as a thread that is started in a block would have it."""
        return self._like(SyncFace(self.saver, contextvars.copy_context().run))

    def stranger(self) -> SyncFace:
        """The same saver from a context that is in no lease's block, as another worker would see the store."""
        return self._like(SyncFace(self.saver, contextvars.Context().run))

    @contextmanager
    def lease(self, *given: Any, **named: Any) -> Iterator[Any]:
        """Hold a thread."""
        run = self._run or (lambda call, *rest: call(*rest))
        lease = self.saver.lease(*given, **named)
        run(lease.__enter__)
        try:
            yield lease
        finally:
            run(lease.__exit__, None, None, None)


class AsyncFace(Face):
    """The awaited methods, run in one event loop."""

    def __init__(self, saver: Any, runner: asyncio.Runner, context: contextvars.Context | None = None) -> None:
        self.saver = saver
        self._runner = runner
        self._context = context

    def ask(self, operation: Operation[Any]) -> Any:
        """Run an operation on what the saver keeps."""
        return self._runner.run(arun(operation, self.saver.store.backend), context=self._context)

    def __getattr__(self, name: str) -> Any:
        assert name in METHODS, name
        twin = getattr(self.saver, "a" + name)

        def call(*positional: Any, **named: Any) -> Any:
            return self._runner.run(twin(*positional, **named), context=self._context)

        return self._flushed(name, call)

    def run(self, operation: Operation[Any]) -> Any:
        """Drive an operation of the core."""
        return self._runner.run(arun(operation, self.saver.store.backend), context=self._context)

    def copied(self) -> AsyncFace:
        """The same saver from a copy of this context, as a task that is started in a block would have it."""

        async def copy() -> contextvars.Context:
            return contextvars.copy_context()

        return self._like(AsyncFace(self.saver, self._runner, self._runner.run(copy(), context=self._context)))

    def stranger(self) -> AsyncFace:
        """The same saver from a context that is in no lease's block, as another worker would see the store."""
        return self._like(AsyncFace(self.saver, self._runner, contextvars.Context()))

    @contextmanager
    def lease(self, *given: Any, **named: Any) -> Iterator[Any]:
        """Hold a thread."""
        lease = self.saver.alease(*given, **named)
        self._runner.run(lease.__aenter__(), context=self._context)
        try:
            yield lease
        finally:
            self._runner.run(lease.__aexit__(None, None, None), context=self._context)
