"""Damaged or hostile segments of a log are errors, in bounded memory; a state of very many segments is read."""

import fakeredis
import pytest
import zstandard

from zerograph_redis import CorruptCheckpointError, RedisSaver
from zerograph_redis.state_log.codec import PlainCodec
from zerograph_redis.state_log.segments import Segment

THREAD = {"configurable": {"thread_id": "t"}}
LOG = "zerograph:{t}:log:0"


def compressed(size, *, whole=None, length=None):
    data = zstandard.ZstdCompressor().compress(bytes(size))
    return data, Segment(0, length or size, stored=len(data), skip=0, whole=whole or size)


def test_a_compressed_block_is_read():
    assert PlainCodec(None).unpack(*compressed(1000)) == bytes(1000)


@pytest.mark.parametrize(
    ("data", "segment"),
    [
        compressed(50_000_000, whole=1000, length=1000),  # a bomb: it unpacks to more than its record names
        compressed(1000, whole=2**40, length=1000),
        compressed(1000, length=1001),
        (b"no frame at all", Segment(0, 10, stored=15, skip=0, whole=10)),
        (compressed(1000)[0][:-4], compressed(1000)[1]),
    ],
    ids=["bomb", "too large", "too long", "no frame", "cut off"],
)
def test_a_damaged_compressed_block_is_an_error(data, segment):
    with pytest.raises(ValueError, match=r"."):
        PlainCodec(None).unpack(data, segment)


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_a_flipped_byte_of_a_log_is_an_error_at_every_position(compression):
    client = fakeredis.FakeRedis()
    RedisSaver(client, compression=compression).put(
        THREAD, {"id": "c", "channel_values": {"text": "some words " * 60}}, {}
    )
    log = client.get(LOG)
    for place in range(0, len(log), 7):
        client.set(LOG, log[:place] + bytes([log[place] ^ 1]) + log[place + 1 :])
        with pytest.raises(CorruptCheckpointError, match="'c' of thread 't'"):
            RedisSaver(client).get(THREAD)
    client.set(LOG, log[:-1])
    with pytest.raises(CorruptCheckpointError, match="'c' of thread 't'"):
        RedisSaver(client).get(THREAD)
    client.delete(LOG)
    with pytest.raises(CorruptCheckpointError, match="'t'"):
        RedisSaver(client).get(THREAD)


def test_another_worker_reads_a_state_of_more_than_a_thousand_segments():
    client = fakeredis.FakeRedis()
    saver = RedisSaver(client)
    lists = {f"list{number}": [f"{number}:{item} " * 12 for item in range(400)] for number in range(24)}
    for step in range(48):
        for number, items in enumerate(lists.values()):
            items[(step * 37 + number) % 400] = f"{step}:{number} " * 12
        saver.put(THREAD, {"id": f"c{step}", "channel_values": lists}, {})
    known = saver.store.operations._states.known.of("t").base("")
    assert sum(len(segments.each) for segments in known.segments) > 2000
    assert RedisSaver(client).get(THREAD)["channel_values"] == lists


def test_an_order_that_is_not_that_of_the_index_is_an_error_and_no_endless_list():
    client = fakeredis.FakeRedis()
    saver = RedisSaver(client)
    for number in range(3):
        saver.put(THREAD, {"id": f"c{number}", "channel_values": {}}, {})
    field = b"\x1fc1"
    record = client.hget("zerograph:{t}:checkpoints", field)
    client.hset("zerograph:{t}:checkpoints", field, record[:1] + b"7" + record[2:])
    with pytest.raises(CorruptCheckpointError, match="'c1' of thread 't'"):
        saver.list(THREAD, limit=None)


@pytest.mark.parametrize("reads", ["what it stored", "what it read"])
def test_the_record_of_another_checkpoint_is_an_error_to_a_worker_that_knows_it(reads):
    client = fakeredis.FakeRedis()
    saver = RedisSaver(client)
    for number in range(2):
        saver.put(THREAD, {"id": f"c{number}", "channel_values": {"text": "x" * 1000}}, {})
    worker = saver if reads == "what it stored" else RedisSaver(client)
    assert worker.get(THREAD)["id"] == "c1"
    client.hset("zerograph:{t}:checkpoints", b"\x1fc0", client.hget("zerograph:{t}:checkpoints", b"\x1fc1"))
    with pytest.raises(CorruptCheckpointError, match="'c0' of thread 't'"):
        worker.get({"configurable": {"thread_id": "t", "checkpoint_id": "c0"}})
    assert worker.get(THREAD)["id"] == "c1"
