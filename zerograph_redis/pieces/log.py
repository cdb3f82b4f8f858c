"""What a worker knows of the logs of the threads that it had in hand lately."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from heapq import nlargest
from typing import NamedTuple, Protocol

from zerograph_redis.forks import settle

from .cut import Part
from .segments import Segment

__all__ = ("BaseCheckpoint", "KnownLog", "KnownLogs", "Logs", "Span", "ThreadLogs")

Span = tuple[str, int, int]
"""Generation, from, to."""

_WINDOWS = 1000  # stretches of one log that are kept
_TOLD = 8  # the longest of them, of which a reader tells the store
_GENERATIONS = 2
_NAMESPACES = 64
_OVERHEAD = 1000  # bytes that a thread takes beside its log
_SEGMENT = 100


class BaseCheckpoint(NamedTuple):
    """A checkpoint that the worker read or stored, whose state the next one of its namespace is compared with.

    Its content stands here, and not only where it lies in the log: what a worker remembers of the log may be of a history
    that the store has left.
    """

    checkpoint_id: str
    generation: str
    proof: str
    """What the header of its record says of its put: where it appended to the log, how much, and its random name."""
    parts: Mapping[int, tuple[Part, Sequence[Segment]]]
    """The content of each part, by its place, and where it lies in the log."""
    order: str = ""
    mark: bytes = b""
    """Names its put in a record that is encrypted, if the store confirmed its parent; see `records.Link`."""

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        return sum(part.size + _SEGMENT * len(segments) for part, segments in self.parts.values())


class Logs(Protocol):
    """Whoever has bytes of the logs of a thread."""

    def read(self, generation: str, start: int, length: int) -> bytes | None:
        """Return bytes of a generation, or None if not all are there."""


class KnownLog:
    """Stretches of a log, which is only appended to."""

    def __init__(self) -> None:
        """Know nothing."""
        self._starts: list[int] = []
        self._windows: list[bytearray] = []

    @property
    def size(self) -> int:
        """How many bytes are known."""
        return sum(map(len, self._windows))

    def spans(self) -> list[tuple[int, int]]:
        """From and to of the longest stretches."""
        found = ((start, start + len(window)) for start, window in zip(self._starts, self._windows, strict=True))
        return nlargest(_TOLD, found, key=lambda span: span[1] - span[0])

    def read(self, start: int, length: int) -> bytes | None:
        """Return the bytes of a range, or None if not all are known."""
        place = bisect_right(self._starts, start) - 1
        if place < 0:
            return None
        window = self._windows[place]
        first = start - self._starts[place]
        if first + length > len(window):
            return None
        with memoryview(window) as view, view[first : first + length] as data:
            return bytes(data)

    def add(self, start: int, data: bytes) -> None:
        """Note bytes that were appended or read. If others were known there, these are all that is known from now on."""
        place = bisect_right(self._starts, start) - 1
        if self._differs(max(place, 0), start, data):
            # The store returned to an earlier moment and went on from there, so it may lack the rest as well.
            self._starts.clear()
            self._windows.clear()
            place = -1
        if place >= 0 and start <= self._starts[place] + len(self._windows[place]):
            window = self._windows[place]
            first = start - self._starts[place]
            if len(window) < first + len(data):
                window[first:] = data
        else:
            place += 1
            self._starts.insert(place, start)
            self._windows.insert(place, bytearray(data))
        self._merge(place)

    def _differs(self, place: int, start: int, data: bytes) -> bool:
        """Tell whether a stretch from *place* on has other bytes than *data*, which begins at *start*."""
        stop = start + len(data)
        for number in range(place, len(self._starts)):
            known, window = self._starts[number], self._windows[number]
            if known >= stop:
                return False
            first, last = max(start, known), min(stop, known + len(window))
            if first < last and window[first - known : last - known] != data[first - start : last - start]:
                return True
        return False

    def trim(self) -> None:
        """Let go of the shortest stretches, if there are too many."""
        while len(self._windows) > _WINDOWS:
            smallest = min(range(len(self._windows)), key=lambda each: len(self._windows[each]))
            del self._starts[smallest], self._windows[smallest]

    def _merge(self, place: int) -> None:
        """Join a stretch with those that it now reaches."""
        window = self._windows[place]
        while place + 1 < len(self._starts):
            overlap = self._starts[place] + len(window) - self._starts[place + 1]
            if overlap < 0:
                return
            window += self._windows[place + 1][overlap:]
            del self._starts[place + 1], self._windows[place + 1]


class ThreadLogs:
    """What is known of one thread: bytes of its last generations, and a checkpoint of each namespace to compare with."""

    def __init__(self) -> None:
        """Know nothing."""
        self._generations: OrderedDict[str, KnownLog] = OrderedDict()
        self._bases: OrderedDict[str, BaseCheckpoint] = OrderedDict()
        self._lock = threading.Lock()

    def trim(self) -> int:
        """Let go of what is of little use, between reads only. Returns about how many bytes of memory the rest takes."""
        with self._lock:
            while len(self._generations) > _GENERATIONS:
                self._generations.popitem(last=False)
            for log in self._generations.values():
                log.trim()
            bases = sum(base.size for base in self._bases.values())
            return sum(log.size for log in self._generations.values()) + bases + _OVERHEAD

    def spans(self) -> list[Span]:
        """The longest stretches that are known."""
        with self._lock:
            return [(name, *span) for name, log in self._generations.items() for span in log.spans()]

    def add(self, generation: str, start: int, data: bytes) -> None:
        """Note bytes of a generation."""
        with self._lock:
            # Out of reach while it changes: what an exception of a signal handler leaves half done is forgotten.
            log = self._generations.pop(generation, None) or KnownLog()
            log.add(start, data)
            self._generations[generation] = log

    def read(self, generation: str, start: int, length: int) -> bytes | None:
        """Return bytes of a generation, or None if not all are known."""
        with self._lock:
            log = self._generations.get(generation)
            return None if log is None else log.read(start, length)

    def base(self, namespace: str) -> BaseCheckpoint | None:
        """The checkpoint to compare the next one with."""
        with self._lock:
            return self._bases.get(namespace)

    def note(self, namespace: str, base: BaseCheckpoint) -> None:
        """Set the checkpoint to compare the next one with."""
        with self._lock:
            self._bases[namespace] = base
            self._bases.move_to_end(namespace)
            if len(self._bases) > _NAMESPACES:
                self._bases.popitem(last=False)


class KnownLogs:
    """The threads that a worker had in hand lately, within a bound of bytes. For many OS threads; a fork begins anew."""

    def __init__(self, most: int) -> None:
        """Keep at most about *most* bytes."""
        self._most = most
        self._total: int
        self._clear()
        settle(self)

    def of(self, thread: str) -> ThreadLogs:
        """What is known of *thread*, and will be noted."""
        with self._lock:
            logs = self._threads.get(thread)
            if logs is None:
                logs = self._threads[thread] = ThreadLogs()
                self._set_size(thread, _OVERHEAD)
                self._let_go()
            else:
                self._threads.move_to_end(thread)
            return logs

    def replace(self, thread: str, logs: ThreadLogs) -> None:
        """Know of *thread* what *logs* know, and nothing else."""
        with self._lock:
            self._drop(thread)
            self._threads[thread] = logs
        self.weigh(thread)

    def weigh(self, thread: str) -> None:
        """Count what *thread* takes now, and let go of the threads that were not in hand for longest."""
        with self._lock:
            logs = self._threads.get(thread)
            if logs is None:
                return
            self._set_size(thread, logs.trim())
            self._let_go()

    def _let_go(self) -> None:
        while self._total > self._most and self._threads:
            self._drop(next(iter(self._threads)))

    def _drop(self, thread: str) -> None:
        self._set_size(thread, 0)
        self._sizes.pop(thread, None)
        self._threads.pop(thread, None)

    def _set_size(self, thread: str, size: int) -> None:
        before = self._sizes.get(thread, 0)
        # No call between: that is where signal handlers run, which may raise.
        self._total += size - before
        self._sizes[thread] = size

    def before_fork(self) -> None:
        """Nothing has to come to its end."""

    def after_fork(self, *, child: bool) -> None:
        """Begin anew in the child: another thread may have held a lock that it will never let go of there."""
        if child:
            self._clear()

    def _clear(self) -> None:
        self._lock = threading.Lock()
        self._threads: OrderedDict[str, ThreadLogs] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._total = 0
