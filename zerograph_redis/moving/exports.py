"""Threads into a file, which is read back before it gets its name."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from zerograph_redis.core.settings import Settings
from zerograph_redis.errors import CorruptCheckpointError

from .archive import Archive, ArchiveWriter
from .contents import survey
from .ends import Source
from .moves import Note, attempt
from .outcomes import Outcome, Report, Result

__all__ = ("export_threads",)


def export_threads(
    source: Source, settings: Settings, writer: ArchiveWriter, threads: Iterable[str], note: Note
) -> Report:
    """Write threads into a file, but for those that it has already.

    The digests of the report are of the threads that were read, and of the file.

    Raises:
        BackendUnavailableError: The store does not answer. Doing it again goes on.
        CorruptCheckpointError: The disk does not give back what was written.
        OSError: The file cannot be written.
    """
    report = Report()
    digests: dict[str, str] = {}
    for thread in threads:
        if thread in writer.threads:
            result = Result(thread, Outcome.SAME)
        else:
            result = attempt(thread, partial(_written, source, settings, writer, thread))
        if result.source is not None:
            digests[thread] = result.source.digest
        report.add(result)
        note(result)
    writer.finish()
    with Archive(writer.part) as archive:
        for image in archive.images():
            contents = survey(image, settings)
            if digests.get(image.thread, contents.digest) != contents.digest:
                raise CorruptCheckpointError(f"{writer.part} does not have thread {image.thread!r} as it was written")
            report.source.add(contents)
            report.target.add(contents)
    writer.publish()
    return report


def _written(source: Source, settings: Settings, writer: ArchiveWriter, thread: str) -> Result:
    image = source.read(thread)
    if image is None:
        return Result(thread, Outcome.GONE)
    with image:
        contents = survey(image, settings)
        writer.add(image)
    return Result(thread, Outcome.MOVED, "", contents)
