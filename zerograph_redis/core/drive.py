"""Running an operation, or anything else that is written as a generator: blocking, or awaiting."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Protocol, TypeVar

from zerograph_redis.display import about
from zerograph_redis.errors import CorruptCheckpointError

from .requests import Operation, Pause, Request

_log = logging.getLogger(__name__)

R = TypeVar("R")


class Backend(Protocol):
    """Answers requests."""

    def execute(self, request: Request[R]) -> R:
        """Answer *request*, blocking."""
        ...


class AsyncBackend(Backend, Protocol):
    """Answers requests both ways."""

    async def aexecute(self, request: Request[R]) -> R:
        """Answer *request* without blocking the event loop."""
        ...


class Runner(Protocol):
    """Runs operations on one backend."""

    def __call__(self, operation: Operation[R], /) -> R:
        """Run *operation* to its end, blocking."""
        ...


def drive(steps: Generator[Any, Any, R], answer: Callable[[Any], Any]) -> R:
    """Run *steps* to their end, and send the answer to each. An error of *answer* ends them.

    Damage that a request finds is logged with its thread.
    """
    step: Any = None
    reply: Any = None
    try:
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                result: R = end.value
                return result
            # Outside the inner try: a StopIteration in there must not end the steps.
            if type(step) is Pause:
                time.sleep(step.seconds)
                reply = None
            else:
                reply = answer(step)
    except CorruptCheckpointError as error:
        _log_damage(error, step)
        raise


async def adrive(steps: Generator[Any, Any, R], answer: Callable[[Any], Awaitable[Any]]) -> R:
    """Await `drive`."""
    step: Any = None
    reply: Any = None
    try:
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                result: R = end.value
                return result
            if type(step) is Pause:
                await asyncio.sleep(step.seconds)
                reply = None
            else:
                reply = await answer(step)
    except CorruptCheckpointError as error:
        _log_damage(error, step)
        raise


def run(operation: Operation[R], backend: Backend) -> R:
    """Run *operation* to its end; *backend* answers its requests, blocking."""
    return drive(operation, backend.execute)


async def arun(operation: Operation[R], backend: AsyncBackend) -> R:
    """Await `run`."""
    return await adrive(operation, backend.aexecute)


def _log_damage(error: CorruptCheckpointError, step: Any) -> None:
    # An operation may run within another one, and the error passes here twice.
    if isinstance(step, Request) and not error.logged:
        error.logged = True
        _log.error("%s", error, extra=about(getattr(step, "thread", None)))
