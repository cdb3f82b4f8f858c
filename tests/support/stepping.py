"""Coroutines that are cancelled at a chosen await."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any, NamedTuple


@types.coroutine
def _step(coroutine: Coroutine[Any, Any, Any], position: int) -> Generator[Any, Any, Any]:
    task = asyncio.current_task()
    step, given, waits = coroutine.send, None, 0
    while True:
        try:
            waited_for = step(given)
        except StopIteration as end:
            return end.value
        if waits == position:
            task.cancel()
        waits += 1
        try:
            step, given = coroutine.send, (yield waited_for)
        except BaseException as error:
            step, given = coroutine.throw, error


class Ending(NamedTuple):
    """How a coroutine ended. It may return although it was cancelled: `asyncio.wait_for` keeps an available result."""

    cancelled: bool
    whole: bool
    result: Any = None


async def cancelled_at(coroutine: Coroutine[Any, Any, Any], position: int) -> Ending:
    """Run *coroutine* as a task, and cancel it at the await of this *position*, counted from 0."""

    async def run() -> Any:
        return await _step(coroutine, position)

    task = asyncio.create_task(run())
    try:
        result = await task
    except asyncio.CancelledError:
        if not task.cancelled():
            raise
        return Ending(cancelled=True, whole=False)
    return Ending(task.cancelling() > 0, whole=True, result=result)
