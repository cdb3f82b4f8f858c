"""Workers that put with ``durability="async"`` and are killed at any moment: another worker finds a prefix of their puts.

``python -m support.killed URL COUNT SEED`` forks the workers, and prints what it counted as JSON.
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
LONGEST = 0.06  # seconds from a worker's first log entry to its death
RUN = 12  # steps of a run

_ENTRY = struct.Struct("<BHI")
PUT, STORED, FAILED = range(3)


def texts(step: int) -> list[str]:
    """The messages of a thread at a step: a window that grows, slides and changes."""
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
    """Put until killed; log each step that was put, and each that is stored for certain."""
    saver = open_saver(url, durability="async")

    def record(kind: int, thread: int, step: int) -> None:
        os.write(log, _ENTRY.pack(kind, thread, step))

    def run(thread: int) -> None:
        dice = random.Random(seed + thread)
        name, step = f"{seed} {thread}", 0
        try:
            while True:
                # Two namespaces: their order must be kept too.
                before = f"c{step - 1}" if step else None
                saver.put(at(name, "", before), checkpoint(step), {"step": step})
                saver.put_writes(at(name, "", f"c{step}"), pending(step), "")
                saver.put(at(name, "sub", before), checkpoint(step), {"step": step})
                record(PUT, thread, step)
                if step % RUN == RUN - 1:
                    record(STORED, thread, step)
                elif dice.random() < 0.05:
                    saver.flush(name)
                    record(STORED, thread, step)
                if dice.random() < 0.1:
                    time.sleep(dice.random() * 0.01)
                step += 1
        except BaseException:
            record(FAILED, thread, step)
            raise

    others = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(1, THREADS)]
    for each in others:
        each.start()
    run(0)


def read_log(log: int) -> list[tuple[int, int, int]]:
    """Read the complete entries of a log: kind, thread and step."""
    found = os.pread(log, 10_000_000, 0)
    return list(_ENTRY.iter_unpack(found[: len(found) // _ENTRY.size * _ENTRY.size]))


def kill(url: str, seed: int, seen: Counter[str], broken: list[str]) -> None:
    """Start a worker, kill it, and check what it stored."""
    dice = random.Random(-seed)
    with tempfile.TemporaryFile() as log:
        pid = os.fork()
        if pid == 0:
            try:
                write(url, log.fileno(), seed)
            finally:
                os._exit(1)
        end = time.monotonic() + 30
        # Every second worker lives until a step is stored for certain.
        awaited = {PUT, STORED, FAILED} if seed % 2 else {STORED, FAILED}
        while awaited.isdisjoint(kind for kind, *_ in read_log(log.fileno())) and time.monotonic() < end:
            time.sleep(0.001)
        time.sleep(dice.random() * LONGEST)
        os.kill(pid, signal.SIGKILL)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != -signal.SIGKILL:
            broken.append("a worker ended by itself")
        entries = read_log(log.fileno())
    put = dict.fromkeys(range(THREADS), -1)
    stored = dict(put)
    for kind, thread, step in entries:
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
            # Another worker can continue the thread.
            saver.put(at(f"{seed} {thread}"), checkpoint(found), {})
            saver.delete_thread(f"{seed} {thread}")
        if lost > 2 * MOST_BYTES:  # both namespaces
            broken.append(f"seed {seed}: {lost} bytes are lost, more than the queue holds")


def check(saver: Any, name: str, broken: list[str]) -> int:
    """Return how many complete steps a thread has; report all that is not a prefix of what was put."""
    main, sub = ([*reversed(saver.list(at(name, ns), limit=None))] for ns in ("", "sub"))
    for ns, history in (("", main), ("sub", sub)):
        for step, each in enumerate(history):
            if each.checkpoint != checkpoint(step) or each.metadata != {"step": step}:
                broken.append(f"{name}: step {step} of namespace {ns!r} is not what was put")
                return 0
    written = [[tuple(write) for write in each.pending_writes] for each in main]
    whole = sum(bool(each) for each in written)
    if not len(main) >= whole >= len(sub) >= len(main) - 1:
        broken.append(f"{name}: {len(main)} puts, {whole} put_writes and {len(sub)} puts in 'sub' are no prefix")
    if written[:whole] != [pending(step) for step in range(whole)] or any(written[whole:]):
        broken.append(f"{name}: pending writes are not those that were put")
    return len(sub)


def main(url: str, count: str, seed: str) -> None:
    """Kill *count* workers."""
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
