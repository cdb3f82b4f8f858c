"""Files of threads: written so that a cut-short one is continued, read so that a damaged one is refused."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from zerograph_redis.errors import ConflictError, CorruptCheckpointError
from zerograph_redis.state_log.draft import MOST_BYTES

from .blocks import read_block, require_zstd, write_block
from .frames import (
    Totals,
    image_of,
    pack,
    pack_page,
    pack_thread,
    pack_whole,
    selection_of,
    take_page,
    unpack_all,
)
from .image import Image

BLOCK = 1024 * 1024  # bytes of content that a block has about
MOST_TIMES = 1000  # as large as it is, beyond what one state may have, may a file become: text comes to some ten times


class Archive:
    """A file of threads, to be read."""

    def __init__(self, path: str | Path) -> None:
        """Open a file.

        Raises:
            OSError: It cannot be opened.
            ImportError: The extra ``zstd`` is not installed.
        """
        require_zstd()
        self.path = Path(path)
        self._file = self.path.open("rb")

    def __enter__(self) -> Self:
        """Return the archive itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def images(self) -> Iterator[Image]:
        """Read the threads, each of which is closed when the next one is asked for.

        Raises:
            CorruptCheckpointError: The file is damaged, cut off, or of an unknown format. What came before may be lacking
                what comes behind: whoever must have all of it reads to the end first.
        """
        try:
            yield from self._images()
        except CorruptCheckpointError as error:
            raise CorruptCheckpointError(f"{self.path} is refused: {error}") from error

    def _images(self) -> Iterator[Image]:
        totals, names = Totals(), set()
        frames = self._frames()
        selection_of(next(frames, []))
        for frame in frames:
            if frame[:1] == ["end"]:
                if frame != ["end", totals.threads, totals.checkpoints, totals.written, totals.log_bytes]:
                    raise CorruptCheckpointError("it has not all the threads that it should have")
                if next(frames, None) is not None:
                    raise CorruptCheckpointError("it goes on behind its end")
                return
            with image_of(frame) as image:
                if image.thread in names:
                    raise CorruptCheckpointError(f"it has thread {image.thread!r} twice")
                names.add(image.thread)
                while not take_page(image, next(frames, [])):
                    pass
                totals.add(image.checkpoints, image.written, image.log_bytes)
                yield image
        raise CorruptCheckpointError("it is cut off: its end is missing")

    def _frames(self) -> Iterator[list[Any]]:
        self._file.seek(0)
        digest = b""
        # What a file unpacks to is bounded by what is there; small ones may have states of a single letter.
        left = MOST_BYTES + MOST_TIMES * os.fstat(self._file.fileno()).st_size
        while (block := read_block(self._file, digest, min(left, MOST_BYTES))) is not None:
            digest = block.digest
            left -= len(block.content)
            yield from unpack_all(block.content)


class ArchiveWriter:
    """Writes a file of threads under a name of its own (``….part``) until it is whole."""

    def __init__(self, path: str | Path, selection: str, level: int = 3) -> None:
        """Begin a file, or go on with one that was cut short.

        Args:
            path: Where the file will be.
            selection: What is exported, in words that are the same when it is tried again.
            level: How hard zstd tries, 1 (fast) to 22 (small).

        Raises:
            ConflictError: There is a file already, or an unfinished one of another selection, or another process is
                writing it.
            OSError: It cannot be written.
            ImportError: The extra ``zstd`` is not installed.
        """
        require_zstd()
        self.path = Path(path)
        self.part = self.path.with_name(self.path.name + ".part")
        self._level = level
        self._totals = Totals()
        self._pending = bytearray()
        self._digest = b""
        self._end = 0
        self.threads: set[str] = set()
        """The threads that are in the file."""
        self._check_free()
        self._file: IO[bytes] = os.fdopen(os.open(self.part, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        try:
            self._lock()
            self._recover(selection)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return the writer itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file, finished or not."""
        self.close()

    def close(self) -> None:
        """Close the file; an unfinished one stays to be continued."""
        self._file.close()

    def add(self, image: Image) -> None:
        """Write a thread."""
        self._pending += pack_thread(image)
        held = True
        for page in image.pages():
            self._pending += pack_page(page)
            if len(self._pending) >= BLOCK:
                held = False
                self._flush()
        self._pending += pack_whole(image)
        self._totals.add(image.checkpoints, image.written, image.log_bytes)
        self.threads.add(image.thread)
        # A file that is cut short is continued behind a block that ends with a whole thread.
        if not held or len(self._pending) >= BLOCK:
            self._flush()

    def finish(self) -> None:
        """Write the end, and have all of it on the disk. It still has its own name."""
        self._flush()
        totals = self._totals
        self._pending += pack("end", totals.threads, totals.checkpoints, totals.written, totals.log_bytes)
        self._flush()
        os.fsync(self._file.fileno())

    def publish(self) -> None:
        """Give the finished file its name.

        Raises:
            ConflictError: There is a file of that name by now.
        """
        self._check_free()
        self.part.rename(self.path)
        directory = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _flush(self) -> None:
        if self._pending:
            self._digest = write_block(self._file, bytes(self._pending), self._digest, self._level)
            self._file.flush()
            self._pending.clear()

    def _check_free(self) -> None:
        if self.path.exists():
            raise ConflictError(f"{self.path} is there already: name another file, or remove it first")

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it may have given it its name since it was opened here.
            mine = self.part.exists() and os.path.samestat(self.part.stat(), os.fstat(self._file.fileno()))
        except BlockingIOError:
            mine = False
        if not mine:
            raise ConflictError(f"{self.part} is being written by another process")

    def _recover(self, selection: str) -> None:
        """Keep of an unfinished file what is whole, and begin one that has nothing."""
        with suppress(CorruptCheckpointError):
            for end in self._whole_blocks(selection):
                self._end = end
        self._file.seek(self._end)
        self._file.truncate()
        if not self._end:
            from zerograph_redis import __version__

            said = {"made": time.time_ns() // 1000, "writer": f"zerograph_redis {__version__}", "selection": selection}
            self._pending += pack("begin", said)
            self._flush()

    def _whole_blocks(self, selection: str) -> Iterator[int]:
        """Note what an unfinished file has, block by block; yields where blocks end that cut no thread."""
        digest, totals, threads = b"", Totals(), list[str]()
        thread: str | None = None
        while (block := read_block(self._file, digest)) is not None:
            digest = block.digest
            for frame in unpack_all(block.content):
                match frame:
                    case ["begin", *_] if selection_of(frame) != selection:
                        raise ConflictError(
                            f"{self.part} is an unfinished file of something else: remove it, or name another file"
                        )
                    case ["thread", str(name), *_]:
                        thread = name
                    case ["whole", int(checkpoints), int(written), int(log_bytes)] if thread is not None:
                        totals.add(checkpoints, written, log_bytes)
                        threads.append(thread)
                        thread = None
                    case ["end", *_]:
                        return
            if thread is None:
                self._digest, self._totals = digest, replace(totals)
                self.threads.update(threads)
                threads.clear()
                yield block.end
