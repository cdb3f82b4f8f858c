"""Memory by step: of the chat, and of a bounded state with ``keep_last``."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import Any, ClassVar

import msgpack

from .backends import OurRedis, ServerStore
from .measure import Server
from .stepping import warm_up, write
from .workloads import Chat, Scale, Step, Window, config

KEPT = 50
NARROW, WIDE = 10, 200  # steps between samples, and steps whose samples are reduced to minimum and maximum


def curves(stores: Sequence[ServerStore], scale: Scale) -> dict[str, Any]:
    """Memory by step of the chat."""
    steps = list(Chat().steps(scale))
    found: dict[str, Any] = {"steps": []}
    for store in stores:
        warm_up(store, steps[:2])
        found["steps"], found[store.name] = curve(store, steps, max(scale.steps // 50, 1))
        store.server.clear()
        store.replace_worker()
    return found


def bounded(server: Server, scale: Scale) -> dict[str, Any]:
    """Memory by step of a window with ``keep_last``, over many steps."""
    store = KeepLast(server)
    try:
        steps = Window().thread("bounded", 3)
        first = list(islice(steps, 150))
        warm_up(store, first[:3])
        size = len(msgpack.packb(first[-1].checkpoint))
        begin = time.perf_counter()
        numbers, memory = curve(store, islice(chain(first, steps), scale.bounded), NARROW)
        took = time.perf_counter() - begin
        left = len(store.worker.list(config("bounded"), limit=None))
        server.clear()
    finally:
        store.close()
    half = len(memory) // 2
    peaks = max(memory[:half]), max(memory[half:])
    blocks = [memory[start : start + WIDE // NARROW + 1] for start in range(0, len(memory) - 1, WIDE // NARROW)]
    return {
        "keep_last": KEPT,
        "state_bytes": size,
        "seconds": round(took, 1),
        "steps": numbers[:: WIDE // NARROW][: len(blocks)],
        "least": [min(block) for block in blocks],
        "most": [max(block) for block in blocks],
        "peaks": peaks,
        "last_half_by_first": round(peaks[1] / peaks[0], 3),
        "checkpoints": left,
    }


class KeepLast(OurRedis):
    """`RedisSaver` with ``keep_last``."""

    options: ClassVar = {"keep_last": KEPT}


def curve(store: ServerStore, steps: Iterable[Step], every: int) -> tuple[list[int], list[int]]:
    """The memory after every so many steps: numbers of steps, and bytes."""
    server = store.server
    server.clear()
    before = server.memory()
    numbers, memory = [0], [0]
    for number, step in enumerate(steps, 1):
        write(store.worker, [step])
        if number % every == 0:
            numbers.append(number)
            memory.append(server.memory() - before)
    return numbers, memory
