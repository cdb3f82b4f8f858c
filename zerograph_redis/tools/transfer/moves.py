"""Moving threads: each is read whole, stored at once, read back and compared.

Progress is not recorded: the destination shows it. An interrupted move is run again, and finds the threads that were moved.
A thread that the destination already has is compared, and left alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

from zerograph_redis.core.leasing import read_lease
from zerograph_redis.core.refusals import lease_held
from zerograph_redis.core.requests import Untouched
from zerograph_redis.errors import BusyThreadError, ConfigError, CorruptCheckpointError, LeaseError, SerializationError
from zerograph_redis.store import Store

from .digests import ThreadDigests, digest_thread
from .image import ThreadImage, ThreadTimes, fit_encryption
from .reading import list_ids, place_thread, read_thread
from .zerograph_files import EngineFile

Source: TypeAlias = Store[Any] | EngineFile
"""A store that threads are read from."""


class MoveOutcome(StrEnum):
    """The outcome of one thread's move."""

    MOVED = "moved"
    """It was read, stored, and read back: both are the same."""
    UPDATED = "updated"
    """It was stored as it was moved earlier, and was replaced by the source's newer version."""
    SAME = "same"
    """It was stored already, and both are the same."""
    CONTINUED = "continued"
    """It was stored already, and a worker has continued it there."""
    MISSING = "missing"
    """It was deleted or expired before it was moved, or before it was read back."""
    BUSY = "busy"
    """It changed faster than it could be read."""
    BEHIND = "behind"
    """It is stored as it was moved earlier, and the source has changed since."""
    CONFLICT = "conflict"
    """The destination has another thread of its id, which was left alone."""
    HELD = "held"
    """A worker holds its lease at the destination."""
    FAILED = "failed"
    """It cannot be stored there."""
    DAMAGED = "damaged"
    """Stored bytes of it are missing or damaged, at either side."""
    MISMATCH = "mismatch"
    """It was read back, and is not what was stored."""


_FINE = frozenset(
    {MoveOutcome.MOVED, MoveOutcome.UPDATED, MoveOutcome.SAME, MoveOutcome.CONTINUED, MoveOutcome.MISSING}
)


@dataclass(frozen=True, slots=True)
class ThreadMove:
    """How the move of one thread ended."""

    thread: str
    outcome: MoveOutcome
    message: str = ""
    """What went wrong."""
    source: ThreadDigests | None = None
    target: ThreadDigests | None = None
    """The digests of both sides; of the target, only those that can be compared."""


@dataclass(slots=True)
class DigestSum:
    """Counts and one digest of many threads, in any order."""

    threads: int = 0
    checkpoints: int = 0
    writes: int = 0
    _sum: int = 0

    def add(self, digests: ThreadDigests) -> None:
        """Count a thread."""
        self.threads += 1
        self.checkpoints += digests.checkpoints
        self.writes += digests.writes
        self._sum = (self._sum + int(digests.digest, 16)) % (1 << 128)

    @property
    def digest(self) -> str:
        """The sum of the threads' digests."""
        return f"{self._sum:032x}"


@dataclass(slots=True)
class MoveReport:
    """The outcomes of all threads, and what both sides have of those that were compared."""

    outcomes: Counter[MoveOutcome] = field(default_factory=Counter)
    problems: list[ThreadMove] = field(default_factory=list)
    """The moves that went wrong, without their digests."""
    missing: list[str] = field(default_factory=list)
    """The threads that were missing."""
    updated: list[str] = field(default_factory=list)
    """The threads that were replaced, or would be."""
    source: DigestSum = field(default_factory=DigestSum)
    target: DigestSum = field(default_factory=DigestSum)
    beyond: int = 0
    """Continued threads whose moved checkpoints are no longer all stored: the digests leave them out."""

    def add(self, move: ThreadMove) -> None:
        """Count a thread."""
        self.outcomes[move.outcome] += 1
        if move.outcome not in _FINE:
            self.problems.append(ThreadMove(move.thread, move.outcome, move.message))
        if move.outcome is MoveOutcome.MISSING:
            self.missing.append(move.thread)
        if move.outcome is MoveOutcome.UPDATED:
            self.updated.append(move.thread)
        if move.source is not None and move.target is not None:
            self.source.add(move.source)
            self.target.add(move.target)
        elif move.outcome is MoveOutcome.CONTINUED:
            self.beyond += 1

    @property
    def equal(self) -> bool:
        """Whether both sides have the same."""
        return self.source == self.target


def list_source(source: Source, prefix: str = "") -> list[str]:
    """Name the threads of a source whose ids begin with *prefix*, each once."""
    return source.list_ids(prefix) if isinstance(source, EngineFile) else source.run(list_ids(prefix))


def read_source(source: Source, thread: str) -> ThreadImage | None:
    """Read a thread whole; None if the source does not have it."""
    return source.read_thread(thread) if isinstance(source, EngineFile) else source.run(read_thread(thread))


def move_threads(
    source: Source,
    target: Store[Any],
    threads: Iterable[str],
    moved: Callable[[], object],
    *,
    update: bool = False,
    dry_run: bool = False,
) -> MoveReport:
    """Move threads from one store to another; both may be in use.

    Args:
        source: Where they come from. They stay stored there.
        target: Where they go.
        threads: Their ids.
        moved: Called after each.
        update: Whether to replace a thread that was moved earlier, if it was not written at the target since, by the
            source's newer version.
        dry_run: Whether to compare only, and report what would be stored.

    Raises:
        BackendUnavailableError: A store does not answer. Moved threads stay stored; move again to continue.
    """
    report = MoveReport()
    for thread in threads:
        report.add(_move(source, thread, target, update=update, dry_run=dry_run))
        moved()
    return report


def _move(source: Source, thread: str, target: Store[Any], *, update: bool, dry_run: bool) -> ThreadMove:
    """Move a thread. An error of one thread must not keep others from being moved."""
    try:
        image = read_source(source, thread)
        if image is None:
            return ThreadMove(thread, MoveOutcome.MISSING)
        with image, fit_encryption(image, source.settings, target.settings) as fitting:
            return _place(fitting, target, update=update, dry_run=dry_run)
    except BusyThreadError as error:
        return ThreadMove(thread, MoveOutcome.BUSY, str(error))
    except CorruptCheckpointError as error:
        return ThreadMove(thread, MoveOutcome.DAMAGED, str(error))
    except LeaseError as error:
        return ThreadMove(thread, MoveOutcome.HELD, str(error))
    except (SerializationError, ConfigError) as error:
        return ThreadMove(thread, MoveOutcome.FAILED, str(error))


def _place(image: ThreadImage, target: Store[Any], *, update: bool, dry_run: bool) -> ThreadMove:
    mine = digest_thread(image, target.settings)
    stored = _read_back(target, image.thread)
    outcome, instead = MoveOutcome.SAME, None
    if stored is None:
        outcome = MoveOutcome.MOVED
    elif update and stored.is_behind(mine):
        outcome, instead = MoveOutcome.UPDATED, Untouched(stored.origin, stored.times.updated)
    if outcome is not MoveOutcome.SAME:
        if dry_run:
            if (lease := target.run(read_lease(image.thread))) is not None:
                raise lease_held(image.thread, lease.owner, lease.seconds_left)
            return ThreadMove(image.thread, outcome)
        target.run(place_thread(image, mine.digest, target.settings, instead))
        stored = _read_back(target, image.thread)
    if stored is None:
        return ThreadMove(image.thread, MoveOutcome.MISSING)
    if mine.entries == stored.digests.entries:
        return ThreadMove(image.thread, outcome, "", mine, stored.digests)
    return _explain(image, mine, stored)


class _StoredThread(NamedTuple):
    """A thread of the same id at the target."""

    times: ThreadTimes
    digests: ThreadDigests

    @property
    def origin(self) -> str:
        """Its digest when it was moved there; empty if it was not moved."""
        return self.times.origin or ""

    def is_behind(self, mine: ThreadDigests) -> bool:
        """Return whether it is unchanged since it was moved, and the source is not."""
        return self.origin == self.digests.digest != mine.digest


def _read_back(target: Store[Any], thread: str) -> _StoredThread | None:
    try:
        image = target.run(read_thread(thread))
        if image is None:
            return None
        with image:
            return _StoredThread(image.times, digest_thread(image, target.settings))
    except CorruptCheckpointError as error:
        raise CorruptCheckpointError(f"at the destination, {error}") from error


def _explain(image: ThreadImage, mine: ThreadDigests, stored: _StoredThread) -> ThreadMove:
    """Find out why two threads of one id differ."""
    thread = image.thread
    if stored.origin == mine.digest and stored.times.updated == image.times.updated:
        message = f"thread {thread!r} is not read back as it was stored"
        return ThreadMove(thread, MoveOutcome.MISMATCH, message, mine, stored.digests)
    if stored.is_behind(mine):
        message = f"thread {thread!r} was moved earlier, and has changed at the source since: --update replaces it"
        return ThreadMove(thread, MoveOutcome.BEHIND, message)
    common = stored.digests.within(mine)
    if common.entries == mine.entries:
        return ThreadMove(thread, MoveOutcome.CONTINUED, "", mine, common)
    if stored.origin == mine.digest:
        return ThreadMove(thread, MoveOutcome.CONTINUED)
    message = (
        f"the destination has another thread {thread!r}, which was left alone: delete it, or move to another store"
    )
    return ThreadMove(thread, MoveOutcome.CONFLICT, message)
