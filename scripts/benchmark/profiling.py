"""Where the time of a call goes: a timer looks, a few thousand times a second, at which line runs.

A profiler that traces calls makes layers of small functions look dearer than they are; this one leaves them alone. The
time of a function written in C goes to the line that calls it.
"""

from __future__ import annotations

import linecache
import random
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from .backends import Call, OurRedis, opened
from .calls import chat_steps, small_steps
from .measure import quiet
from .units import micros
from .workloads import Scale

__all__ = ("PROFILES", "profile")

EVERY = 0.0003  # seconds
SHOWN = 25
WIRE = ("recv", "send", "poll(", "select(")
"""What stands in a line that speaks to the server or waits for it."""


def profile(name: str, scale: Scale) -> None:
    """Print the parts of the project, and the lines, that a call of `RedisSaver` spends its time in."""
    samples = Samples()
    with opened(OurRedis) as stores:
        for calls in PROFILES[name](stores[OurRedis.name].worker, scale):
            samples.take(calls)
    total, each = sum(samples.lines.values()), statistics.mean(samples.times) * 1e6
    parts: Counter[str] = Counter()
    for (part, _, _), times in samples.lines.items():
        parts[part] += times
    title = f"{name}: {micros(each)} a call on average, of {len(samples.times):,}; {total:,} looks"
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
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
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=140)
    console.print(table)


class Samples:
    """Which lines ran when the timer looked, within calls alone."""

    def __init__(self) -> None:
        """Begin with none."""
        self.lines: Counter[tuple[str, str, str]] = Counter()
        self.times: list[float] = []

    def take(self, calls: Sequence[Call]) -> None:
        """Make *calls*, and look."""
        earlier = signal.signal(signal.SIGALRM, self._look)
        with quiet():
            self._wait()
            for call in calls:
                self.times.append(timed(call))
            signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)

    def _wait(self) -> None:
        # At random, so that it does not keep time with the calls.
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.5, 1.5) * EVERY)

    def _look(self, _signal: int, frame: FrameType | None) -> None:
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
    """The part of the project or the package, the function, and the line that *frame* is at."""
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
        yield [OurRedis.putting(worker, step) for step in small_steps(f"small-{number}", scale.puts * 2)]


def writes(worker: Any, scale: Scale) -> Iterator[Sequence[Call]]:
    """Pending writes, two of 200 bytes."""
    for number in range(4):
        steps = small_steps(f"small-{number}", scale.puts)
        run(OurRedis.putting(worker, step) for step in steps)
        yield [OurRedis.writing(worker, step) for step in steps]


def gets(worker: Any, scale: Scale) -> Iterator[Sequence[Call]]:
    """Reads of the newest of 2 KB."""
    steps = small_steps("small", 500)
    run(OurRedis.putting(worker, step) for step in steps)
    yield [OurRedis.reading(worker, step.thread) for step in random.choices(steps, k=scale.puts * 8)]


def chat_puts(worker: Any, scale: Scale) -> Iterator[Sequence[Call]]:
    """Puts of a chat of 160 KB."""
    for number in range(scale.chats * 4):
        before, steps = chat_steps(number, scale)
        run(OurRedis.putting(worker, step) for step in before)
        yield [OurRedis.putting(worker, step) for step in steps]


def chat_gets(worker: Any, scale: Scale) -> Iterator[Sequence[Call]]:
    """Reads of the newest of a chat of 170 KB."""
    before, steps = chat_steps(0, scale)
    run(OurRedis.putting(worker, step) for step in (*before, *steps))
    yield [OurRedis.reading(worker, steps[-1].thread)] * (scale.reads * 4)


def run(calls: Iterable[Call]) -> None:
    """Make calls that are not looked at."""
    for call in calls:
        call()


PROFILES: dict[str, Callable[[Any, Scale], Iterator[Sequence[Call]]]] = {
    "put": puts,
    "put_writes": writes,
    "get_tuple": gets,
    "chat-put": chat_puts,
    "chat-get_tuple": chat_gets,
}
"""By name: what makes the calls to look at, batch by batch."""
