"""A file of threads: a SQLite store in one file, perhaps compressed.

An unfinished file is named ``FILE.part``. One more table has the selection of threads, and, once the file is complete, a
digest of all rows of all threads. So an import finds damage that SQLite does not notice, and any change since the export.
Threads in a file have a TTL, but no deadline: they do not expire.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, Self, TypeVar

from zerograph_redis.backends.sqlite.backend import READS, SqliteBackend
from zerograph_redis.backends.sqlite.schema import FORMAT
from zerograph_redis.backends.sqlite.thread_rows import delete_rows
from zerograph_redis.core.bounds import UNREADABLE, unreadable
from zerograph_redis.core.refusals import describe_request
from zerograph_redis.core.requests import DeleteThread, Request
from zerograph_redis.core.settings import Settings
from zerograph_redis.errors import ConflictError, CorruptCheckpointError, SerializationError
from zerograph_redis.state_log.draft import MOST_BYTES
from zerograph_redis.store import Store

from .digests import digest_thread
from .files import OURS, THEIRS, connect, tables_in, translated
from .moves import MoveReport, Source, move_threads
from .reading import list_ids, read_thread

MOST_TIMES = 1000  # a file may decompress to this many times its size, and MOST_BYTES more; text needs about ten
_CHUNK = 1024 * 1024
_SQLITE, _ZSTD = b"SQLite format 3\0", b"\x28\xb5\x2f\xfd"
_EXPORT = "zerograph_redis_export"
_DIGESTED = (
    "SELECT name, sql FROM sqlite_master WHERE name GLOB 'zerograph_redis_*' ORDER BY name",
    "SELECT * FROM zerograph_redis_threads ORDER BY number",
    "SELECT * FROM zerograph_redis_checkpoints ORDER BY number",
    "SELECT * FROM zerograph_redis_writes ORDER BY number",
    "SELECT * FROM zerograph_redis_logs ORDER BY number",
)

R = TypeVar("R")


class ExportFile:
    """Makes a file of threads: `add` them, then `publish` the file. An unfinished file is continued later."""

    def __init__(self, path: str | Path, selection: str, settings: Settings) -> None:
        """Begin a file, or continue an unfinished one.

        Args:
            path: Where the file will be.
            selection: Which threads are exported, in words that are the same when the export is repeated.
            settings: Those of the source, with its keys if it has some.

        Raises:
            ConflictError: The file exists, or ``FILE.part`` is something else or in use.
            OSError: It cannot be written.
        """
        self.path = Path(path)
        self.part = self.path.with_name(self.path.name + ".part")
        self._check_free()
        self._lock = os.open(self.part, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._take_lock()
            self.continued = self._check_part(selection)
            self._backend = SqliteBackend(self.part)
            self._connection = connect(self.part, "rw")
        except BaseException:
            os.close(self._lock)
            raise
        self.store = Store(self._backend, settings.for_files(), str(self.part))

    def __enter__(self) -> Self:
        """Return the file itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file; an unfinished one stays, to be continued."""
        self._connection.close()
        self._backend.close()
        os.close(self._lock)  # the last one, since closing it releases SQLite's own locks

    def add(self, source: Source, threads: Iterable[str], written: Callable[[], object]) -> MoveReport:
        """Make the file hold *threads* of *source* as they are now, and no others. *written* is called after each.

        Raises:
            BackendUnavailableError: The source does not answer, or the file cannot be written. Export again to continue.
        """
        wanted = list(dict.fromkeys(threads))
        whole = set(filter(self._is_whole, wanted))
        self._delete(each for each in self.store.run(list_ids("")) if each not in whole)

        def keep() -> None:
            with translated(self.part):
                self._connection.execute(
                    "UPDATE zerograph_redis_threads SET deadline = NULL WHERE deadline IS NOT NULL"
                )
            written()

        report = move_threads(source, self.store, wanted, keep, update=True)
        self._delete(report.missing)
        return report

    def _is_whole(self, thread: str) -> bool:
        """Return whether the file has a thread as an earlier run wrote it."""
        try:
            image = self.store.run(read_thread(thread))
            if image is None:
                return False
            with image:
                return digest_thread(image, self.store.settings).digest == image.times.origin
        except (CorruptCheckpointError, SerializationError):
            return False

    def _delete(self, threads: Iterable[str]) -> None:
        for thread in threads:
            self._backend.execute(DeleteThread(thread, None))

    def publish(self, level: int | None = None) -> None:
        """Complete the file and rename it from ``FILE.part``; with *level*, 1 to 22, compress it.

        Raises:
            ConflictError: The file exists now, or another process has the unfinished file open.
            CorruptCheckpointError: The disk does not return what was written.
            ImportError: The extra ``zstd`` is not installed.
        """
        self._backend.close()
        with translated(self.part), closing(self._connection) as connection:
            staged = connection.execute("SELECT number FROM zerograph_redis_threads WHERE thread < ' '").fetchall()
            for (number,) in staged:
                delete_rows(connection, number)
            connection.execute(f"UPDATE {_EXPORT} SET digest = ?", (_digest_rows(connection),))  # noqa: S608 - our own name
            try:
                connection.execute("PRAGMA journal_mode = DELETE")
            except sqlite3.OperationalError as error:
                raise ConflictError(f"another process has {self.part} open: close it, and export again") from error
            connection.execute("VACUUM")
        _open_complete(self.part, self.part).close()
        os.fsync(self._lock)
        finished = self.part if level is None else self._compress(level)
        self._check_free()
        finished.rename(self.path)
        self.part.unlink(missing_ok=True)
        directory = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _compress(self, level: int) -> Path:
        compressed = self.part.with_name(self.part.name + ".zst")
        compressed.unlink(missing_ok=True)
        compressor = require_zstd().ZstdCompressor(level=level, write_checksum=True)
        with self.part.open("rb") as plain, _create(compressed) as file:
            compressor.copy_stream(plain, file, size=self.part.stat().st_size)
            file.flush()
            os.fsync(file.fileno())
        with self.part.open("rb") as plain:
            if any(plain.read(len(chunk)) != chunk for chunk in _decompress(compressed)) or plain.read(1):
                raise CorruptCheckpointError(f"{compressed} is not read back as it was written: check the disk")
        return compressed

    def _check_free(self) -> None:
        if self.path.exists():
            raise ConflictError(f"{self.path} exists already: name another file, or remove it first")

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another process may have completed and renamed it since it was opened here.
            mine = self.part.exists() and os.path.samestat(self.part.stat(), os.fstat(self._lock))
        except BlockingIOError:
            mine = False
        if not mine:
            raise ConflictError(f"another process is writing {self.part}: wait until it has ended")

    def _check_part(self, selection: str) -> bool:
        """Refuse a file that is not an unfinished export of *selection*. Returns whether it was begun earlier."""
        begun = True
        try:
            with closing(connect(self.part, "rw")) as connection:
                begun = bool(connection.execute("SELECT 1 FROM sqlite_master").fetchone())
                if not begun:
                    with connection:
                        connection.execute("BEGIN IMMEDIATE")
                        connection.execute(f"CREATE TABLE {_EXPORT} (selection TEXT NOT NULL, digest BLOB)")
                        connection.execute(f"INSERT INTO {_EXPORT} (selection) VALUES (?)", (selection,))  # noqa: S608
                (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
                begun_as = connection.execute(f"SELECT selection FROM {_EXPORT}").fetchall()  # noqa: S608
        except sqlite3.DatabaseError as error:
            verdict, begun_as = str(error), []
        if verdict != "ok":
            raise ConflictError(f"{self.part} is damaged, or not an unfinished export: remove it ({verdict})")
        if begun_as != [(selection,)]:
            raise ConflictError(
                f"{self.part} is an unfinished export of other threads: remove it, or name another file"
            )
        return begun


@contextmanager
def open_export(path: str | Path, settings: Settings) -> Iterator[Store[Any]]:
    """Open a file of threads, compressed or not, as a store to read; *settings* have the keys of an encrypted one.

    Raises:
        CorruptCheckpointError: The file is not an export, or is damaged, cut off, or of an unknown format.
        ImportError: It is compressed, and the extra ``zstd`` is not installed.
        OSError: It cannot be opened.
    """
    path = plain = Path(path)
    with path.open("rb") as file:
        head = file.read(len(_SQLITE))
    with ExitStack() as stack:
        if head.startswith(_ZSTD):
            plain = Path(stack.enter_context(TemporaryDirectory(prefix="zerograph-redis-"))) / "threads.db"
            with _create(plain) as file:
                file.writelines(_decompress(path))
        elif head != _SQLITE:
            raise _refused(path, "it is neither a SQLite database nor a compressed one")
        connection = stack.enter_context(closing(_open_complete(plain, path)))
        yield Store(_ExportReader(connection, path), settings.for_files(), str(path))


class _ExportReader:
    """Answers the requests that read threads; the backend for stores would write to the file."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def execute(self, request: Request[R]) -> R:
        with translated(self._path):
            try:
                reply: R = READS[type(request)](self._connection, request, time.time_ns() // 1000)
            except UNREADABLE as error:
                raise unreadable(describe_request(request), error) from error
        return reply


def _open_complete(path: Path, name: Path) -> sqlite3.Connection:
    """Open an export that is complete and unchanged; errors call it *name*."""
    connection = connect(path)
    try:
        connection.execute("BEGIN")
        problem = _problem_of(connection, name)
    except (sqlite3.Error, *UNREADABLE) as error:
        problem = f"it is damaged or cut off: {error}"
    if problem:
        connection.close()
        raise _refused(name, problem)
    return connection


def _problem_of(connection: sqlite3.Connection, name: Path) -> str:
    (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        return f"it is damaged or cut off: {verdict}"
    tables = tables_in(connection)
    if not tables >= OURS:
        if tables >= THEIRS:
            return f"it is a file of ZeroGraph's own SqliteSaver; `migrate zerograph:///{name} DST` moves its threads"
        return "it is a SQLite database without our tables"
    if _EXPORT not in tables:
        return f"it is a store, not an export; `migrate sqlite:///{name} DST` moves its threads"
    versions = connection.execute("SELECT version FROM zerograph_redis_format").fetchall()
    if versions != [(FORMAT,)]:
        return f"its format is {versions}, and this version of zerograph_redis knows only {FORMAT}"
    digest = connection.execute(f"SELECT digest FROM {_EXPORT}").fetchall()  # noqa: S608 - our own name
    if digest != [(_digest_rows(connection),)]:
        return (
            f"it is unfinished, damaged, or was changed after its export; `migrate sqlite:///{name} DST` moves the threads "
            f"that are whole"
        )
    return ""


def _digest_rows(connection: sqlite3.Connection) -> bytes:
    """Return a digest of all rows of all threads, and of the tables that they are in."""
    digest = blake2b(digest_size=32)
    connection.text_factory = lambda raw: (raw,)  # not to be taken for a blob
    for query in _DIGESTED:
        for row in connection.execute(query):
            for value in row:
                data = value if isinstance(value, bytes) else repr(value).encode()
                digest.update(b"%d:" % len(data))
                digest.update(data)
    connection.text_factory = str
    return digest.digest()


def _refused(path: Path, why: str) -> CorruptCheckpointError:
    return CorruptCheckpointError(f"{path} is refused: {why}")


def _create(path: Path) -> Any:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _decompress(path: Path) -> Iterator[bytes]:
    """Decompress a file, to a bounded size."""
    zstandard = require_zstd()
    left = MOST_BYTES + MOST_TIMES * path.stat().st_size
    try:
        with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
            while chunk := reader.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise _refused(path, "it decompresses to more than a file of its size can have")
                yield chunk
    except zstandard.ZstdError as error:
        raise _refused(path, f"it is damaged: {error}") from error


def require_zstd() -> ModuleType:
    """Import the module that compresses.

    Raises:
        ImportError: The extra is not installed.
    """
    try:
        import zstandard
    except ImportError as error:
        raise ImportError("compressed files of threads need an extra: pip install 'zerograph-redis[zstd]'") from error
    return zstandard
