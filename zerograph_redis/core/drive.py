"""Two ways to run an operation: blocking, and awaiting."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from .requests import Operation, Request

__all__ = ("AsyncBackend", "Backend", "arun", "run")

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


def run(operation: Operation[R], backend: Backend) -> R:
    """Drive *operation* to its end, blocking on each request."""
    reply: Any = None
    while True:
        try:
            request = operation.send(reply)
        except StopIteration as end:
            result: R = end.value
            return result
        # Outside the try: a StopIteration in there must not end the operation.
        reply = backend.execute(request)


async def arun(operation: Operation[R], backend: AsyncBackend) -> R:
    """Drive *operation* to its end, awaiting each request."""
    reply: Any = None
    while True:
        try:
            request = operation.send(reply)
        except StopIteration as end:
            result: R = end.value
            return result
        reply = await backend.aexecute(request)
