"""Checks each thread of a store: whether it is whole, indexed, expires as a whole, and holds unused bytes.

Repairs what surrounds threads: the thread index, TTLs, and what unfinished copies left. Never what a thread holds.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field

from zerograph_redis.core.bundles import together
from zerograph_redis.core.examination import (
    Condition,
    DiscardStaged,
    ExamineThread,
    IndexState,
    ReadClock,
    ReadIndexEntry,
    RepairThread,
)
from zerograph_redis.core.requests import ForgetThread, Operation
from zerograph_redis.core.settings import Settings
from zerograph_redis.errors import CorruptCheckpointError

from .contents import ThreadContents, read_contents
from .findings import Finding, Level, count, ok, problem, warning
from .names import Names

_WAITED = 3_600_000_000  # µs after which nobody expects the checkpoint of a pending write any more
_READ = 8  # threads at a time: a page of a log keeps a server busy for half a millisecond
_AHEAD = 5_000_000  # µs that a thread may be written in the future: clocks of a cluster differ a little
_MUCH = 1024 * 1024  # unused bytes of logs that are worth a warning
_NAMED = 3  # threads at most that a fix names


@dataclass(slots=True)
class ThreadTally:
    """What was found, added up as threads are checked; `judge_threads` describes what each list has."""

    threads: int = 0
    checkpoints: int = 0
    bytes: int = 0
    logs: int = 0
    """Bytes of the state logs."""
    unused: int = 0
    """How many of these no checkpoint refers to."""
    broken: dict[str, str] = field(default_factory=dict)
    """Threads that cannot be read, and why."""
    undecodable: dict[str, str] = field(default_factory=dict)
    """Threads that cannot be decoded here, though they may be whole, and why."""
    busy: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    """Indexed, and missing for an unknown reason."""
    expired: list[str] = field(default_factory=list)
    """Indexed, and expired or deleted."""
    unindexed: list[str] = field(default_factory=list)
    uneven: list[str] = field(default_factory=list)
    ahead: list[str] = field(default_factory=list)
    reversed: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    staged: list[tuple[str, str]] = field(default_factory=list)
    """Unfinished copies without a TTL: thread and token."""

    def add(self, now: int, thread: str, condition: Condition, contents: ThreadContents) -> None:
        """Count a thread that was checked at *now*."""
        if condition.entry is IndexState.STALE:
            self.stale.append(thread)
        elif condition.entry is IndexState.EXPIRED:
            self.expired.append(thread)
        if not condition.stored:
            return
        self.threads += 1
        self.checkpoints += condition.checkpoints
        self.bytes += condition.bytes
        if damage := condition.damage or contents.damage:
            self.broken[thread] = damage
            return
        if contents.undecodable:
            self.undecodable[thread] = contents.undecodable
        marks = (
            (self.busy, contents.busy),
            (self.unindexed, condition.entry in {IndexState.MISSING, IndexState.WRONG}),
            (self.uneven, condition.wrong_deadlines),
            (self.ahead, condition.updated > now + _AHEAD),
            (self.reversed, contents.reversed),
            (self.waiting, contents.waiting and condition.updated < now - _WAITED),
        )
        for threads, applies in marks:
            if applies:
                threads.append(thread)
        self.logs += contents.logs
        self.unused += contents.unused


def examine_threads(
    names: Names, settings: Settings, advance: Callable[[], None], *, deep: bool
) -> Operation[ThreadTally]:
    """Check every thread in *names*, and *deep* read all that it holds; *advance* is called for each."""
    tally = ThreadTally()
    now = yield from ReadClock()

    def add(examined: tuple[str, Condition, ThreadContents]) -> None:
        tally.add(now, *examined)
        advance()

    threads = sorted(names.indexed | names.stored)
    examinations = (_examine(each, names.indexed, settings, deep=deep) for each in threads)
    yield from together(examinations, add, **({"width": _READ} if deep else {}))
    yield from together((_find_left_over(*each) for each in sorted(names.staged)), tally.staged.extend)
    return tally


def _examine(
    thread: str, indexed: Collection[str], settings: Settings, *, deep: bool
) -> Operation[tuple[str, Condition, ThreadContents]]:
    try:
        condition = yield from ExamineThread(thread)
        if condition.entry is IndexState.UNKNOWN:
            condition.entry = yield from _entry_of(thread, condition, indexed)
    except CorruptCheckpointError as error:
        return thread, Condition.unknown(str(error)), ThreadContents()
    contents = ThreadContents()
    if deep and condition.stored and not condition.damage:
        contents = yield from read_contents(thread, settings)
    return thread, condition, contents


def _entry_of(thread: str, condition: Condition, indexed: Collection[str]) -> Operation[IndexState]:
    """The state of a thread in a cluster's index, which is in other slots and cleaned up later."""
    if not condition.stored:
        return IndexState.EXPIRED if thread in indexed else IndexState.RIGHT
    if thread in indexed:
        return IndexState.RIGHT
    # A write may have moved it from an unread page to one that was read already.
    rank = yield from ReadIndexEntry(thread)
    return IndexState.MISSING if rank is None else IndexState.RIGHT


def _find_left_over(thread: str, token: str) -> Operation[list[tuple[str, str]]]:
    try:
        return [(thread, token)] if (yield from DiscardStaged(thread, token, remove=False)) else []
    except CorruptCheckpointError:  # the key is not a copy's
        return []


def repair(tally: ThreadTally) -> Operation[None]:
    """Repair what `examine_threads` found. Each step checks again before it changes anything."""
    for thread in (*tally.stale, *tally.expired):
        yield from ForgetThread(thread)
    for thread in dict.fromkeys((*tally.unindexed, *tally.uneven)):
        # A thread damaged meanwhile must not stop the others; the next checkup reports it.
        with suppress(CorruptCheckpointError):
            yield from RepairThread(thread)
    for thread, token in tally.staged:
        yield from DiscardStaged(thread, token, remove=True)


def judge_threads(tally: ThreadTally, *, deep: bool) -> list[Finding]:
    """Judge what `examine_threads` found."""
    found = [_judge_damage(tally, deep=deep)]
    if tally.undecodable:
        reasons = "; ".join(sorted(set(tally.undecodable.values())))
        message = f"cannot decode {count(tally.undecodable, 'thread')}: {reasons}"
        fix = "give the module that has the keys and types: --types MODULE"
        found.append(warning("undecodable", message, fix, items=list(tally.undecodable)))
    found += [_judge_index(tally), _judge_ttl(tally), _judge_copies(tally)]
    if tally.ahead:
        message = (
            f"{count(tally.ahead, 'thread')} written in the future: the store's clock was set back. The order of "
            f"checkpoints is right, but ages are wrong"
        )
        found.append(warning("clock", message, "synchronize the server's clock with NTP", items=tally.ahead))
    if tally.reversed:
        message = (
            f"{count(tally.reversed, 'thread')} with checkpoints that were stored before their parents: by an "
            f"application, or somebody reordered them"
        )
        fix = "compare their history with a backup, unless your application stores checkpoints out of order"
        found.append(warning("order", message, fix, items=tally.reversed))
    if tally.waiting:
        message = f"{count(tally.waiting, 'thread')} with pending writes of checkpoints that were never stored"
        fix = "ignore it: they are removed with their threads"
        found.append(warning("pending_writes", message, fix, items=tally.waiting))
    if deep:
        found.append(_judge_logs(tally))
    return found


def _judge_damage(tally: ThreadTally, *, deep: bool) -> Finding:
    if tally.broken:
        message = f"{count(tally.broken, 'thread')} of {tally.threads:,} cannot be read"
        named = " ".join(map(shlex.quote, tally.broken)) if len(tally.broken) <= _NAMED else "THREAD…"
        fix = f"restore a backup, or run: zerograph-redis delete {named} --yes"
        return problem("threads", message, fix, items=[f"{thread}: {why}" for thread, why in tally.broken.items()])
    threads = count(range(tally.threads), "thread")
    if not deep:
        return ok("threads", f"{threads}, whole by keys and counts; contents were not read")
    busy = f"; {count(tally.busy, 'thread')} changed faster than they can be read" if tally.busy else ""
    return ok("threads", f"{threads}, read and verified{busy}", items=tally.busy)


def _judge_index(tally: ThreadTally) -> Finding:
    if tally.unindexed or tally.stale:
        level = Level.PROBLEM if tally.unindexed else Level.WARNING
        faults = [f"{count(tally.unindexed, 'thread')} missing or outdated"] * bool(tally.unindexed)
        faults += [f"{count(tally.stale, 'entry', 'entries')} without a thread"] * bool(tally.stale)
        items = [*tally.unindexed, *tally.stale]
        fix = "--fix corrects these entries"
        return Finding("index", level, f"the thread index has {' and '.join(faults)}", fix, items=items, fixable=True)
    if tally.expired:
        entries = count(tally.expired, "entry", "entries")
        message = f"has every thread, and {entries} of expired or deleted ones, which savers remove"
        return ok("index", message, items=tally.expired, fixable=True)
    return ok("index", "has every thread")


def _judge_ttl(tally: ThreadTally) -> Finding:
    if not tally.uneven:
        return ok("ttl", "all keys of a thread expire together")
    message = f"{count(tally.uneven, 'thread')} with keys that expire earlier or later than the rest, or never"
    return problem("ttl", message, "--fix gives all keys of a thread its TTL", items=tally.uneven, fixable=True)


def _judge_copies(tally: ThreadTally) -> Finding:
    if not tally.staged:
        return ok("copies", "no unfinished copies are left")
    message = f"{count(tally.staged, 'unfinished copy', 'unfinished copies')} without a TTL"
    items = [f"{thread} ({token})" for thread, token in tally.staged]
    return warning("copies", message, "--fix removes them", items=items, fixable=True)


def _judge_logs(tally: ThreadTally) -> Finding:
    share = tally.unused / tally.logs if tally.logs else 0.0
    if tally.unused > _MUCH and share > 0.5:
        message = f"no checkpoint uses {share:.0%} of the bytes in state logs, {tally.unused:,} bytes"
        return warning("logs", message, "later puts free them; delete threads that are no longer written")
    return ok("logs", f"checkpoints use {1 - share:.0%} of the bytes in state logs")
