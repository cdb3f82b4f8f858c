"""Configs, checkpoints, and what is compared of them."""

from __future__ import annotations

import asyncio
from typing import Any


def at(thread: Any = "thread", ns: Any = None, id: Any = None, **more: Any) -> dict[str, Any]:
    """A config."""
    configurable = {"thread_id": thread, **more}
    if ns is not None:
        configurable["checkpoint_ns"] = ns
    if id is not None:
        configurable["checkpoint_id"] = id
    return {"configurable": configurable}


def state(id: str | None = None, **values: Any) -> dict[str, Any]:
    """A checkpoint as the engine makes them."""
    made = {
        "v": 1,
        "ts": "2024-05-01T12:00:00+00:00",
        "channel_values": values,
        "channel_versions": dict.fromkeys(values, 1),
        "versions_seen": {},
    }
    if id is not None:
        made["id"] = id
    return made


def place(config: dict[str, Any]) -> tuple[str, str, str | None]:
    """Thread, namespace and checkpoint id of a config."""
    inner = config["configurable"]
    return inner["thread_id"], inner.get("checkpoint_ns", ""), inner.get("checkpoint_id")


def ids(tuples: Any) -> list[str]:
    """The checkpoint ids of tuples."""
    return [each.checkpoint["id"] for each in tuples]


def fill(saver: Any, count: int, thread: str = "thread", ns: str = "", start: int = 0) -> list[str]:
    """Store a chain of checkpoints; returns their ids, oldest first."""
    config = at(thread, ns)
    stored = []
    for number in range(start, start + count):
        config = saver.put(config, state(f"c{number}", n=number), {"step": number})
        stored.append(f"c{number}")
    return stored


def thread_ids(saver: Any, **options: Any) -> list[str]:
    """The ids that list_threads gives."""
    return [each.thread_id for each in saver.list_threads(**options)]


def thread_info(saver: Any, thread: str = "thread") -> Any:
    """What list_threads returns of one thread, None if it is not listed."""
    return next((each for each in saver.list_threads(limit=None) if each.thread_id == thread), None)


def everything(saver: Any, thread: str, *namespaces: str) -> list[Any]:
    """All that can be read of a thread's namespaces, with the thread's own name left out."""
    found = []
    for ns in namespaces or ("",):
        for each in saver.list(at(thread, ns), limit=None):
            parent = each.parent_config and place(each.parent_config)[1:]
            found.append((place(each.config)[1:], each.checkpoint, each.metadata, parent, each.pending_writes))
    return found


async def cancel_puts_anywhere(saver: Any) -> None:
    """Cancel awaited puts after none to four steps of the event loop; the saver must be as usable as before."""
    for number in range(20):
        task = asyncio.create_task(saver.aput(at(), state(f"c{number}", text="x" * 100_000), {}))
        for _ in range(number % 5):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    for number in range(20):
        await saver.aput(at("after"), state(f"c{number}"), {})
        assert (await saver.aget(at("after")))["id"] == f"c{number}"
