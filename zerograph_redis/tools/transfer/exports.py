"""Threads into a file, which is read back before it gets its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from zerograph_redis.core.settings import Settings
from zerograph_redis.errors import CorruptCheckpointError

from .adapting import adapted
from .archive import Archive, ArchiveWriter
from .contents import survey
from .ends import Source
from .moves import Note, attempt
from .outcomes import Outcome, Report, Result


class Export:
    """An export: `write` the threads, then `finish` the file."""

    def __init__(self, source: Source, settings: Settings, writer: ArchiveWriter) -> None:
        """Export out of *source*, which has the keys of *settings* if any."""
        self._source = source
        self._settings = settings
        self._writer = writer
        self._digests: dict[str, str] = {}
        self._report = Report()

    def write(self, threads: Iterable[str], note: Note) -> None:
        """Write threads, but for those that the file has already; *note* is told of each.

        Raises:
            BackendUnavailableError: The store does not answer. Doing it again goes on.
            OSError: The file cannot be written.
        """
        for thread in threads:
            if thread in self._writer.threads:
                result = Result(thread, Outcome.SAME)
            else:
                result = attempt(thread, partial(self._write, thread))
            self._report.add(result)
            note(result)

    def finish(self, checked: Callable[[str], None]) -> Report:
        """Read the file back, *checked* is told of each thread, and give it its name. The report counts what it has.

        Raises:
            CorruptCheckpointError: The disk does not give back what was written.
            ConflictError: There is a file of that name by now.
            OSError: The file cannot be written.
        """
        self._writer.finish()
        with Archive(self._writer.part) as archive:
            for image in archive.images():
                contents = survey(image, self._settings.of_files())
                if self._digests.get(image.thread, contents.digest) != contents.digest:
                    raise CorruptCheckpointError(f"{archive.path} has not thread {image.thread!r} as it was written")
                self._report.source.add(contents)
                self._report.target.add(contents)
                checked(image.thread)
        self._writer.publish()
        return self._report

    def _write(self, thread: str) -> Result:
        image = self._source.read(thread)
        if image is None:
            return Result(thread, Outcome.GONE)
        with image, adapted(image, self._settings, self._settings.of_files()) as fitting:
            self._digests[thread] = survey(fitting, self._settings.of_files()).digest
            self._writer.add(fitting)
        return Result(thread, Outcome.MOVED)
