"""Coroutines that are cancelled at a chosen place."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any, NamedTuple


@types.coroutine
def _step(coroutine: Coroutine[Any, Any, Any], place: int) -> Generator[Any, Any, Any]:
    task = asyncio.current_task()
    step, given, waits = coroutine.send, None, 0
    while True:
        try:
            waited_for = step(given)
        except StopIteration as end:
            return end.value
        if waits == place:
            task.cancel()
        waits += 1
        try:
            step, given = coroutine.send, (yield waited_for)
        except BaseException as error:
            step, given = coroutine.throw, error


class Ending(NamedTuple):
    """How a coroutine ended. One may return though it was cancelled: `asyncio.wait_for` keeps a result that came."""

    cancelled: bool
    whole: bool
    result: Any = None


async def cancelled_at(coroutine: Coroutine[Any, Any, Any], place: int) -> Ending:
    """Cancel a task of *coroutine* at its n-th wait, where *place* is n, from 0."""

    async def run() -> Any:
        return await _step(coroutine, place)

    task = asyncio.create_task(run())
    try:
        result = await task
    except asyncio.CancelledError:
        if not task.cancelled():
            raise
        return Ending(cancelled=True, whole=False)
    return Ending(task.cancelling() > 0, whole=True, result=result)
