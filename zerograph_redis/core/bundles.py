"""Many operations at a time, so that a call on many threads takes few round trips."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from zerograph_redis.errors import CheckpointError

from .requests import Operation, Request

R = TypeVar("R")

WIDTH = 16  # a server runs one bundle without a break, and its other clients wait for so long


@dataclass(slots=True)
class Bundle(Request["list[Any]"]):
    """Requests that do not need each other's replies, in one round trip if the store can do that.

    Each request is atomic, but not all of them together. The reply of a request that failed is its `CheckpointError`.
    """

    requests: Sequence[Request[Any]]


def together(operations: Iterable[Operation[R]], done: Callable[[R], None], width: int = WIDTH) -> Operation[None]:
    """Run operations side by side, at most *width* at a time; *done* gets the result of each as it ends.

    An error of a request is raised in its operation. One that the operation does not catch ends all of them.
    """
    remaining = iter(operations)
    waiting: list[tuple[Operation[R], Request[Any]]] = []

    def advance(operation: Operation[R], reply: Any) -> None:
        try:
            request = operation.throw(reply) if isinstance(reply, CheckpointError) else operation.send(reply)
        except StopIteration as end:
            done(end.value)
        else:
            waiting.append((operation, request))

    while True:
        while len(waiting) < width and (operation := next(remaining, None)) is not None:
            advance(operation, None)
        if not waiting:
            return
        answered, waiting = waiting, []
        replies = yield from Bundle([request for _, request in answered])
        for (operation, _), reply in zip(answered, replies, strict=True):
            advance(operation, reply)


def side_by_side(operations: Sequence[Operation[Any]]) -> Operation[list[Any]]:
    """Run operations side by side; returns the result of each, or its `CheckpointError`."""
    results: list[Any] = [None] * len(operations)

    def caught(number: int, operation: Operation[Any]) -> Operation[None]:
        try:
            results[number] = yield from operation
        except CheckpointError as error:
            results[number] = error

    yield from together((caught(*each) for each in enumerate(operations)), lambda _: None, len(operations))
    return results
