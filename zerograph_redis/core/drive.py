"""Two ways to run what is written as a generator, an operation above all: blocking, and awaiting."""

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
    """`run`, on a backend that is known."""

    def __call__(self, operation: Operation[R], /) -> R:
        """Drive *operation* to its end, blocking."""
        ...


def drive(steps: Generator[Any, Any, R], answer: Callable[[Any], Any]) -> R:
    """Run *steps* to their end, and give each its answer. What *answer* raises ends them."""
    given: Any = None
    while True:
        try:
            step = steps.send(given)
        except StopIteration as end:
            result: R = end.value
            return result
        # Outside the try: a StopIteration in there must not end the steps.
        given = answer(step)


async def adrive(steps: Generator[Any, Any, R], answer: Callable[[Any], Awaitable[Any]]) -> R:
    """Await `drive`."""
    given: Any = None
    while True:
        try:
            step = steps.send(given)
        except StopIteration as end:
            result: R = end.value
            return result
        given = await answer(step)


def run(operation: Operation[R], backend: Backend) -> R:
    """Drive *operation* to its end, blocking on each request."""
    execute = backend.execute
    request: Request[Any] | None = None
    reply: Any = None
    try:
        while True:
            try:
                request = operation.send(reply)
            except StopIteration as end:
                result: R = end.value
                return result
            # Outside the inner try: a StopIteration in there must not end the operation.
            if type(request) is Pause:
                time.sleep(request.seconds)
                reply = None
            else:
                reply = execute(request)
    except CorruptCheckpointError as error:
        _tell_damage(error, request)
        raise


async def arun(operation: Operation[R], backend: AsyncBackend) -> R:
    """Drive *operation* to its end, awaiting each request."""
    execute = backend.aexecute
    request: Request[Any] | None = None
    reply: Any = None
    try:
        while True:
            try:
                request = operation.send(reply)
            except StopIteration as end:
                result: R = end.value
                return result
            if type(request) is Pause:
                await asyncio.sleep(request.seconds)
                reply = None
            else:
                reply = await execute(request)
    except CorruptCheckpointError as error:
        _tell_damage(error, request)
        raise


def _tell_damage(error: CorruptCheckpointError, request: Request[Any] | None) -> None:
    # On a cluster an operation's requests are operations themselves, and the error passes here twice.
    if not error.told:
        error.told = True
        _log.error("%s", error, extra=about(getattr(request, "thread", None)))
