"""What a worker knows of recently used threads: bytes of their logs, and base checkpoints."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from heapq import nlargest
from typing import NamedTuple, Protocol

from zerograph_redis.fork_hooks import register_at_fork

from .cut import Cut
from .segments import Segments

KnownRange = tuple[str, int, int]
"""Generation, start, stop."""

Content = bytes | memoryview

_WINDOWS = 1000  # ranges of one log that are kept
_REPORTED = 8  # the longest of them, which a reader names to the store
_GENERATIONS = 2
_NAMESPACES = 64
_OVERHEAD = 1000  # bytes of memory that a thread takes beside its log
_SEGMENT_SIZE = 100  # about how many bytes of memory a segment takes


class BaseCheckpoint(NamedTuple):
    """A checkpoint that the worker read or stored, with which it compares the next state of the namespace.

    It has its content, and not only the place of that in the log: the store may have returned to an earlier moment, and
    the known log may be of another history.
    """

    checkpoint_id: str
    order: str
    generation: str
    proof: str
    """`records.proof_of` its put: where that appended to the log, how much, and its random name."""
    digest: bytes
    """That of its state."""
    state: Cut
    segments: Sequence[Segments]
    """The segments of each part, by their offsets in the log."""
    content: bytes
    """Its record without the header."""
    parent: str | None
    """The id of its parent."""
    metadata: bytes
    """Its packed metadata."""
    mark: bytes
    """The mark of its `records.Link`, if the store confirmed its parent."""

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        segments = sum([len(segments.each) for segments in self.segments])
        return len(self.state.packed) + len(self.content) + len(self.metadata) + _SEGMENT_SIZE * segments

    def spans(self) -> list[tuple[int, int]]:
        """Return start and stop of each range of the log that its state has."""
        found: list[tuple[int, int]] = []
        for start, length in sorted(
            [(each[0], each[1]) for segments in self.segments for each in segments.each if not each[3]]
        ):
            if found and start <= found[-1][1]:
                found[-1] = (found[-1][0], max(found[-1][1], start + length))
            else:
                found.append((start, start + length))
        return found

    def ranges(self) -> list[tuple[int, bytes]]:
        """Return offset and bytes of each of its segments that are stored as they are."""
        found = []
        for part, segments in zip(self.state.parts, self.segments, strict=True):
            position = part.start
            for segment in segments.each:
                if not segment.stored:
                    found.append((segment.offset, self.state.packed[position : position + segment.length]))
                position += segment.length
        return found


class Logs(Protocol):
    """Has bytes of the logs of a thread."""

    def read(self, generation: str, start: int, length: int) -> Content | None:
        """Return bytes of a generation, or None if not all are known."""


class KnownLog:
    """The known ranges of one log.

    A range is the bytes that were read, until more are known behind them: states are built from views of these bytes. Then
    it is a bytearray, which must have no views when it grows.
    """

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._windows: list[bytes | bytearray] = []
        self.size = 0
        """How many bytes are known."""

    def spans(self) -> list[tuple[int, int]]:
        """Return start and stop of the longest ranges."""
        found = ((start, start + len(window)) for start, window in zip(self._starts, self._windows, strict=True))
        return nlargest(_REPORTED, found, key=lambda span: span[1] - span[0])

    def read(self, start: int, length: int) -> Content | None:
        """Return the bytes of a range, or None if not all are known."""
        number = bisect_right(self._starts, start) - 1
        if number < 0:
            return None
        window = self._windows[number]
        first = start - self._starts[number]
        if first + length > len(window):
            return None
        if type(window) is bytes:
            return memoryview(window)[first : first + length]
        with memoryview(window) as view, view[first : first + length] as data:
            return bytes(data)

    def add(self, start: int, data: bytes) -> None:
        """Note bytes that were appended or read. If other bytes were known there, only these are known from now on."""
        number = bisect_right(self._starts, start) - 1
        if self._differs(max(number, 0), start, data):
            # The store returned to an earlier moment and went on from there, so the rest may be wrong as well.
            self._starts.clear()
            self._windows.clear()
            number = -1
        if number >= 0 and start <= self._starts[number] + len(self._windows[number]):
            first = start - self._starts[number]
            known = len(self._windows[number]) - first
            if known < len(data):
                self._extend(number, data[known:])
        else:
            number += 1
            self._starts.insert(number, start)
            self._windows.insert(number, data)
        self._merge(number)
        self.size = sum(map(len, self._windows))

    def _extend(self, number: int, data: bytes | bytearray) -> None:
        window = self._windows[number]
        if isinstance(window, bytes):
            self._windows[number] = window = bytearray(window)
        window += data

    def _differs(self, number: int, start: int, data: bytes) -> bool:
        """Tell whether any range from *number* on has other bytes than *data*, which begins at *start*."""
        stop = start + len(data)
        for known, window in zip(self._starts[number:], self._windows[number:], strict=True):
            if known >= stop:
                return False
            first, last = max(start, known), min(stop, known + len(window))
            if first < last and window[first - known : last - known] != data[first - start : last - start]:
                return True
        return False

    def trim(self) -> None:
        """Drop the shortest ranges, if there are too many."""
        while len(self._windows) > _WINDOWS:
            smallest = min(range(len(self._windows)), key=lambda each: len(self._windows[each]))
            self.size -= len(self._windows[smallest])
            del self._starts[smallest], self._windows[smallest]

    def _merge(self, number: int) -> None:
        """Join a range with those that it now reaches."""
        while number + 1 < len(self._starts):
            overlap = self._starts[number] + len(self._windows[number]) - self._starts[number + 1]
            if overlap < 0:
                return
            self._extend(number, self._windows[number + 1][overlap:])
            del self._starts[number + 1], self._windows[number + 1]


class ThreadLogs:
    """What is known of one thread: bytes of its last generations, and the base checkpoint of each namespace."""

    def __init__(self) -> None:
        self._generations: OrderedDict[str, KnownLog] = OrderedDict()
        self._bases: OrderedDict[str, BaseCheckpoint] = OrderedDict()
        self._base_sizes: dict[str, int] = {}
        self._spans: dict[str, Sequence[KnownRange]] = {}
        self._lock = threading.RLock()
        self.size = _OVERHEAD
        """About how many bytes of memory the logs took when they were trimmed last, and the base checkpoints take."""

    def trim(self) -> None:
        """Drop the shortest ranges and the oldest generations; between reads only."""
        with self._lock:
            self._spans = {}
            while len(self._generations) > _GENERATIONS:
                self._generations.popitem(last=False)
            size = _OVERHEAD
            for log in self._generations.values():
                log.trim()
                size += log.size
            self._base_sizes = {namespace: base.size for namespace, base in self._bases.items()}
            self.size = size + sum(self._base_sizes.values())

    def spans(self, namespace: str = "") -> Sequence[KnownRange]:
        """Return the longest known ranges: those that were read, and those of a namespace's base checkpoint."""
        spans = self._spans.get(namespace)
        if spans is None:
            with self._lock:
                spans = [(name, *span) for name, log in self._generations.items() for span in log.spans()]
                base = self._bases.get(namespace)
                if base is not None:
                    spans += [(base.generation, *span) for span in base.spans()]
                if len(spans) > _REPORTED:
                    spans = nlargest(_REPORTED, spans, key=lambda span: span[2] - span[1])
                self._spans[namespace] = spans
        return spans

    def add(self, generation: str, start: int, data: bytes) -> None:
        """Note bytes of a generation."""
        with self._lock:
            self._spans = {}
            # Not in the dict while it changes: if a signal handler raises in between, a log that is half changed is dropped.
            log = self._generations.pop(generation, None) or KnownLog()
            log.add(start, data)
            self._generations[generation] = log

    def read(self, generation: str, start: int, length: int) -> Content | None:
        """Return bytes of a generation, or None if not all are known."""
        with self._lock:
            log = self._generations.get(generation)
            return None if log is None else log.read(start, length)

    def base(self, namespace: str) -> BaseCheckpoint | None:
        """Return the base checkpoint of the next put."""
        return self._bases.get(namespace)

    def note(self, namespace: str, base: BaseCheckpoint) -> None:
        """Set the base checkpoint of the next put."""
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


class KnownLogs:
    """What is known of recently used threads, within a bound of bytes. For many OS threads; empty after a fork."""

    def __init__(self, most: int) -> None:
        """Keep at most about *most* bytes."""
        self._most = most
        self._total: int
        self._clear()
        register_at_fork(self)

    def of(self, thread: str) -> ThreadLogs:
        """Return what is known of *thread*, to be added to."""
        try:
            self._threads.move_to_end(thread)
            return self._threads[thread]
        except KeyError:
            pass
        with self._lock:
            logs = self._threads.setdefault(thread, ThreadLogs())
            self._set_size(thread, _OVERHEAD)
            self._drop_oldest()
            return logs

    def replace(self, thread: str, logs: ThreadLogs) -> None:
        """Replace all that is known of *thread*."""
        with self._lock:
            self._drop(thread)
            self._threads[thread] = logs
        self.weigh(thread)

    def weigh(self, thread: str) -> None:
        """Count the bytes that *thread* takes now, and drop the threads that were not used for longest."""
        with self._lock:
            logs = self._threads.get(thread)
            if logs is not None:
                self._set_size(thread, logs.size)
            if self._total > self._most:
                self._drop_oldest()

    def _drop_oldest(self) -> None:
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
        """Do nothing: a child clears what it has."""

    def after_fork(self, *, child: bool) -> None:
        """Begin empty in the child: another thread of the parent may have held a lock."""
        if child:
            self._clear()

    def _clear(self) -> None:
        self._lock = threading.RLock()
        self._threads: OrderedDict[str, ThreadLogs] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._total = 0
