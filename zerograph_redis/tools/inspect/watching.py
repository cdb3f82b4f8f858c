"""Finds what happens to threads by polling, at next to no cost to workers.

Each poll asks for the threads written last, and for the facts of some that were active lately. Of a thread that was written
since, it reads the new checkpoints, and the new bytes of the state log.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from zerograph_redis.core.examination import ReadClock
from zerograph_redis.core.leasing import read_lease
from zerograph_redis.core.requests import NO_ORDER, DescribeThreads, IndexedThread, ListThreads, Operation, ThreadFacts
from zerograph_redis.core.settings import Settings
from zerograph_redis.core.states import States
from zerograph_redis.errors import CheckpointError, CorruptCheckpointError, SerializationError
from zerograph_redis.threads import LeaseInfo

from .checkpoints import CheckpointReader, Entry, list_namespaces

WATCHED = 50  # threads, those active last, whose lease and facts each poll reads
REMEMBERED = 10_000  # threads whose reported state is kept
_PAGE = 16  # threads that one request lists
_PAGES = 64
_STRIDE = 1000  # entries that one request skips where none is a thread's
_DAMAGED = -1  # when a thread was updated whose facts cannot be read
_MOST = 50  # checkpoints of a namespace that one poll reports
_FEW = 4  # checkpoints that one request reads, and namespaces checked for a new interrupt: more is seldom new


@dataclass(slots=True)
class Event:
    """Something that happened to a thread."""

    kind: Literal["checkpoint", "interrupt", "lease", "removed", "unreadable"]
    thread: str
    entry: Entry | None = None
    """The new checkpoint, or the one that waits for an answer."""
    lease: LeaseInfo | None = None
    """Who holds the thread now, None if nobody does."""
    error: str | None = None
    """Why a new checkpoint cannot be read: it is damaged, or encrypted."""


@dataclass(slots=True)
class _Known:
    """What was reported of a thread."""

    updated: int = 0
    order: str = NO_ORDER
    owner: str | None = None
    waiting: set[tuple[str, str]] = field(default_factory=set)
    """The checkpoints, by namespace and id, whose interrupts were reported."""


class Watch:
    """Follows all threads, or one."""

    def __init__(self, settings: Settings, thread: str | None = None) -> None:
        """Follow *thread*, None for all; *settings* say how to decode checkpoints."""
        self._settings = settings
        self._states = States(settings)
        self._thread = thread
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._newest: IndexedThread | None = None
        self._began = False
        self._start = NO_ORDER

    def poll(self) -> Operation[list[Event]]:
        """Find what happened since the last poll; the first one reports nothing."""
        active = [self._thread] if self._thread is not None else (yield from self._active())
        recent = (name for name in reversed(self._known) if name not in active)
        names = [*islice(recent, max(WATCHED - len(active), 0)), *active]
        events: list[Event] = []
        for first in range(0, len(names), WATCHED):
            some = names[first : first + WATCHED]
            for name, facts in zip(some, (yield from DescribeThreads(some)), strict=True):
                try:
                    if isinstance(facts, CorruptCheckpointError):
                        raise facts
                    events += yield from self._news(name, facts)
                except (CorruptCheckpointError, SerializationError) as error:
                    if self._thread is not None:
                        raise
                    # One thread that cannot be read must not hide the others.
                    events += self._unreadable(name, facts, error)
        self._began = True
        while self._thread is None and len(self._known) > REMEMBERED:
            _, forgotten = self._known.popitem(last=False)
            # All others were active later, so everything older than this was reported.
            self._start = max(self._start, forgotten.order)
        return events

    def _active(self) -> Operation[list[str]]:
        """List the threads that were written since the last poll, the one written last at the end."""
        found: list[IndexedThread] = []
        cursor = None
        pages, size = _PAGES if self._began else WATCHED // _PAGE + 1, _PAGE
        while pages:
            page = yield from ListThreads(cursor, size)
            # Entries that are no thread's are skipped in long strides.
            pages, size = (pages - 1, _PAGE) if page.found else (pages, _STRIDE)
            found += [each for each in page.found if self._newest is None or each.updated >= self._newest.updated]
            cursor = page.cursor
            if cursor is None or (
                self._newest is not None and page.found and page.found[-1].updated < self._newest.updated
            ):
                break
        if any(self._newest is None or each.updated > self._newest.updated for each in found):
            now = yield from ReadClock()
            # A thread listed in the future must not hide writes to others.
            found_now = [each for each in found if each.updated <= now]
            self._newest = max(found_now, key=lambda each: each.updated, default=self._newest)
            if not self._began and self._newest is not None:
                # What was stored before this moment is not new.
                self._start = f"{self._newest.updated:016x}"
        return list(dict.fromkeys(each.thread for each in reversed(found)))

    def _news(self, name: str, facts: ThreadFacts | None) -> Operation[list[Event]]:
        known = self._known.get(name)
        lease = yield from self._lease(name, facts)
        if facts is None:
            self._known.pop(name, None)
            events = [Event("removed", name)] if known is not None and known.updated else []
            if self._thread is not None:  # a thread may be held before it is stored
                self._known[name] = _Known(owner=None if known is None else known.owner)
                events += self._lease_event(name, self._known[name], lease)
            return events
        if known is None:
            known = self._known[name] = _Known(order=self._start)
            if not self._began:
                yield from self._begin(name, known, facts, lease)
                return []
        events = []
        if facts.updated != known.updated:
            self._known.move_to_end(name)
            events = yield from self._checkpoints(name, known, facts)
        return events + self._lease_event(name, known, lease)

    def _unreadable(
        self, name: str, facts: ThreadFacts | CorruptCheckpointError | None, error: CheckpointError
    ) -> list[Event]:
        """Report a thread that cannot be read once, and again after each write."""
        known = self._known.setdefault(name, _Known(order=self._start))
        updated = facts.updated if isinstance(facts, ThreadFacts) else _DAMAGED
        is_new, known.updated = updated != known.updated, updated
        return [Event("unreadable", name, error=str(error))] if is_new and self._began else []

    def _begin(self, name: str, known: _Known, facts: ThreadFacts, lease: LeaseInfo | None) -> Operation[None]:
        known.updated, known.order = facts.updated, facts.order
        known.owner = None if lease is None else lease.owner
        if self._thread is not None:
            for space in (yield from list_namespaces(name)):
                newest = yield from self._reader(name).read_newest(space.namespace, 1)
                known.waiting |= {(each.namespace, each.checkpoint_id) for each in newest}

    def _reader(self, name: str) -> CheckpointReader:
        return CheckpointReader(self._settings, name, self._states)

    def _lease(self, name: str, facts: ThreadFacts | None) -> Operation[LeaseInfo | None]:
        if facts is not None:
            return LeaseInfo(facts.owner, facts.held / 1000) if facts.held else None
        return None if self._thread is None else (yield from read_lease(name))

    def _lease_event(self, name: str, known: _Known, lease: LeaseInfo | None) -> list[Event]:
        owner = None if lease is None else lease.owner
        if owner == known.owner:
            return []
        known.owner = owner
        return [Event("lease", name, lease=lease)] if self._began else []

    def _checkpoints(self, name: str, known: _Known, facts: ThreadFacts) -> Operation[list[Event]]:
        """Read the new checkpoints, and the new interrupts, which are written a moment after their checkpoint."""
        reader = self._reader(name)
        spaces = sorted((yield from list_namespaces(name)), key=lambda each: each.newest, reverse=True)
        entries: list[Entry] = []
        newest: set[str] = set()
        for place, space in enumerate(spaces):
            if space.newest <= known.order and place >= _FEW:
                break
            oldest = min(known.order, space.newest)
            found = yield from reader.read_newest(space.namespace, _MOST, oldest, page=_FEW)
            entries += found
            newest |= {each.order for each in found[:1]}
        events: list[Event] = []
        last = known.order
        for entry in sorted(entries, key=lambda each: each.order):
            address = (entry.namespace, entry.checkpoint_id)
            is_new = entry.order > last
            if is_new:
                events.append(Event("checkpoint", name, entry))
            if entry.interrupts and address not in known.waiting and (is_new or entry.order in newest):
                known.waiting.add(address)
                events.append(Event("interrupt", name, entry))
            known.order = max(known.order, entry.order)
        known.updated, known.order = facts.updated, max(known.order, facts.order)
        return events
