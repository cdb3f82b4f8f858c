"""Threads into one file, and from one."""

import random
import sqlite3
import stat
import sys
import time
from contextlib import closing, contextmanager

import pytest
import zstandard
from support.commands import run
from support.data import at, fill, state, thread_ids, thread_info
from support.moves import export, fill_all, grow, ignore, image_of, load, migrate, snapshot, store_of
from support.stores import fixture_of

from zerograph_redis import (
    ConflictError,
    CorruptCheckpointError,
    EncryptedSerializer,
    InMemorySaver,
    SerializationError,
    SqliteSaver,
)
from zerograph_redis.backends.redis.bindings import BINDINGS
from zerograph_redis.backends.redis.keys import Keyspace
from zerograph_redis.core.requests import LogRange, Page, StageThread
from zerograph_redis.core.settings import Settings
from zerograph_redis.tools.transfer import exports
from zerograph_redis.tools.transfer.exports import ExportFile
from zerograph_redis.tools.transfer.moves import MoveOutcome

LEVELS = [pytest.param(None, id="plain"), pytest.param(3, id="zstd")]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "threads ?#%.db"


@pytest.fixture
def part(path):
    return path.with_name(path.name + ".part")


store = fixture_of("redis-sync", "sqlite-sync")


@pytest.fixture
def saver(store):
    return store.open()


@contextmanager
def in_memory(**options):
    with InMemorySaver(max_per_thread=None, **options) as saver:
        yield saver


@pytest.fixture
def other():
    with in_memory() as saver:
        yield saver


@pytest.mark.parametrize("level", LEVELS)
def test_everything_comes_back_from_a_file(saver, path, other, level):
    threads = fill_all(saver)
    written = export(saver, path, level=level)
    assert written.outcomes == {MoveOutcome.MOVED: len(threads)}
    assert written.equal
    assert [each.name for each in path.parent.iterdir() if each.name.startswith("threads")] == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    loaded = load(path, other)
    assert loaded.outcomes == {MoveOutcome.MOVED: len(threads)}
    assert loaded.source == loaded.target == written.target == written.source
    for thread in threads:
        assert snapshot(other, thread) == snapshot(saver, thread)
    again = load(path, other)
    assert again.outcomes == {MoveOutcome.SAME: len(threads)}
    assert again.target == loaded.target
    assert path.read_bytes() == before


@pytest.mark.parametrize("level", LEVELS)
def test_a_file_without_threads_is_complete(saver, path, other, level):
    assert not export(saver, path, level=level).outcomes
    assert not load(path, other).outcomes


def test_a_file_is_a_store(saver, tmp_path):
    path = tmp_path / "threads.db"
    threads = fill_all(saver)
    export(saver, path)
    assert path.read_bytes()[18:20] == b"\1\1", "its journal is not a WAL, which would be another file"
    url = f"sqlite:///{path}"
    assert run("--url", url, "history", "chat", "--json").code == 0
    assert run("--url", url, "doctor", "--json").code == 0
    with SqliteSaver(path) as opened:
        for thread in threads:
            assert snapshot(opened, thread) == snapshot(saver, thread)
        assert load(path, opened).outcomes == {MoveOutcome.SAME: len(threads)}
    with in_memory() as other:
        assert load(path, other).outcomes == {MoveOutcome.MOVED: len(threads)}


def test_a_file_that_nobody_can_write_is_imported(saver, path, other):
    fill(saver, 3)
    export(saver, path)
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        assert load(path, other).outcomes == {MoveOutcome.MOVED: 1}
    finally:
        path.parent.chmod(0o700)


def test_the_zstd_of_the_system_decompresses_a_file(saver, path):
    fill(saver, 3)
    export(saver, path, level=19)
    with path.open("rb") as file:
        content = zstandard.ZstdDecompressor().stream_reader(file).read()
    plain = path.with_name("plain.db")
    plain.write_bytes(content)
    with SqliteSaver(plain) as opened:
        assert snapshot(opened, "thread") == snapshot(saver, "thread")


def test_without_the_extra_a_compressed_file_is_neither_written_nor_read(saver, path, other, monkeypatch):
    fill(saver, 1)
    export(saver, path, level=3)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(ImportError, match=r"zerograph-redis\[zstd\]"):
        load(path, other)
    with pytest.raises(ImportError, match=r"zerograph-redis\[zstd\]"):
        export(saver, path.with_name("another"), level=3)


def test_a_thread_in_a_file_never_expires_and_has_its_ttl_again_when_it_is_imported(saver, path, other):
    saver.put(at(ttl=2), state("c0"), {})
    saver.put(at("long", ttl=10_000), state("c0"), {})
    saver.put(at("for ever"), state("c0"), {})
    export(saver, path)
    time.sleep(2)
    load(path, other)
    with SqliteSaver(path) as opened:
        opened.put_writes(at("for ever", id="c0"), [("t", "c", 1)], "")  # as any write, it removes what has expired
        assert [each.ttl for each in opened.list_threads()] == [None] * 3
    assert 9_000 < thread_info(other, "long").ttl <= 10_000
    assert thread_info(other, "for ever").ttl is None


def test_threads_of_the_store_are_left_alone(saver, path, other):
    fill(saver, 3, "same")
    fill(saver, 3, "continued")
    fill(saver, 3, "another")
    export(saver, path)
    fill(other, 2, "another", start=7)
    load(path, other)
    fill(other, 2, "continued", start=3)
    before = [snapshot(other, thread) for thread in ("same", "continued", "another")]
    report = load(path, other)
    assert report.outcomes == {MoveOutcome.SAME: 1, MoveOutcome.CONTINUED: 1, MoveOutcome.CONFLICT: 1}
    assert [snapshot(other, thread) for thread in ("same", "continued", "another")] == before


@pytest.mark.parametrize("level", LEVELS)
def test_encrypted_threads_go_through_a_file_without_keys(store, path, level):
    keys = EncryptedSerializer({"k": b"1" * 32}, store="the first")
    saver = store.open(serializer=keys)
    config = grow(saver, "chat")
    saver.put_writes(config, [("t", "c", "secret")], "")
    with in_memory(serializer=keys) as other:
        source = store_of(saver)
        source.settings = Settings.check()
        with ExportFile(path, "all", source.settings) as file:
            assert file.add(source, ["chat"], ignore).outcomes == {MoveOutcome.MOVED: 1}
            file.publish(level)
        assert b"secret" not in path.read_bytes()
        target = store_of(other)
        target.settings = Settings.check()
        with exports.open_export(path, target.settings) as opened:
            assert migrate(opened, target).outcomes == {MoveOutcome.MOVED: 1}
        assert other.list(at("chat")) == saver.list(at("chat"))


def test_a_file_of_encrypted_threads_opens_in_every_store_with_the_keys(store, path):
    keys = EncryptedSerializer({"k": b"1" * 32})
    saver = store.open(serializer=keys)
    saver.put_writes(grow(saver, "chat"), [("t", "c", "secret")], "")
    export(saver, path)
    assert b"secret" not in path.read_bytes()
    with in_memory(serializer=keys) as other:
        assert load(path, other).outcomes == {MoveOutcome.MOVED: 1}
        assert other.list(at("chat")) == saver.list(at("chat"))
    with SqliteSaver(path, serializer=keys) as opened:
        assert opened.list(at("chat")) == saver.list(at("chat"))
    saver.delete_thread("chat")
    assert load(path, saver).outcomes == {MoveOutcome.MOVED: 1}
    assert saver.get_tuple(at("chat")).pending_writes == [("t", "c", "secret")]


def small_file(path, level=None):
    """A file of two threads, and what they hold."""
    with in_memory() as saver:
        config = grow(saver, "chat", steps=2)
        saver.put_writes(config, [("t", "c", 1), ("t", "d", 2)], "")
        saver.put(at("other", ttl=1000), state("c0"), {})
        export(saver, path, level=level)
        return {thread: snapshot(saver, thread) for thread in ("chat", "other")}


def refused(path, match="is refused: "):
    """Check that a file is refused, and nothing of it stored."""
    with in_memory() as saver:
        with pytest.raises(CorruptCheckpointError, match=match):
            load(path, saver)
        assert thread_ids(saver) == []


def imported(path):
    """The content that a store has from a file, by thread; None if the file is refused."""
    with in_memory() as saver:
        try:
            assert load(path, saver).outcomes == {MoveOutcome.MOVED: 2}
        except CorruptCheckpointError:
            assert thread_ids(saver) == []
            return None
        assert {each.thread_id: each.ttl is not None for each in saver.list_threads()} == {"chat": False, "other": True}
        return {thread: snapshot(saver, thread) for thread in thread_ids(saver)}


def flips(whole, count):
    """Positions all over a file: mostly where it is not empty, and all of its header."""
    chance = random.Random(5)
    used = [number for number, byte in enumerate(whole) if byte]
    return [*range(100), *chance.sample(used, min(count, len(used))), *chance.sample(range(len(whole)), 50)]


@pytest.mark.parametrize("level", LEVELS)
def test_a_flipped_bit_is_an_error_or_changes_nothing(path, level):
    content = small_file(path, level)
    whole = path.read_bytes()
    chance = random.Random(7)
    errors = 0
    for position in flips(whole, 400):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        found = imported(path)
        assert found in (None, content), position
        errors += found is None
    assert errors > 200


@pytest.mark.parametrize("level", LEVELS)
def test_a_file_that_is_cut_off_is_refused(path, level):
    small_file(path, level)
    whole = path.read_bytes()
    chance = random.Random(6)
    for length in {0, 1, 4, 16, 100, len(whole) - 5, *(chance.randrange(len(whole) - 4) for _ in range(100))}:
        path.write_bytes(whole[:length])
        refused(path)


def test_pages_that_are_swapped_are_found(path):
    content = small_file(path)
    whole = path.read_bytes()
    pages = [whole[start : start + 4096] for start in range(0, len(whole), 4096)]
    for number in range(1, len(pages)):
        swapped = pages.copy()
        swapped[number - 1 : number + 1] = reversed(swapped[number - 1 : number + 1])
        path.write_bytes(b"".join(swapped))
        assert imported(path) in (None, content)


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM zerograph_redis_threads WHERE thread = 'other'",
        "UPDATE zerograph_redis_threads SET thread = 'else' WHERE thread = 'other'",
        "UPDATE zerograph_redis_threads SET last_order = 1",
        "UPDATE zerograph_redis_threads SET ttl = ttl + 1 WHERE ttl",
        "UPDATE zerograph_redis_threads SET updated = updated - 1",
        "UPDATE zerograph_redis_threads SET origin = NULL",
        "UPDATE zerograph_redis_export SET digest = NULL",
        "UPDATE zerograph_redis_format SET version = 7",
        "DELETE FROM zerograph_redis_checkpoints WHERE id = 'c0'",
        "DELETE FROM zerograph_redis_writes WHERE identity LIKE '%d'",
        "DELETE FROM zerograph_redis_logs",
        "UPDATE zerograph_redis_writes SET number = number + 10 WHERE identity LIKE '%c'",
        "UPDATE zerograph_redis_checkpoints SET record = zeroblob(10)",
        "UPDATE zerograph_redis_logs SET data = zeroblob(LENGTH(data))",
        "DROP TABLE zerograph_redis_export",
        "DROP TABLE zerograph_redis_logs",
    ],
)
def test_a_file_that_was_changed_after_its_export_is_refused(path, change):
    small_file(path)
    change_file(path, change)
    refused(path)


def change_file(path, *statements):
    with closing(sqlite3.connect(path)) as connection:
        for each in statements:
            connection.execute(each)
        connection.commit()


def test_other_files_are_refused_and_left_as_they_are(path):
    path.write_bytes(b"no file of threads " * 100)
    refused(path, "is neither a SQLite database nor a compressed one")
    path.write_bytes(b"SQLite format 3\0" * 100)
    refused(path)
    path.unlink()
    change_file(path, "CREATE TABLE t (c)")
    before = path.read_bytes()
    refused(path, "without our tables")
    change_file(path, "CREATE TABLE checkpoints (c)", "CREATE TABLE pending_writes (c)")
    refused(path, "ZeroGraph's own SqliteSaver; `migrate zerograph:///")
    path.write_bytes(before)
    with SqliteSaver(path) as saver:
        fill(saver, 1)
    refused(path, "is a store, not an export; `migrate sqlite:///")


def test_an_unfinished_file_is_refused(saver, path, part):
    fill(saver, 1)
    with ExportFile(path, "all", Settings.check()) as file:
        file.add(store_of(saver), ["thread"], ignore)
    refused(part, "unfinished")


def test_a_file_that_decompresses_to_more_than_the_bound_is_refused(path, monkeypatch):
    monkeypatch.setattr(exports, "MOST_BYTES", 3 << 20)
    monkeypatch.setattr(exports, "MOST_TIMES", 10)
    path.write_bytes(zstandard.ZstdCompressor().compress(bytes(20 << 20)))
    assert path.stat().st_size < 10_000
    refused(path, "it decompresses to more than")


def test_a_damaged_thread_is_left_out_of_a_file_and_reported(store, saver, path):
    grow(saver, "good")
    grow(saver, "bad")
    damage(store, "bad")
    report = export(saver, path)
    assert report.outcomes == {MoveOutcome.MOVED: 1, MoveOutcome.DAMAGED: 1}
    assert "thread 'bad'" in report.problems[0].message
    with in_memory() as other:
        load(path, other)
        assert thread_ids(other) == ["good"]


def damage(store, thread):
    """Overwrite some of the log of a thread."""
    if store.kind == "sqlite":
        damage_log(store.path, thread)
    else:
        store.client().setrange(f"{store.prefix}:{{{thread}}}:log:0", 100, "\0" * 50)


def damage_log(path, thread):
    change_file(
        path,
        "UPDATE zerograph_redis_logs SET data = zeroblob(LENGTH(data)) WHERE thread = "
        f"(SELECT number FROM zerograph_redis_threads WHERE thread = '{thread}')",
    )


class InterruptedExportError(Exception):
    """An export ends early."""


def interrupt(saver, path, after, threads=None):
    """Begin an export, and end it after some threads."""
    left = [after]

    def written():
        left[0] -= 1
        if not left[0]:
            raise InterruptedExportError

    with pytest.raises(InterruptedExportError):
        export(saver, path, threads, written=written)
    assert not path.exists()


@pytest.mark.parametrize("after", [1, 5, 11, 12])
@pytest.mark.parametrize("level", LEVELS)
def test_an_export_continues_an_unfinished_file(path, part, other, after, level):
    with in_memory() as saver:
        for number in range(12):
            grow(saver, f"thread {number}", steps=2 + number % 4)
        interrupt(saver, path, after)
        assert stat.S_IMODE(part.stat().st_mode) == 0o600
        report = export(saver, path, level=level)
        assert report.outcomes[MoveOutcome.SAME] == after
        assert report.outcomes[MoveOutcome.MOVED] == 12 - after
        assert report.target.threads == 12
        load(path, other)
        assert migrate(saver, other).outcomes == {MoveOutcome.SAME: 12}


def test_a_file_has_the_threads_as_they_are_when_it_is_completed(path, other):
    with in_memory() as saver:
        for thread in ("same", "changed", "deleted"):
            grow(saver, thread)
        interrupt(saver, path, 3)
        grow(saver, "changed", start=5)
        saver.delete_thread("deleted")
        grow(saver, "new")
        report = export(saver, path, ["same", "changed", "deleted", "new"])
        assert report.outcomes == dict.fromkeys(
            (MoveOutcome.SAME, MoveOutcome.UPDATED, MoveOutcome.MISSING, MoveOutcome.MOVED), 1
        )
        load(path, other)
        assert migrate(saver, other).outcomes == {MoveOutcome.SAME: 3}
        assert sorted(thread_ids(other)) == ["changed", "new", "same"]


@pytest.mark.parametrize("change", ["damage", "put"])
def test_a_thread_that_was_damaged_or_changed_in_an_unfinished_file_is_written_again(path, part, other, change):
    with in_memory() as saver:
        for number in range(3):
            grow(saver, f"thread {number}")
        interrupt(saver, path, 3)
        if change == "damage":
            damage_log(part, "thread 1")
        else:
            with SqliteSaver(part) as opened:
                opened.put(at("thread 1"), state("mine"), {})
                opened.put(at("mine"), state("mine"), {})
        report = export(saver, path)
        assert report.outcomes == {MoveOutcome.SAME: 2, MoveOutcome.MOVED: 1}
        load(path, other)
        assert migrate(saver, other).outcomes == {MoveOutcome.SAME: 3}
        assert len(thread_ids(other)) == 3


def test_a_damaged_unfinished_file_is_refused(path, part):
    with in_memory() as saver:
        fill(saver, 5)
        interrupt(saver, path, 1)
        whole = part.read_bytes()
        part.write_bytes(whole[:-5000])
        with pytest.raises(ConflictError, match=r"is damaged, or not an unfinished export: remove it"):
            export(saver, path)
        part.unlink()
        assert export(saver, path).equal


def test_an_unfinished_file_of_other_threads_is_refused_and_left_alone(path, part):
    with ExportFile(path, "these", Settings.check()):
        pass
    before = part.read_bytes()
    with pytest.raises(ConflictError, match="unfinished export of other threads"):
        ExportFile(path, "those", Settings.check())
    assert part.read_bytes() == before
    part.write_bytes(b"a text of the user " * 10)
    with pytest.raises(ConflictError, match="not an unfinished export"):
        ExportFile(path, "those", Settings.check())
    assert part.read_bytes() == b"a text of the user " * 10


def test_an_existing_file_is_never_overwritten(path):
    path.write_bytes(b"mine")
    with pytest.raises(ConflictError, match="exists already"):
        ExportFile(path, "all", Settings.check())
    path.unlink()
    with ExportFile(path, "all", Settings.check()) as file:
        path.write_bytes(b"mine")
        with pytest.raises(ConflictError, match="exists already"):
            file.publish()
    assert path.read_bytes() == b"mine"


def test_one_process_at_a_time_writes_a_file(path, part):
    with (
        ExportFile(path, "all", Settings.check()),
        pytest.raises(ConflictError, match="another process is writing"),
    ):
        ExportFile(path, "all", Settings.check())


def test_a_file_that_the_disk_does_not_read_back_gets_no_name(path, monkeypatch):
    digests = iter([b"one", b"another"])
    monkeypatch.setattr(exports, "_digest_rows", lambda _: next(digests))
    with in_memory() as saver:
        fill(saver, 2)
        with pytest.raises(CorruptCheckpointError):
            export(saver, path)
    assert not path.exists()


def test_a_compressed_file_that_the_disk_does_not_read_back_gets_no_name(path, monkeypatch):
    monkeypatch.setattr(exports, "_decompress", lambda _: iter([b"SQLite", b"something else"]))
    with in_memory() as saver:
        fill(saver, 2)
        with pytest.raises(CorruptCheckpointError, match="not read back as it was written"):
            export(saver, path, level=3)
    assert not path.exists()


def test_a_thread_that_is_too_large_for_memory_is_kept_on_disk(path, other, monkeypatch):
    monkeypatch.setattr("zerograph_redis.tools.transfer.image.IN_MEMORY", 1000)
    with in_memory() as saver:
        grow(saver, "chat", steps=30)
        with image_of(saver, "chat") as image:
            assert all(file._rolled for file in (image._file, *image._logs.values()))
        assert export(saver, path).outcomes == {MoveOutcome.MOVED: 1}
        load(path, other)
        assert other.list(at("chat"), limit=None) == saver.list(at("chat"), limit=None)


def test_a_log_that_is_longer_than_a_string_in_redis_is_refused_before_it_is_sent():
    page = Page([], [LogRange("0" * 15 + "1", 512 * 1024 * 1024 - 1, b"xx")], "", "0" * 15 + "1", None)
    with pytest.raises(SerializationError, match=r"'large' cannot be stored in Redis: .* prune it first"):
        BINDINGS[StageThread].commands(StageThread("large", "token", 0, page), Keyspace("p"))


def test_an_unfinished_file_that_is_open_elsewhere_is_completed_later(path, part, other, monkeypatch):
    monkeypatch.setattr("zerograph_redis.tools.transfer.files.BUSY_TIMEOUT", 0.05)
    with in_memory() as saver:
        fill(saver, 2)
        interrupt(saver, path, 1)
        with closing(sqlite3.connect(part)) as reader:
            reader.execute("SELECT COUNT(*) FROM zerograph_redis_threads").fetchone()
            with pytest.raises(ConflictError, match=r"another process has .* open: close it"):
                export(saver, path)
        assert export(saver, path).outcomes == {MoveOutcome.SAME: 1}
        load(path, other)
        assert migrate(saver, other).outcomes == {MoveOutcome.SAME: 1}
