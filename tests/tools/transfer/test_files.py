"""Threads into one file and out of it."""

import os
import random
import struct
import subprocess
from contextlib import closing

import pytest
from support.data import at, fill, state, thread_ids, thread_info
from support.moves import end_of, export, fill_all, grow, load, migrate, snapshot
from support.stores import make_store

from zerograph_redis import (
    ConflictError,
    CorruptCheckpointError,
    EncryptedSerializer,
    InMemorySaver,
    SerializationError,
)
from zerograph_redis.backends.redis.bindings import BINDINGS
from zerograph_redis.backends.redis.keys import Keyspace
from zerograph_redis.core.requests import LogRange, Page, StageThread
from zerograph_redis.tools.transfer import archive, blocks
from zerograph_redis.tools.transfer.archive import ArchiveWriter
from zerograph_redis.tools.transfer.blocks import read_block, write_block
from zerograph_redis.tools.transfer.frames import pack
from zerograph_redis.tools.transfer.outcomes import Outcome


@pytest.fixture
def path(tmp_path):
    return tmp_path / "threads.zgt"


@pytest.fixture(params=["redis-sync", "sqlite-sync"])
def store(request):
    made = make_store(request.param, request)
    yield made
    made.close()


@pytest.fixture
def saver(store):
    return store.open()


@pytest.fixture
def other():
    with InMemorySaver(max_per_thread=None) as made:
        yield made


def test_everything_comes_back_from_a_file(saver, path, other):
    threads = fill_all(saver)
    written = export(saver, path)
    assert written.outcomes == {Outcome.MOVED: len(threads)}
    assert not path.with_name(path.name + ".part").exists()
    loaded = load(path, other)
    assert loaded.outcomes == {Outcome.MOVED: len(threads)}
    assert loaded.source == loaded.target == written.target
    for thread in threads:
        assert snapshot(other, thread) == snapshot(saver, thread)
    again = load(path, other)
    assert again.outcomes == {Outcome.SAME: len(threads)}
    assert again.target == loaded.target


def test_a_file_of_no_threads_is_whole(saver, path, other):
    assert not export(saver, path).outcomes
    assert not load(path, other).outcomes


def test_a_file_is_one_that_zstd_takes(saver, path):
    zstandard = pytest.importorskip("zstandard")
    fill(saver, 3, "thread of a file")
    export(saver, path)
    with path.open("rb") as file:
        content = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()
    assert b"thread of a file" in content


def test_what_is_left_of_a_ttl_comes_back_from_a_file(saver, path, other):
    saver.put(at(ttl=10_000), state("c0"), {})
    saver.put(at("for ever"), state("c0"), {})
    export(saver, path)
    load(path, other)
    assert 9_000 < thread_info(other).ttl <= 10_000
    assert thread_info(other, "for ever").ttl is None


def test_what_the_store_has_is_left_alone(saver, path, other):
    fill(saver, 3, "same")
    fill(saver, 3, "continued")
    fill(saver, 3, "another")
    export(saver, path)
    fill(other, 2, "another", start=7)
    load(path, other)
    fill(other, 2, "continued", start=3)
    before = [snapshot(other, thread) for thread in ("same", "continued", "another")]
    report = load(path, other)
    assert report.outcomes == {Outcome.SAME: 1, Outcome.CONTINUED: 1, Outcome.CONFLICT: 1}
    assert [snapshot(other, thread) for thread in ("same", "continued", "another")] == before


def test_encrypted_threads_go_through_a_file_without_keys(store, path):
    keys = EncryptedSerializer({"k": b"1" * 32}, store="the first")
    saver = store.open(serializer=keys)
    config = grow(saver, "chat")
    saver.put_writes(config, [("t", "c", "secret")], "")
    with InMemorySaver(max_per_thread=None, serializer=keys) as other:
        place = end_of(store.open())
        with ArchiveWriter(path, "all") as writer:
            for thread in place.threads(""):
                with place.read(thread) as image:
                    writer.add(image)
            writer.finish()
            writer.publish()
        assert b"secret" not in path.read_bytes()
        assert load(path, other).outcomes == {Outcome.MOVED: 1}
        assert other.list(at("chat")) == saver.list(at("chat"))


def test_a_file_of_encrypted_threads_fits_every_store_whose_keys_open_it(store, path):
    keys = EncryptedSerializer({"k": b"1" * 32})
    saver = store.open(serializer=keys)
    saver.put_writes(grow(saver, "chat"), [("t", "c", "secret")], "")
    export(saver, path)
    with InMemorySaver(max_per_thread=None, serializer=keys) as other:
        assert load(path, other).outcomes == {Outcome.MOVED: 1}
        assert other.list(at("chat")) == saver.list(at("chat"))
    saver.delete_thread("chat")
    assert load(path, saver).outcomes == {Outcome.MOVED: 1}
    assert saver.get_tuple(at("chat")).pending_writes == [("t", "c", "secret")]


def small_file(path):
    with InMemorySaver(max_per_thread=None) as saver:
        config = grow(saver, "chat", steps=2)
        saver.put_writes(config, [("t", "c", 1)], "")
        fill(saver, 1, "other")
        export(saver, path)


def refused(path):
    """Whether a file is refused, and nothing of it stored."""
    with InMemorySaver() as saver:
        with pytest.raises(CorruptCheckpointError, match="is refused: "):
            load(path, saver)
        assert thread_ids(saver) == []


def test_every_flipped_byte_is_found(path):
    small_file(path)
    whole = path.read_bytes()
    chance = random.Random(5)
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        refused(path)


def test_every_truncation_is_found(path):
    small_file(path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        refused(path)


def test_more_behind_the_end_is_found(path):
    small_file(path)
    whole = path.read_bytes()
    for more in (b"\0", whole, whole[-200:]):
        path.write_bytes(whole + more)
        refused(path)


def blocks_of(path):
    found = []
    with path.open("rb") as file:
        start, digest = 0, b""
        while (block := read_block(file, digest)) is not None:
            found.append((start, block))
            start, digest = block.end, block.digest
    return found


def test_blocks_that_are_missing_doubled_or_swapped_are_found(path, monkeypatch):
    monkeypatch.setattr(archive, "BLOCK", 1)
    small_file(path)
    whole = path.read_bytes()
    parts = [whole[start : block.end] for start, block in blocks_of(path)]
    assert len(parts) > 4
    for number in range(len(parts)):
        path.write_bytes(b"".join(parts[:number] + parts[number + 1 :]))
        refused(path)
        path.write_bytes(b"".join([*parts[: number + 1], *parts[number:]]))
        refused(path)
        if number:
            parts_swapped = parts.copy()
            parts_swapped[number - 1 : number + 1] = reversed(parts_swapped[number - 1 : number + 1])
            path.write_bytes(b"".join(parts_swapped))
            refused(path)


def forge(path, *contents):
    """Write a file whose checksums are right."""
    digest = b""
    with path.open("wb") as file:
        for content in contents:
            digest = write_block(file, content, digest, 3)


BEGIN = pack("begin", {"selection": ""})
END = pack("end", 0, 0, 0, 0)
THREAD = ("thread", "t", 1, 1, None, None, "0" * 16)
RECORD = b"1" + b"0" * 16 + b"0" * 16 + b"-" + b"0" * 20 + b"\x1f" + b"x" * 30


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(END, id="no begin"),
        pytest.param(BEGIN + pack("end", 1, 0, 0, 0), id="fewer threads than counted"),
        pytest.param(BEGIN + pack(*THREAD) + END, id="a thread that does not end"),
        pytest.param(BEGIN + pack(*THREAD) + pack("whole", 1, 0, 0) + pack("end", 1, 0, 0, 0), id="too few checkpoints"),
        pytest.param(BEGIN + pack("thread", "", 1, 1, None, None, "0" * 16), id="a thread without an id"),
        pytest.param(BEGIN + pack("thread", b"t", 1, 1, None, None, "0" * 16), id="an id of bytes"),
        pytest.param(BEGIN + pack("thread", "t", 1, 1, -5, None, "0" * 16), id="a negative ttl"),
        pytest.param(BEGIN + pack("thread", "t", 1, 1, None, None, "zz"), id="no generation"),
        pytest.param(BEGIN + pack(*THREAD) + pack("checkpoints", [["", "c", b"short"]]), id="a short record"),
        pytest.param(BEGIN + pack(*THREAD) + pack("checkpoints", [["", "", RECORD]]), id="a checkpoint without an id"),
        pytest.param(
            BEGIN + pack(*THREAD) + pack("checkpoints", [["", "c", RECORD]]) + pack("whole", 1, 0, 0),
            id="a record whose checksum is wrong",
        ),
        pytest.param(BEGIN + pack(*THREAD) + pack("log", "0" * 15 + "1", 0, b"x"), id="a log that nobody names"),
        pytest.param(BEGIN + pack(*THREAD) + pack("writes", [["", "c", []]]), id="no writes"),
        pytest.param(BEGIN + pack(*THREAD) + pack("writes", [["", "c", [["a\x1fb", b"1"]]]]), id="a separator"),
        pytest.param(BEGIN + pack(*THREAD) + pack("unheard of"), id="an unknown frame"),
        pytest.param(BEGIN + b"\xc1", id="no msgpack"),
        pytest.param(BEGIN + b"\x93\x01", id="half a frame"),
        pytest.param(BEGIN + b"\xdd\xff\xff\xff\xff", id="a frame of billions of members"),
        pytest.param(BEGIN + b"\xc0" * 3, id="frames that are none"),
        pytest.param(BEGIN + b"\x91" * 5000, id="a frame that nests deep"),
        pytest.param(BEGIN + END + END, id="two ends"),
    ],
)  # fmt: skip
def test_what_no_export_wrote_is_refused_although_its_checksums_are_right(path, content):
    forge(path, *([content] if content else []))
    refused(path)


def test_a_thread_that_comes_twice_is_refused(path):
    with InMemorySaver() as saver:
        fill(saver, 1, "twice")
        with end_of(saver).read("twice") as image, ArchiveWriter(path, "all") as writer:
            writer.add(image)
            writer.add(image)
            writer.finish()
            writer.publish()
    refused(path)


def test_a_later_format_is_refused_and_named(path, monkeypatch):
    monkeypatch.setattr(blocks, "VERSION", 2)
    small_file(path)
    monkeypatch.undo()
    with InMemorySaver() as saver, pytest.raises(CorruptCheckpointError, match="its format is 2, and this version"):
        load(path, saver)


def test_a_block_that_unpacks_to_more_than_it_says_is_refused(path):
    zstandard = pytest.importorskip("zstandard")
    frame = zstandard.ZstdCompressor().compress(b"x" * 1_000_000)
    numbers = (1, len(frame), 10)
    digest = blocks._digest(b"", numbers, frame)
    path.write_bytes(struct.pack("<II8sHII32s", 0x184D2A50, 50, b"zgthread", *numbers, digest) + frame)
    refused(path)


def test_another_kind_of_file_is_refused(path):
    path.write_bytes(b"SQLite format 3\0" * 100)
    with InMemorySaver() as saver, pytest.raises(CorruptCheckpointError, match="it is no file of threads"):
        load(path, saver)


def test_a_damaged_thread_is_left_out_of_a_file_and_told(store, saver, path):
    grow(saver, "good")
    grow(saver, "bad")
    damage(store, "bad")
    report = export(saver, path)
    assert report.outcomes == {Outcome.MOVED: 1, Outcome.DAMAGED: 1}
    assert "thread 'bad'" in report.problems[0].said
    with InMemorySaver() as other:
        load(path, other)
        assert thread_ids(other) == ["good"]


def damage(store, thread):
    """Overwrite some of the log of a thread."""
    if store.kind == "sqlite":
        import sqlite3

        with closing(sqlite3.connect(store.path)) as connection:
            connection.execute(
                "UPDATE zerograph_redis_logs SET data = zeroblob(LENGTH(data)) WHERE thread = "
                "(SELECT number FROM zerograph_redis_threads WHERE thread = ?)",
                (thread,),
            )
            connection.commit()
    else:
        store.client().setrange(f"{store.prefix}:{{{thread}}}:log:0", 100, "\0" * 50)


def test_an_export_goes_on_with_a_file_that_was_cut_short(path, other, monkeypatch):
    monkeypatch.setattr(archive, "BLOCK", 2000)
    with InMemorySaver(max_per_thread=None) as saver:
        for number in range(12):
            grow(saver, f"thread {number}", steps=2 + number % 4)
        export(saver, path)
        whole = path.read_bytes()
        part = path.with_name(path.name + ".part")
        kept = set()
        for length in [*range(0, len(whole), 97), len(whole)]:
            path.unlink()
            part.write_bytes(whole[:length])
            report = export(saver, path)
            kept.add(report.outcomes[Outcome.SAME])
            assert report.outcomes[Outcome.SAME] + report.outcomes[Outcome.MOVED] == 12
            assert report.target.threads == 12
        assert {0, 12} < kept
        load(path, other)
        assert migrate(saver, other).outcomes == {Outcome.SAME: 12}


def test_an_unfinished_file_that_was_damaged_is_continued_before_the_damage(path, other, monkeypatch):
    monkeypatch.setattr(archive, "BLOCK", 1)
    with InMemorySaver(max_per_thread=None) as saver:
        for number in range(5):
            grow(saver, f"thread {number}")
        export(saver, path)
        whole = bytearray(path.read_bytes())
        path.unlink()
        whole[len(whole) // 2] ^= 1
        path.with_name(path.name + ".part").write_bytes(whole)
        report = export(saver, path)
        assert 0 < report.outcomes[Outcome.SAME] < 5
        assert load(path, other).target.threads == 5


def test_an_unfinished_file_of_another_selection_is_left_alone(path):
    part = path.with_name(path.name + ".part")
    with ArchiveWriter(path, "these"):
        pass
    before = part.read_bytes()
    with pytest.raises(ConflictError, match="unfinished file of something else"):
        ArchiveWriter(path, "those")
    assert part.read_bytes() == before


def test_a_file_that_is_there_is_never_overwritten(path):
    path.write_bytes(b"mine")
    with pytest.raises(ConflictError, match="is there already"):
        ArchiveWriter(path, "all")
    path.unlink()
    with ArchiveWriter(path, "all") as writer:
        writer.finish()
        path.write_bytes(b"mine")
        with pytest.raises(ConflictError, match="is there already"):
            writer.publish()
    assert path.read_bytes() == b"mine"


def test_one_process_at_a_time_writes_a_file(path):
    with ArchiveWriter(path, "all"), pytest.raises(ConflictError, match="being written by another process"):
        ArchiveWriter(path, "all")


def test_what_the_disk_does_not_give_back_is_no_file(path, monkeypatch):
    def spoil(self):
        finish(self)
        with self.part.open("r+b") as file:
            file.seek(-60, os.SEEK_END)
            file.write(b"spoilt")

    finish = ArchiveWriter.finish
    monkeypatch.setattr(ArchiveWriter, "finish", spoil)
    with InMemorySaver() as saver:
        fill(saver, 2)
        with pytest.raises(CorruptCheckpointError):
            export(saver, path)
    assert not path.exists()


def test_a_thread_larger_than_memory_should_hold_is_on_disk(path, other, monkeypatch):
    monkeypatch.setattr("zerograph_redis.tools.transfer.image.IN_MEMORY", 1000)
    with InMemorySaver(max_per_thread=None) as saver:
        grow(saver, "chat", steps=30)
        with end_of(saver).read("chat") as image:
            assert image._file._rolled
        assert export(saver, path).outcomes == {Outcome.MOVED: 1}
        load(path, other)
        assert other.list(at("chat"), limit=None) == saver.list(at("chat"), limit=None)


def test_a_log_that_is_longer_than_a_string_in_redis_is_refused_before_it_is_sent():
    page = Page([], [LogRange("0" * 15 + "1", 512 * 1024 * 1024 - 1, b"xx")], "", "0" * 15 + "1", None)
    with pytest.raises(SerializationError, match=r"'large' cannot be stored in Redis: .* prune it first"):
        BINDINGS[StageThread].commands(StageThread("large", "token", 0, page), Keyspace("p"))


def test_the_zstd_of_the_system_takes_a_file(path):
    small_file(path)
    try:
        done = subprocess.run(["zstd", "-dc", str(path)], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no zstd")
    assert b"chat" in done.stdout
