"""Where the time of a call goes: a timer samples the running line a few thousand times a second.

A profiler that traces calls makes small functions look more expensive than they are; sampling does not. The time of a C
function counts for the line that calls it.
"""

from __future__ import annotations

import linecache
import random
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from .backends import Call, OurRedis, opened
from .calls import chat_steps, make_all, small_steps
from .display import make_console, make_table, micros
from .measure import quiet
from .workloads import Scale

EVERY = 0.0003  # seconds
SHOWN = 25
WIRE = ("recv", "send", "poll(", "select(")
"""Calls in the lines that send to the server or wait for it."""


def profile(name: str, scale: Scale) -> None:
    """Print the parts of the project and the lines in which a call of `RedisSaver` spends its time."""
    samples = Samples()
    with opened(OurRedis) as stores:
        for calls in PROFILES[name](stores[OurRedis.name].worker, scale):
            samples.take(calls)
    total, each = sum(samples.lines.values()), statistics.mean(samples.times) * 1e6
    parts: Counter[str] = Counter()
    for (part, _, _), times in samples.lines.items():
        parts[part] += times
    title = f"{name}: {micros(each)} a call on average, of {len(samples.times):,}; {total:,} samples"
    table = make_table(title)
    for column in ("a call", "share"):
        table.add_column(column, justify="right", min_width=7)
    table.add_column("where", no_wrap=True)
    lines = (
        (f"{part} {function}: {line}", times) for (part, function, line), times in samples.lines.most_common(SHOWN)
    )
    for rows in (parts.most_common(), lines):
        for where, times in rows:
            table.add_row(micros(each * times / total), f"{times / total:.1%}", where)
        table.add_section()
    make_console(140).print(table)


class Samples:
    """The lines that ran when the timer fired, within the calls only."""

    def __init__(self) -> None:
        """Start with no samples."""
        self.lines: Counter[tuple[str, str, str]] = Counter()
        self.times: list[float] = []

    def take(self, calls: Sequence[Call]) -> None:
        """Make *calls*, and sample them."""
        earlier = signal.signal(signal.SIGALRM, self._sample)
        with quiet():
            self._wait()
            for call in calls:
                self.times.append(timed(call))
            signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)

    def _wait(self) -> None:
        # Random intervals, which cannot match the rhythm of the calls.
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.5, 1.5) * EVERY)

    def _sample(self, _signal: int, frame: FrameType | None) -> None:
        outer = frame
        while outer is not None and outer.f_code is not timed.__code__:
            outer = outer.f_back
        if frame is not None and outer is not None and outer is not frame:
            self.lines[place(frame)] += 1
        self._wait()


def timed(call: Call) -> float:
    """The seconds that a call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def place(frame: FrameType) -> tuple[str, str, str]:
    """The part of the project or the package, the function, and the line of *frame*."""
    code = frame.f_code
    path = Path(code.co_filename)
    line = linecache.getline(code.co_filename, frame.f_lineno).strip()
    parts = path.with_suffix("").parts
    if any(word in line for word in WIRE):
        part = "the wire and the server:"
    elif "zerograph_redis" in parts:
        inside = parts[len(parts) - parts[::-1].index("zerograph_redis") :]
        part = "/".join(inside[:2] if inside[0] == "backends" else inside[:1])
    elif "site-packages" in parts:
        part = parts[parts.index("site-packages") + 1]
    else:
        part = "Python"
    return part, f"{path.stem}.{code.co_qualname}", line[:80]


def puts(worker: Any, scale: Scale) -> Iterator[Sequence[Call]]:
    """Puts of 2 KB."""
    for number in range(4):
        yield [OurRedis.put_call(worker, step) for step in small_steps(f"small-{number}", scale.puts * 2)]


def writes(worker: Any, scale: Scale) -> Iterator[Sequence[Call]]:
    """Pending writes, two of 200 bytes."""
    for number in range(4):
        steps = small_steps(f"small-{number}", scale.puts)
        make_all(OurRedis.put_call(worker, step) for step in steps)
        yield [OurRedis.put_writes_call(worker, step) for step in steps]


def gets(worker: Any, scale: Scale) -> Iterator[Sequence[Call]]:
    """Reads of the newest of 2 KB."""
    steps = small_steps("small", 500)
    make_all(OurRedis.put_call(worker, step) for step in steps)
    yield [OurRedis.get_call(worker, step.thread) for step in random.choices(steps, k=scale.puts * 8)]


def chat_puts(worker: Any, scale: Scale) -> Iterator[Sequence[Call]]:
    """Puts of a chat of 160 KB."""
    for number in range(scale.chats * 4):
        before, steps = chat_steps(number, scale)
        make_all(OurRedis.put_call(worker, step) for step in before)
        yield [OurRedis.put_call(worker, step) for step in steps]


def chat_gets(worker: Any, scale: Scale) -> Iterator[Sequence[Call]]:
    """Reads of the newest of a chat of 170 KB."""
    before, steps = chat_steps(0, scale)
    make_all(OurRedis.put_call(worker, step) for step in (*before, *steps))
    yield [OurRedis.get_call(worker, steps[-1].thread)] * (scale.reads * 4)


PROFILES: dict[str, Callable[[Any, Scale], Iterator[Sequence[Call]]]] = {
    "put": puts,
    "put_writes": writes,
    "get_tuple": gets,
    "chat-put": chat_puts,
    "chat-get_tuple": chat_gets,
}
"""By name, what makes the calls to sample, batch by batch."""
