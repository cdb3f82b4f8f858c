"""Moving threads: each is read whole, stored at once, read back and compared.

Nothing is kept of how far a move came: what is at the destination tells. So one that was cut short is begun again, and
finds what it had done. A thread that the destination has already is compared and left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from zerograph_redis.core.requests import Untouched
from zerograph_redis.core.settings import Settings
from zerograph_redis.errors import (
    BusyThreadError,
    ConfigError,
    CorruptCheckpointError,
    LeaseError,
    SerializationError,
)

from .adapting import adapted
from .archive import Archive
from .contents import Contents, survey
from .ends import Source, StoreEnd
from .image import Image, Life
from .outcomes import Outcome, Report, Result

Note = Callable[[Result], None]
"""Is told what became of each thread."""


def migrate_threads(
    source: Source, target: StoreEnd, threads: Iterable[str], note: Note, *, update: bool = False
) -> Report:
    """Move threads from one place to another, both of which may be in use.

    Args:
        source: Where they come from.
        target: Where they go.
        threads: Their ids.
        note: Is told of each.
        update: Whether a thread that is there as it was moved earlier, written by nobody since, is replaced by what the
            source has now.

    Raises:
        BackendUnavailableError: A store does not answer. What was moved is there; doing it again goes on.
    """
    report = Report()
    for thread in threads:
        result = attempt(thread, partial(_moved_from, source, thread, target, update=update))
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
            survey(image, settings.of_files())
        except CorruptCheckpointError as error:
            raise CorruptCheckpointError(f"{archive.path} is refused: {error}") from error
        checked(image.thread)


def import_threads(
    archive: Archive, target: StoreEnd, wanted: Callable[[str], bool], note: Note, *, update: bool = False
) -> Report:
    """Store the threads of a file; check it first, with `check_archive`.

    Args:
        archive: The file. Encrypted threads of it are encrypted for the store's name.
        target: Where they go.
        wanted: Tells by its id whether a thread is to be stored.
        note: Is told of each.
        update: As in `migrate_threads`.

    Raises:
        BackendUnavailableError: The store does not answer. Doing it again goes on.
        CorruptCheckpointError: The file is damaged.
    """
    report = Report()
    for image in archive.images():
        if wanted(image.thread):
            files = target.settings.of_files()
            result = attempt(image.thread, partial(_moved, image, files, target, update=update))
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


def _moved_from(source: Source, thread: str, target: StoreEnd, *, update: bool) -> Result:
    image = source.read(thread)
    if image is None:
        return Result(thread, Outcome.GONE)
    with image:
        return _moved(image, source.settings, target, update=update)


def _moved(image: Image, settings: Settings, target: StoreEnd, *, update: bool) -> Result:
    """Move what is stored under *settings*."""
    with adapted(image, settings, target.settings) as fitting:
        return _placed(fitting, target, update=update)


def _placed(image: Image, target: StoreEnd, *, update: bool) -> Result:
    mine = survey(image, target.settings)
    there = _look(target, image.thread)
    done = Outcome.SAME
    if there is None:
        done = Outcome.MOVED
        target.place(image, mine.digest)
        there = _look(target, image.thread)
    elif update and there.is_behind(mine):
        done = Outcome.UPDATED
        target.place(image, mine.digest, Untouched(there.origin, there.life.updated))
        there = _look(target, image.thread)
    if there is None:
        return Result(image.thread, Outcome.GONE)
    if mine.entries == there.contents.entries:
        return Result(image.thread, done, "", mine, there.contents)
    return _compared(image, mine, there)


class _There(NamedTuple):
    """A thread of the same id at the destination."""

    life: Life
    contents: Contents

    @property
    def origin(self) -> str:
        """The digest of what it was when it was moved there, if it was."""
        return self.life.origin or ""

    def is_behind(self, mine: Contents) -> bool:
        """Tell whether it is as it was moved, while the source is not."""
        return self.origin == self.contents.digest != mine.digest


def _look(target: StoreEnd, thread: str) -> _There | None:
    try:
        image = target.read(thread)
        if image is None:
            return None
        with image:
            return _There(image.life, survey(image, target.settings))
    except CorruptCheckpointError as error:
        raise CorruptCheckpointError(f"at the destination, {error}") from error


def _compared(image: Image, mine: Contents, there: _There) -> Result:
    """Tell two threads apart that have one id."""
    thread = image.thread
    if there.origin == mine.digest and there.life.updated == image.life.updated:
        said = f"thread {thread!r} is not there as it was stored"
        return Result(thread, Outcome.MISMATCH, said, mine, there.contents)
    if there.is_behind(mine):
        said = (
            f"thread {thread!r} is there as it was moved earlier, and changed at the source since: --update replaces it"
        )
        return Result(thread, Outcome.BEHIND, said)
    common = there.contents.within(mine)
    if common.entries == mine.entries:
        return Result(thread, Outcome.CONTINUED, "", mine, common)
    if there.origin == mine.digest:
        return Result(thread, Outcome.CONTINUED)
    return Result(thread, Outcome.CONFLICT, f"there is another thread {thread!r}, which was left alone")
