"""Moving threads: each is read whole, stored at once, read back and compared.

Nothing is kept of how far a move came: what is at the destination tells. So one that was cut short is begun again, and
finds what it had done. A thread that the destination has already is compared and left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from zerograph_redis.core.settings import Settings
from zerograph_redis.errors import (
    BusyThreadError,
    ConfigError,
    CorruptCheckpointError,
    LeaseError,
    SerializationError,
)

from .archive import Archive
from .contents import Contents, survey
from .ends import Source, StoreEnd
from .image import Image
from .outcomes import Outcome, Report, Result

__all__ = ("Note", "attempt", "check_archive", "import_threads", "migrate_threads")

Note = Callable[[Result], None]
"""Is told what became of each thread."""


def migrate_threads(source: Source, target: StoreEnd, threads: Iterable[str], note: Note) -> Report:
    """Move threads from one place to another, both of which may be in use.

    Raises:
        BackendUnavailableError: A store does not answer. What was moved is there; doing it again goes on.
    """
    report = Report()
    for thread in threads:
        result = attempt(thread, partial(_moved_from, source, thread, target))
        report.add(result)
        note(result)
    return report


def check_archive(archive: Archive, settings: Settings, checked: Callable[[str], None]) -> None:
    """Read all of a file, and check every checkpoint of it; *checked* is told of each thread.

    Raises:
        CorruptCheckpointError: It is damaged, cut off, or of an unknown format.
    """
    for image in archive.images():
        try:
            survey(image, settings)
        except CorruptCheckpointError as error:
            raise CorruptCheckpointError(f"{archive.path} is refused: {error}") from error
        checked(image.thread)


def import_threads(archive: Archive, target: StoreEnd, wanted: Callable[[str], bool], note: Note) -> Report:
    """Store the threads of a file; check it first, with `check_archive`.

    Raises:
        BackendUnavailableError: The store does not answer. Doing it again goes on.
        CorruptCheckpointError: The file is damaged.
    """
    report = Report()
    for image in archive.images():
        if wanted(image.thread):
            result = attempt(image.thread, partial(_moved, image, target))
            report.add(result)
            note(result)
    return report


def attempt(thread: str, move: Callable[[], Result]) -> Result:
    """Tell what becomes of a thread; what is wrong with it does not keep others from being moved."""
    try:
        return move()
    except BusyThreadError as error:
        return Result(thread, Outcome.BUSY, str(error))
    except CorruptCheckpointError as error:
        return Result(thread, Outcome.DAMAGED, str(error))
    except LeaseError as error:
        return Result(thread, Outcome.HELD, str(error))
    except (SerializationError, ConfigError) as error:
        return Result(thread, Outcome.FAILED, str(error))


def _moved_from(source: Source, thread: str, target: StoreEnd) -> Result:
    image = source.read(thread)
    if image is None:
        return Result(thread, Outcome.GONE)
    with image:
        return _moved(image, target)


def _moved(image: Image, target: StoreEnd) -> Result:
    thread = image.thread
    mine = survey(image, target.settings)
    placed = False
    try:
        back = target.read(thread)
        if back is None:
            placed = target.place(image, mine.digest)
            back = target.read(thread)
        if back is None:
            return Result(thread, Outcome.GONE)
        with back:
            theirs = survey(back, target.settings)
    except CorruptCheckpointError as error:
        raise CorruptCheckpointError(f"at the destination, {error}") from error
    if mine.entries == theirs.entries:
        return Result(thread, Outcome.MOVED if placed else Outcome.SAME, "", mine, theirs)
    return _compared(image, mine, back, theirs)


def _compared(image: Image, mine: Contents, back: Image, theirs: Contents) -> Result:
    """Tell two threads apart that have one id."""
    thread = image.thread
    if back.life.origin == mine.digest:
        if back.life.updated == image.life.updated:
            return Result(thread, Outcome.MISMATCH, f"thread {thread!r} is not there as it was stored", mine, theirs)
        common = theirs.within(mine)
        if common.entries == mine.entries:
            return Result(thread, Outcome.CONTINUED, "", mine, common)
        return Result(thread, Outcome.CONTINUED)
    if back.life.origin == theirs.digest:
        return Result(
            thread,
            Outcome.BEHIND,
            f"thread {thread!r} went on at the source since it was moved: delete it at the destination to move it anew",
        )
    common = theirs.within(mine)
    if common.entries == mine.entries:
        return Result(thread, Outcome.CONTINUED, "", mine, common)
    return Result(thread, Outcome.CONFLICT, f"the destination has another thread {thread!r}, which was left alone")
