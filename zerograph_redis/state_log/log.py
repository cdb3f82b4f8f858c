"""What a worker knows of the logs of the threads that it had in hand lately."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from heapq import nlargest
from typing import Protocol

from zerograph_redis.forks import settle

from .base import BaseCheckpoint

KnownRange = tuple[str, int, int]
"""Generation, from, to."""

_WINDOWS = 1000  # stretches of one log that are kept
_TOLD = 8  # the longest of them, of which a reader tells the store
_GENERATIONS = 2
_NAMESPACES = 64
_OVERHEAD = 1000  # bytes that a thread takes beside its log


Content = bytes | memoryview


class Logs(Protocol):
    """Whoever has bytes of the logs of a thread."""

    def read(self, generation: str, start: int, length: int) -> Content | None:
        """Return bytes of a generation, or None if not all are there."""


class KnownLog:
    """Stretches of a log, which is only appended to.

    A stretch is the bytes that were read, for as long as no more are known on its right: a state is put together from
    views of them. Then it is a bytearray, which must not have views when it grows.
    """

    def __init__(self) -> None:
        """Know nothing."""
        self._starts: list[int] = []
        self._windows: list[bytes | bytearray] = []
        self.size = 0
        """How many bytes are known."""

    def spans(self) -> list[tuple[int, int]]:
        """From and to of the longest stretches."""
        found = ((start, start + len(window)) for start, window in zip(self._starts, self._windows, strict=True))
        return nlargest(_TOLD, found, key=lambda span: span[1] - span[0])

    def read(self, start: int, length: int) -> Content | None:
        """Return the bytes of a range, or None if not all are known."""
        place = bisect_right(self._starts, start) - 1
        if place < 0:
            return None
        window = self._windows[place]
        first = start - self._starts[place]
        if first + length > len(window):
            return None
        if type(window) is bytes:
            return memoryview(window)[first : first + length]
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
            first = start - self._starts[place]
            known = len(self._windows[place]) - first
            if known < len(data):
                self._extend(place, data[known:])
        else:
            place += 1
            self._starts.insert(place, start)
            self._windows.insert(place, data)
        self._merge(place)
        self.size = sum(map(len, self._windows))

    def _extend(self, place: int, data: bytes | bytearray) -> None:
        window = self._windows[place]
        if isinstance(window, bytes):
            self._windows[place] = window = bytearray(window)
        window += data

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

    @property
    def is_scattered(self) -> bool:
        """Whether there are more stretches than are kept."""
        return len(self._windows) > _WINDOWS

    def trim(self) -> None:
        """Let go of the shortest stretches, if there are too many."""
        while len(self._windows) > _WINDOWS:
            smallest = min(range(len(self._windows)), key=lambda each: len(self._windows[each]))
            self.size -= len(self._windows[smallest])
            del self._starts[smallest], self._windows[smallest]

    def _merge(self, place: int) -> None:
        """Join a stretch with those that it now reaches."""
        while place + 1 < len(self._starts):
            overlap = self._starts[place] + len(self._windows[place]) - self._starts[place + 1]
            if overlap < 0:
                return
            self._extend(place, self._windows[place + 1][overlap:])
            del self._starts[place + 1], self._windows[place + 1]


class ThreadLogs:
    """What is known of one thread: bytes of its last generations, and a checkpoint of each namespace to compare with."""

    def __init__(self) -> None:
        """Know nothing."""
        self._generations: OrderedDict[str, KnownLog] = OrderedDict()
        self._bases: OrderedDict[str, BaseCheckpoint] = OrderedDict()
        self._base_sizes: dict[str, int] = {}
        self._spans: dict[str, Sequence[KnownRange]] = {}
        self._lock = threading.RLock()
        self.size = _OVERHEAD
        """About how many bytes of memory it took when it was trimmed last, and the base checkpoints since."""

    def trim(self) -> None:
        """Let go of what is of little use, between reads only."""
        with self._lock:
            self._spans = {}
            while len(self._generations) > _GENERATIONS:
                self._generations.popitem(last=False)
            size = _OVERHEAD
            for log in self._generations.values():
                if log.is_scattered:
                    log.trim()
                size += log.size
            self._base_sizes = {namespace: base.size for namespace, base in self._bases.items()}
            self.size = size + sum(self._base_sizes.values())

    def spans(self, namespace: str = "") -> Sequence[KnownRange]:
        """The longest stretches that are known, by reading a namespace or by what its base checkpoint has."""
        spans = self._spans.get(namespace)
        if spans is None:
            with self._lock:
                spans = [(name, *span) for name, log in self._generations.items() for span in log.spans()]
                base = self._bases.get(namespace)
                if base is not None:
                    spans += [(base.generation, *span) for span in base.spans()]
                if len(spans) > _TOLD:
                    spans = nlargest(_TOLD, spans, key=lambda span: span[2] - span[1])
                self._spans[namespace] = spans
        return spans

    def add(self, generation: str, start: int, data: bytes) -> None:
        """Note bytes of a generation."""
        with self._lock:
            # Out of reach while it changes: what an exception of a signal handler leaves half done is forgotten.
            self._spans = {}
            log = self._generations.pop(generation, None) or KnownLog()
            log.add(start, data)
            self._generations[generation] = log

    def read(self, generation: str, start: int, length: int) -> Content | None:
        """Return bytes of a generation, or None if not all are known."""
        with self._lock:
            log = self._generations.get(generation)
            return None if log is None else log.read(start, length)

    def base(self, namespace: str) -> BaseCheckpoint | None:
        """The checkpoint to compare the next one with."""
        return self._bases.get(namespace)

    def note(self, namespace: str, base: BaseCheckpoint) -> None:
        """Set the checkpoint to compare the next one with."""
        with self._lock:
            self._spans = {}
            size, before = base.size, self._base_sizes.get(namespace, 0)
            self._bases[namespace] = base
            self._base_sizes[namespace] = size
            self.size += size - before
            self._bases.move_to_end(namespace)
            if len(self._bases) > _NAMESPACES:
                self._bases.popitem(last=False)
                self.trim()

    def add_base(self, base: BaseCheckpoint) -> None:
        """Note the bytes of the log that a base checkpoint has, for whoever reads other checkpoints."""
        for start, data in base.stretches():
            self.add(base.generation, start, data)


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
        try:
            self._threads.move_to_end(thread)
            return self._threads[thread]
        except KeyError:
            pass
        with self._lock:
            logs = self._threads.setdefault(thread, ThreadLogs())
            self._set_size(thread, _OVERHEAD)
            self._let_go()
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
            if logs is not None:
                self._set_size(thread, logs.size)
            if self._total > self._most:
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
        self._lock = threading.RLock()
        self._threads: OrderedDict[str, ThreadLogs] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._total = 0
