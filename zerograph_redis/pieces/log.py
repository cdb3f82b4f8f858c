"""What a worker knows of the logs of the threads that it had in hand lately."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from heapq import nlargest
from typing import NamedTuple, Protocol

from zerograph_redis.forks import settle

from .segments import Segment

__all__ = ("KnownLog", "KnownLogs", "Latest", "Logs", "Print", "Span", "ThreadLogs")

Span = tuple[str, int, int]
"""Generation, from, to."""

Print = tuple[int, bytes]
"""The length of a part, and a hash of it, which no other process can foresee."""

_WINDOWS = 1000  # stretches of one log that are kept
_TOLD = 8  # the longest of them, of which a reader tells the store
_GENERATIONS = 2
_NAMESPACES = 64
_OVERHEAD = 1000  # bytes that a thread takes beside its log
_SEGMENT = 100


class Latest(NamedTuple):
    """The checkpoint of a namespace that the worker last read or stored: what the next one is compared with."""

    checkpoint_id: str
    order: str
    generation: str
    appended: str
    """Where its put appended to the log, and how much, as its record spells it: proves that the store still has that."""
    parts: Mapping[int, Sequence[Segment]]
    prints: Mapping[int, Print]
    """Of parts in pieces that are compressed or encrypted, if they are known: tell a grown part without decoding it."""


class Logs(Protocol):
    """Whoever has bytes of the logs of a thread."""

    def read(self, generation: str, start: int, length: int) -> bytes | None:
        """Return bytes of a generation, or None if not all are there."""

    def matches(self, generation: str, start: int, data: memoryview) -> bool:
        """Tell whether *data* lies at *start* of a generation."""


class KnownLog:
    """Stretches of a log. They never change there, since a log is only appended to."""

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

    def matches(self, start: int, data: memoryview) -> bool:
        """Tell whether *data* is known to lie at *start*."""
        place = bisect_right(self._starts, start) - 1
        return place >= 0 and self._windows[place].startswith(data, start - self._starts[place])

    def add(self, start: int, data: bytes) -> None:
        """Note bytes that were appended or read."""
        place = bisect_right(self._starts, start) - 1
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
    """What is known of one thread: its last generations, and the latest checkpoint of each namespace."""

    def __init__(self) -> None:
        """Know nothing."""
        self._generations: OrderedDict[str, KnownLog] = OrderedDict()
        self._latest: OrderedDict[str, Latest] = OrderedDict()
        self._lock = threading.Lock()

    def trim(self) -> int:
        """Let go of what is of little use, between reads only. Returns about how many bytes of memory the rest takes."""
        with self._lock:
            while len(self._generations) > _GENERATIONS:
                self._generations.popitem(last=False)
            for log in self._generations.values():
                log.trim()
            segments = sum(len(part) for latest in self._latest.values() for part in latest.parts.values())
            return sum(log.size for log in self._generations.values()) + _SEGMENT * segments + _OVERHEAD

    def spans(self) -> list[Span]:
        """The longest stretches that are known."""
        with self._lock:
            return [(name, *span) for name, log in self._generations.items() for span in log.spans()]

    def add(self, generation: str, start: int, data: bytes) -> None:
        """Note bytes of a generation."""
        with self._lock:
            log = self._generations.get(generation)
            if log is None:
                log = self._generations[generation] = KnownLog()
            log.add(start, data)

    def read(self, generation: str, start: int, length: int) -> bytes | None:
        """Return bytes of a generation, or None if not all are known."""
        with self._lock:
            log = self._generations.get(generation)
            return None if log is None else log.read(start, length)

    def matches(self, generation: str, start: int, data: memoryview) -> bool:
        """Tell whether *data* is known to lie at *start* of a generation."""
        with self._lock:
            log = self._generations.get(generation)
            return log is not None and log.matches(start, data)

    def latest(self, namespace: str) -> Latest | None:
        """The checkpoint to compare the next one with."""
        with self._lock:
            return self._latest.get(namespace)

    def note(self, namespace: str, latest: Latest) -> None:
        """Set the checkpoint to compare the next one with."""
        with self._lock:
            self._latest[namespace] = latest
            self._latest.move_to_end(namespace)
            if len(self._latest) > _NAMESPACES:
                self._latest.popitem(last=False)


class KnownLogs:
    """The threads that a worker had in hand lately, within a bound of bytes. For many OS threads; a fork begins anew."""

    def __init__(self, most: int) -> None:
        """Keep at most about *most* bytes."""
        self._most = most
        self._clear()
        settle(self)

    def of(self, thread: str) -> ThreadLogs:
        """What is known of *thread*, and will be noted."""
        with self._lock:
            logs = self._threads.get(thread)
            if logs is None:
                logs = self._threads[thread] = ThreadLogs()
                self._sizes[thread] = _OVERHEAD
                self._total += _OVERHEAD
                self._let_go()
            else:
                self._threads.move_to_end(thread)
            return logs

    def forget(self, thread: str) -> None:
        """Know nothing of *thread*."""
        with self._lock:
            self._drop(thread)

    def weigh(self, thread: str) -> None:
        """Count what *thread* takes now, and let go of the threads that were not in hand for longest."""
        with self._lock:
            logs = self._threads.get(thread)
            if logs is None:
                return
            size = logs.trim()
            self._total += size - self._sizes[thread]
            self._sizes[thread] = size
            self._let_go()

    def _let_go(self) -> None:
        while self._total > self._most and self._threads:
            self._drop(next(iter(self._threads)))

    def _drop(self, thread: str) -> None:
        if self._threads.pop(thread, None) is not None:
            self._total -= self._sizes.pop(thread)

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
