"""Stored bytes do not decide how much work is done: their counts are checked against what is stored, and an option."""

from __future__ import annotations

import re

import fakeredis
import msgpack
import pytest
import zstandard
from support.data import at, fill, state, thread_ids
from support.facts import change_facts
from support.servers import RedisServer

from zerograph_redis import CorruptCheckpointError, RedisSaver, SerializationError, SqliteSaver
from zerograph_redis.core.drive import run
from zerograph_redis.serde import MsgpackSerializer, codes
from zerograph_redis.state_log.codec import PlainCodec
from zerograph_redis.state_log.draft import read_parts
from zerograph_redis.state_log.segments import Segment, decode_segments, encode_segments
from zerograph_redis.tools.inspect.watching import Watch

US = b"\x1f"
WRITES = "zerograph:{thread}:writes"


@pytest.fixture
def client(redis_server: RedisServer):
    found = redis_server.client()
    yield found
    found.flushall()
    found.close()


def commands(client) -> int:
    """How many commands the server has run, but for INFO."""
    return sum(each["calls"] for name, each in client.info("commandstats").items() if name != "cmdstat_info")


@pytest.mark.parametrize(
    "identities", [US, US * 300_001, b"\x1fa" * 300_000 + US, None], ids=["none", "empty", "many", "one"]
)
@pytest.mark.parametrize("count", [300_000, 3_000_000, 10**30])
def test_a_list_that_claims_millions_of_writes_keeps_no_server_busy(client, count, identities):
    saver = RedisSaver(client)
    fill(saver, 2)
    saver.put_writes(at(id="c1"), [("t", "channel", 1)], "t")
    sound = client.hget(WRITES, US + b"c1").partition(US)[2]
    client.hset(WRITES, US + b"c1", b"1:%d:20%b" % (count, US + sound if identities is None else identities))
    calls = {
        "get_tuple": lambda: saver.get_tuple(at()),
        "list": lambda: saver.list(at()),
        "get_pending_writes": lambda: saver.get_pending_writes(at(id="c1")),
        "put_writes": lambda: saver.put_writes(at(id="c1"), [("t", "other", 1)], "t"),
        "copy_thread": lambda: saver.copy_thread("thread", "copy"),
    }
    for name, call in calls.items():
        before = commands(client)
        with pytest.raises(CorruptCheckpointError, match="'thread'"):
            call()
        assert commands(client) - before < 60, name
    before = commands(client)
    assert saver.prune("thread", 0) == 2
    assert commands(client) - before < 80
    assert thread_ids(saver) == []


@pytest.mark.parametrize(
    "text",
    [
        *("0:-1", "-0:5", "--1:5", "-01:5", "1_0:5", "0:1_0", "+-5:1", "0:+5", " 0:5", "0:5 "),
        *("٣:5", "0:٣", "0:0", "00:5", "0:05", "0"),
        *("0:1:2", "0:1:2:3", "0:1:0:0:9", "0:0:0:1:9", "0:1:5:5:9", "0:1:0:1:1:1", "0:1,", ",0:1", "0:1,,0:1"),
        *("0:" + "9" * 13, "9" * 5000 + ":1"),
    ],
)
def test_text_that_no_put_encodes_is_no_segment(text):
    with pytest.raises(ValueError, match="segment"):
        decode_segments(text)


def test_decoded_segments_encode_to_the_same_text():
    segments = [Segment(0, 5), Segment(10**11, 1, fresh=True), Segment(7, 2, stored=9, skip=3, whole=5)]
    assert decode_segments(encode_segments(segments)) == segments
    assert decode_segments("") == []


class Log:
    """Bytes of one log."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads = 0

    def read(self, generation: str, start: int, length: int) -> bytes | None:
        self.reads += 1
        return self.data[start : start + length] if start + length <= len(self.data) else None

    def matches(self, generation: str, start: int, data: memoryview) -> bool:
        return False


def test_blocks_that_unpack_to_too_much_are_refused_before_any_is_unpacked():
    block = zstandard.ZstdCompressor().compress(bytes(1 << 20))
    log = Log(block * 100)
    blocks = [Segment(number * len(block), 1, stored=len(block), skip=0, whole=1 << 20) for number in range(100)]
    with pytest.raises(ValueError, match="max_state_bytes"):
        read_parts([blocks[:50], blocks[50:]], log, "g", PlainCodec(None), 60 << 20)
    assert log.reads == 0
    assert read_parts([blocks], log, "g", PlainCodec(None), 100 << 20) == [bytes(100)]
    with pytest.raises(ValueError, match="max_state_bytes"):
        read_parts([[Segment(0, 20)]], log, "g", PlainCodec(None), 10)


def test_a_block_of_many_segments_is_unpacked_once(monkeypatch):
    block = zstandard.ZstdCompressor().compress(bytes(range(256)) * 100)
    log = Log(block)
    coding = PlainCodec(None)
    unpacked = []
    unpack = coding.unpack
    monkeypatch.setattr(coding, "unpack", lambda data, segment: (unpacked.append(segment), unpack(data, segment))[1])
    segments = [[Segment(0, 2, stored=len(block), skip=skip, whole=25_600)] for skip in range(100)]
    assert read_parts(segments, log, "g", coding, 30_000) == [bytes((skip, skip + 1)) for skip in range(100)]
    assert len(unpacked) == 1


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_a_state_has_at_most_the_bytes_that_a_setting_allows(tmp_path, compression):
    small = SqliteSaver(tmp_path / "store.db", max_state_bytes=10_000, compression=compression)
    with pytest.raises(SerializationError, match="max_state_bytes=10,000"):
        small.put(at(), state("c", text="x" * 10_000), {})
    small.put(at(), state("small", text="x" * 9_000), {})
    with SqliteSaver(tmp_path / "store.db", compression=compression) as large:
        large.put(at(), state("large", text="x" * 10_000), {})
    with pytest.raises(CorruptCheckpointError, match=r"'large'.*max_state_bytes"):
        small.get(at())
    assert small.get(at(id="small"))["id"] == "small"
    small.close()


HOSTILE_PATTERNS = {
    "wide": [("[\x80-\uffff]" * count, 0) for count in range(1, 9)],
    "wide in escapes": [(r"[\x80-\uffff]" * count, 0) for count in range(1, 9)],
    "astral, in any case": [("[\x00-\U0010ffff]" * count, re.IGNORECASE) for count in range(1, 6)],
    "in any case by a mark": [("(?i:[a-z0-9])" * count, 0) for count in range(1, 28)],
    "long": [("a" * (10_000 + count), 0) for count in range(20)],
    "many": [(f"a{count}", 0) for count in range(5_000)],
    "nested": [("(a|b" * count + ")" * count, 0) for count in range(1, 80)],
}


@pytest.mark.parametrize("name", HOSTILE_PATTERNS)
def test_regular_expressions_that_take_long_to_compile_are_refused_by_both_sides(name, monkeypatch):
    compiled = []
    made = re.compile
    monkeypatch.setattr(re, "compile", lambda pattern, flags=0: (compiled.append(pattern), made(pattern, flags))[1])
    packed = msgpack.packb(
        [msgpack.ExtType(codes.PATTERN, msgpack.packb(pattern)) for pattern in HOSTILE_PATTERNS[name]]
    )
    with pytest.raises(CorruptCheckpointError):
        MsgpackSerializer().unpack(packed)
    assert len(compiled) < len(HOSTILE_PATTERNS[name])
    patterns = [made(*each) for each in HOSTILE_PATTERNS[name]]
    with pytest.raises(SerializationError, match="compile"):
        MsgpackSerializer().pack(patterns)
    # A state is packed in parts, and unpacked as one value.
    saver = RedisSaver(fakeredis.FakeRedis())
    with pytest.raises(SerializationError, match="compile"):
        saver.put(at(), state("c", **{f"part{number}": [each] * 2 for number, each in enumerate(patterns)}), {})


def test_ordinary_regular_expressions_are_stored():
    texts = (
        r"^[\w.+-]+@[\w-]+\.[a-z]{2,}$",
        "[\u0430-\u044f]+",
        "[\\u4e00-\\u9fff]",
        r"(\d{4})-(\d\d)-(\d\d)",
        "a|b|c",
    )
    patterns = [re.compile(text, re.IGNORECASE) for text in texts] * 4
    assert MsgpackSerializer().unpack(MsgpackSerializer().pack(patterns)) == patterns


@pytest.mark.parametrize(
    "members",
    [
        [b"\xff%d" % number for number in range(300)],
        [b"odd %d" % number for number in range(300)],
        [b"%zz", b"%41", b""],
    ],
    ids=["no text", "no thread", "escaped otherwise"],
)
@pytest.mark.parametrize("score", [5.5, "inf", "-inf"])
def test_an_index_entry_that_is_no_thread_hides_no_thread(client, members, score):
    saver = RedisSaver(client)
    for name in ("a", "b", "c"):
        fill(saver, 1, thread=name)
    client.zadd("zerograph:threads", dict.fromkeys(members, score))
    client.zadd("zerograph:threads", {b"\xfe": client.zscore("zerograph:threads", "b")})
    assert thread_ids(saver, limit=None) == ["c", "b", "a"]
    assert thread_ids(saver, limit=2) == ["c", "b"]
    assert thread_ids(saver, before="b") == ["a"]
    assert saver.get_by_id("nowhere") is None


def test_a_damaged_thread_is_skipped_and_logged(client, caplog):
    saver = RedisSaver(client)
    for name in ("a", "b", "c"):
        fill(saver, 1, thread=name)
    change_facts(client, "zerograph:{b}:thread", created="yesterday")
    assert thread_ids(saver) == ["c", "a"]
    assert [each.thread_id for each in caplog.records if "is skipped" in each.message] == ["b"]
    assert saver.get_by_id("c0").config["configurable"]["thread_id"] == "c"
    with pytest.raises(CorruptCheckpointError, match="'b'"):
        saver.get_by_id("nowhere")
    saver.delete_thread("b")
    assert saver.get_by_id("nowhere") is None


@pytest.mark.parametrize("lease", ["", "never", "1 2 3", "9" * 400 + " 1 a b", "1 " + "9" * 400 + " a b"])
def test_a_damaged_lease_is_broken_or_deleted_with_its_thread(client, lease):
    saver = RedisSaver(client)
    for undo in (lambda: saver.break_lease("thread"), lambda: saver.delete_thread("thread")):
        fill(saver, 1)
        client.hset("zerograph:{thread}:thread", "lease", lease)
        with pytest.raises(CorruptCheckpointError, match="'thread'"):
            saver.put(at(), state("c1"), {})
        undo()
        saver.put(at(), state("c1"), {})


def test_very_many_entries_that_are_no_threads_are_skipped_in_few_requests(client):
    saver = RedisSaver(client)
    for name in ("a", "b", "c"):
        fill(saver, 1, thread=name)
    client.zadd("zerograph:threads", dict.fromkeys([b"\xff%d" % number for number in range(3000)], 2**53))
    before = commands(client)
    assert thread_ids(saver, limit=1) == ["c"]
    assert commands(client) - before < 60


def test_a_thread_that_is_listed_in_the_future_hides_no_changes_of_others(client):
    saver = RedisSaver(client)
    for name in ("a", "b"):
        fill(saver, 1, thread=name)
    client.zadd("zerograph:threads", {"a": 2**53, **{b"\xff%d" % number: 2**52 for number in range(2000)}})
    watch = Watch(saver.store.settings)
    assert run(watch.poll(), saver.store.backend) == []
    saver.put(at("b", id="c0"), state("c1"), {})
    assert [(each.kind, each.thread) for each in run(watch.poll(), saver.store.backend)] == [("checkpoint", "b")]


@pytest.mark.parametrize("score", ["-inf", -1, 0.5, 2**53, "inf"])
def test_a_thread_that_is_listed_at_a_wrong_time_does_not_stop_paging(client, score):
    saver = RedisSaver(client)
    for name in ("a", "b", "c"):
        fill(saver, 1, thread=name)
    client.zadd("zerograph:threads", {"b": score})
    found, before = [], None
    while len(found) < 9 and (page := saver.list_threads(limit=1, before=before)):
        before = page[-1]
        found.append(before.thread_id)
    assert sorted(found) == ["a", "b", "c"]
