"""Many operations at a time, so that what many threads are asked costs few round trips."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from zerograph_redis.errors import CheckpointError

from .requests import Operation, Request

R = TypeVar("R")

WIDTH = 16  # a server does what arrives together in one go, and others wait for so long


@dataclass(slots=True)
class Bundle(Request["list[Any]"]):
    """Some requests, none of which needs the reply of another, in one round trip where the store can.

    Each is atomic by itself, not all of them together. In the place of a reply there may be the `CheckpointError` of its
    request.
    """

    requests: Sequence[Request[Any]]


def together(operations: Iterable[Operation[R]], done: Callable[[R], None], width: int = WIDTH) -> Operation[None]:
    """Run operations side by side, at most *width* at a time; *done* gets the result of each as it ends.

    An error of a request is raised where its operation waits for the reply, and ends all of them unless it is caught
    there.
    """
    waiting = iter(operations)
    asked: list[tuple[Operation[R], Request[Any]]] = []

    def go_on(operation: Operation[R], reply: Any) -> None:
        try:
            request = operation.throw(reply) if isinstance(reply, CheckpointError) else operation.send(reply)
        except StopIteration as end:
            done(end.value)
        else:
            asked.append((operation, request))

    while True:
        while len(asked) < width and (operation := next(waiting, None)) is not None:
            go_on(operation, None)
        if not asked:
            return
        answered, asked = asked, []
        replies = yield from Bundle([request for _, request in answered])
        for (operation, _), reply in zip(answered, replies, strict=True):
            go_on(operation, reply)


def side_by_side(operations: Sequence[Operation[Any]]) -> Operation[list[Any]]:
    """Run operations at a time; returns the result of each, or its `CheckpointError`."""
    found: list[Any] = [None] * len(operations)

    def settled(place: int, operation: Operation[Any]) -> Operation[None]:
        try:
            found[place] = yield from operation
        except CheckpointError as error:
            found[place] = error

    yield from together((settled(*each) for each in enumerate(operations)), lambda _: None, len(operations))
    return found
