"""Workers that put with ``durability="async"`` and are killed at any moment, and what another worker finds then.

Run as a process of its own, which forks the workers: ``python -m support.killed URL COUNT SEED`` prints what was seen.
"""

from __future__ import annotations

import json
import os
import random
import signal
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from typing import Any

from support.data import at, state
from zerograph_redis import open_saver
from zerograph_redis.savers.write_queue import MOST_BYTES

THREADS = 3  # that a worker writes to
LONGEST = 0.06  # seconds that a worker lives once it has begun
RUN = 12  # steps, after which a run ends

_ENTRY = struct.Struct("<BHI")
PUT, STORED, FAILED = range(3)


def texts(step: int) -> list[str]:
    """The messages of a thread at a step: a window that grows, slides and is edited."""
    found = [f"message {each} " + "x" * 300 * (each % 5) for each in range(max(0, step - 40), step + 1)]
    if step % 7 == 3 and len(found) > 4:
        found[2] = f"edited at {step} " + "y" * 700
    return found


def checkpoint(step: int) -> dict[str, Any]:
    """The checkpoint of a step."""
    following = [] if step % RUN == RUN - 1 else ["next"]
    return {**state(f"c{step}", messages=texts(step), small=step), "_next_nodes": following}


def pending(step: int) -> list[tuple[str, str, Any]]:
    """The pending writes of a step."""
    return [("task", "one", step), ("task", "two", texts(step)[-1])]


def write(url: str, log: int, seed: int) -> None:
    """Put until killed; log each write once it is acknowledged, and what is known to be stored."""
    dice = random.Random(seed)
    saver = open_saver(url, durability="async")

    def note(kind: int, thread: int, step: int) -> None:
        os.write(log, _ENTRY.pack(kind, thread, step))

    def run(thread: int) -> None:
        own = random.Random(seed + thread)
        name, step = f"{seed} {thread}", 0
        try:
            while True:
                # Two namespaces, whose order among one another counts too.
                before = f"c{step - 1}" if step else None
                saver.put(at(name, "", before), checkpoint(step), {"step": step})
                saver.put_writes(at(name, "", f"c{step}"), pending(step), "")
                saver.put(at(name, "sub", before), checkpoint(step), {"step": step})
                note(PUT, thread, step)
                if step % RUN == RUN - 1:
                    note(STORED, thread, step)
                elif own.random() < 0.05:
                    saver.flush(name)
                    note(STORED, thread, step)
                if own.random() < 0.1:
                    time.sleep(own.random() * 0.01)
                step += 1
        except BaseException:
            note(FAILED, thread, step)
            raise

    others = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(1, THREADS)]
    for each in others:
        each.start()
    dice.random()
    run(0)


def logged(log: int) -> set[int]:
    """Read what kinds of entries a log has."""
    found = os.pread(log, 1_000_000, 0)
    return {kind for kind, *_ in _ENTRY.iter_unpack(found[: len(found) // _ENTRY.size * _ENTRY.size])}


def kill(url: str, seed: int, seen: Counter[str], broken: list[str]) -> None:
    """Let a worker begin, kill it, and check what it left."""
    dice = random.Random(-seed)
    with tempfile.TemporaryFile() as log:
        pid = os.fork()
        if pid == 0:
            try:
                write(url, log.fileno(), seed)
            finally:
                os._exit(1)
        end = time.monotonic() + 30
        # Every second worker lives until something is stored for certain.
        awaited = {PUT, STORED, FAILED} if seed % 2 else {STORED, FAILED}
        while awaited.isdisjoint(logged(log.fileno())) and time.monotonic() < end:
            time.sleep(0.001)
        time.sleep(dice.random() * LONGEST)
        os.kill(pid, signal.SIGKILL)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != -signal.SIGKILL:
            broken.append("a worker ended by itself")
        log.seek(0)
        whole = log.read()
    put = dict.fromkeys(range(THREADS), -1)
    stored = dict(put)
    for kind, thread, step in _ENTRY.iter_unpack(whole[: len(whole) // _ENTRY.size * _ENTRY.size]):
        seen["failed"] += kind == FAILED
        (stored if kind == STORED else put)[thread] = step
    seen["killed"] += 1
    with open_saver(url) as saver:
        lost = 0
        for thread in range(THREADS):
            found = check(saver, f"{seed} {thread}", broken)
            seen["acknowledged"] += put[thread] + 1
            seen["found"] += min(found, put[thread] + 1)
            seen["lost"] += max(put[thread] + 1 - found, 0)
            lost += sum(sum(map(len, texts(step))) for step in range(found, put[thread] + 1))
            if found <= stored[thread]:
                broken.append(f"seed {seed}: thread {thread} was stored up to {stored[thread]}, and has {found} steps")
            # What was killed can be continued.
            saver.put(at(f"{seed} {thread}"), checkpoint(found), {})
            saver.delete_thread(f"{seed} {thread}")
        if lost > 2 * MOST_BYTES:  # both namespaces
            broken.append(f"seed {seed}: {lost} bytes are lost, more than the queue holds")


def check(saver: Any, name: str, broken: list[str]) -> int:
    """Return how many whole steps a thread has; note what is not the beginning of what was put."""
    main, sub = ([*reversed(saver.list(at(name, ns), limit=None))] for ns in ("", "sub"))
    for ns, history in (("", main), ("sub", sub)):
        for step, each in enumerate(history):
            if each.checkpoint != checkpoint(step) or each.metadata != {"step": step}:
                broken.append(f"{name}: step {step} of namespace {ns!r} is not what was put")
                return 0
    written = [[tuple(write) for write in each.pending_writes] for each in main]
    whole = sum(bool(each) for each in written)
    if not len(main) >= whole >= len(sub) >= len(main) - 1:
        broken.append(f"{name}: {len(main)}, {whole} and {len(sub)} are no beginning of what was put")
    if written[:whole] != [pending(step) for step in range(whole)] or any(written[whole:]):
        broken.append(f"{name}: pending writes are not those that were put")
    return len(sub)


def main(url: str, count: str, seed: str) -> None:
    """Kill so many workers."""
    seen: Counter[str] = Counter()
    broken: list[str] = []
    for number in range(int(count)):
        kill(url, int(seed) + number, seen, broken)
        if broken:
            break
    if seen["failed"]:
        broken.append(f"{seen['failed']} writers failed")
    sys.stdout.write(json.dumps({"seen": seen, "broken": broken}))


if __name__ == "__main__":
    main(*sys.argv[1:])
