"""What is stored encrypted: unreadable without a key, bound to its place, and never passed through if it is not so."""

import re
import secrets

import fakeredis
import pytest

from zerograph_redis import (
    CorruptCheckpointError,
    EncryptedSerializer,
    MsgpackSerializer,
    RedisSaver,
    Registered,
    SerializationError,
)

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
THREAD = {"configurable": {"thread_id": "t"}}
STATE = {"id": "c", "channel_values": {"long": "a secret of many words " * 60, "short": "a secret"}}
CHECKPOINTS, WRITES, LOG = (f"zerograph:{{t}}:{kind}" for kind in ("checkpoints", "writes", "log:0"))


@pytest.fixture
def client():
    return fakeredis.FakeRedis()


def saver_of(client, **keys):
    return RedisSaver(client, serializer=EncryptedSerializer(keys))


def fill(saver):
    stored = saver.put(THREAD, STATE, {"step": 1, "said": "a secret"})
    saver.put_writes(stored, [("task", "channel", "a secret")], "")


def everything(client):
    """Every byte of a server: names, fields and values."""
    found = b""
    for key in client.scan_iter():
        kind = client.type(key)
        read = {b"hash": client.hgetall, b"string": client.get}.get(kind, lambda key: client.zrange(key, 0, -1))
        found += repr((key, read(key))).encode()
    return found


def test_nothing_of_a_state_its_metadata_and_its_writes_is_readable_in_the_store(client):
    fill(RedisSaver(client))
    assert b"secret" in everything(client)
    client.flushall()
    fill(saver_of(client, k=NEW))
    assert b"secret" not in everything(client)
    assert b"said" not in everything(client)


def test_the_same_state_is_never_stored_as_the_same_bytes(client):
    saver = saver_of(client, k=NEW)
    for thread in ("a", "b"):
        saver.put({"configurable": {"thread_id": thread}}, STATE, {})
    assert client.get("zerograph:{a}:log:0") != client.get("zerograph:{b}:log:0")


def test_a_new_key_encrypts_and_the_old_ones_still_open(client):
    fill(saver_of(client, old=OLD))
    rotated = saver_of(client, new=NEW, old=OLD)
    assert rotated.get(THREAD) == STATE
    rotated.put(THREAD, {**STATE, "id": "d"}, {})
    rotated.copy_thread("t", "copy")
    assert rotated.get(THREAD)["channel_values"] == STATE["channel_values"]
    # What is unchanged of the state stays in pieces of the old key; a copy has all in the new one.
    with pytest.raises(SerializationError, match=r"'old'.*'new'"):
        saver_of(client, new=NEW).get(THREAD)
    copy = saver_of(client, new=NEW).list({"configurable": {"thread_id": "copy"}}, limit=None)
    assert [each.checkpoint for each in copy] == [{**STATE, "id": "d"}, STATE]
    assert copy[1].pending_writes == [("task", "channel", "a secret")]


def test_an_unknown_key_is_named_and_nothing_is_read(client):
    fill(saver_of(client, old=OLD))
    saver = saver_of(client, new=NEW)
    for read in (saver.get, saver.list, lambda _: saver.get_by_id("c", "t")):
        with pytest.raises(SerializationError, match=r"'c' of thread 't'.*key 'old'"):
            read(THREAD)
    with pytest.raises(SerializationError, match=r"'c' of thread 't'.*key 'old'"):
        saver.get_pending_writes({"configurable": {"thread_id": "t", "checkpoint_id": "c"}})


def test_another_key_of_the_same_id_does_not_open(client):
    fill(saver_of(client, k=OLD))
    with pytest.raises(CorruptCheckpointError, match="key 'k'"):
        saver_of(client, k=NEW).get(THREAD)


def test_what_was_stored_unencrypted_is_refused(client):
    fill(RedisSaver(client))
    saver = saver_of(client, k=NEW)
    with pytest.raises(CorruptCheckpointError, match="not encrypted"):
        saver.get(THREAD)
    with pytest.raises(CorruptCheckpointError, match="not encrypted"):
        saver.get_pending_writes({"configurable": {"thread_id": "t", "checkpoint_id": "c"}})
    with pytest.raises(CorruptCheckpointError, match="not encrypted"):
        saver.copy_thread("t", "copy")


def test_a_saver_without_a_key_says_what_it_lacks(client):
    fill(saver_of(client, k=NEW))
    with pytest.raises(SerializationError, match="EncryptedSerializer"):
        RedisSaver(client).get(THREAD)


def test_one_flipped_bit_anywhere_is_refused(client):
    fill(saver_of(client, k=NEW))
    config = {"configurable": {"thread_id": "t", "checkpoint_id": "c"}}

    def refused(places, size, write):
        for place in places(size):
            write(place)
            with pytest.raises((CorruptCheckpointError, SerializationError)):
                saver_of(client, k=NEW).get_tuple(config)

    record = client.hget(CHECKPOINTS, b"\x1fc")
    # Behind the header, whose numbers are the store's own.
    refused(lambda size: range(70, size), len(record), lambda n: client.hset(CHECKPOINTS, b"\x1fc", flipped(record, n)))
    client.hset(CHECKPOINTS, b"\x1fc", record)
    log = client.get(LOG)
    refused(lambda size: range(0, size, 5), len(log), lambda n: client.set(LOG, flipped(log, n)))
    client.set(LOG, log)
    write = client.hget(WRITES, b"\x1fc\x1f1")
    refused(range, len(write), lambda n: client.hset(WRITES, b"\x1fc\x1f1", flipped(write, n)))
    client.hset(WRITES, b"\x1fc\x1f1", write)
    assert saver_of(client, k=NEW).get_tuple(config).checkpoint == STATE


def flipped(data, place):
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def test_what_was_moved_to_another_thread_does_not_open(client):
    fill(saver_of(client, k=NEW))
    for key in client.scan_iter("zerograph:{t}:*"):
        client.copy(key, key.replace(b"{t}", b"{u}"))
    saver = saver_of(client, k=NEW)
    with pytest.raises(CorruptCheckpointError, match="changed or moved"):
        saver.get({"configurable": {"thread_id": "u"}})
    with pytest.raises(CorruptCheckpointError, match="changed or moved"):
        saver.get_pending_writes({"configurable": {"thread_id": "u", "checkpoint_id": "c"}})


def test_a_piece_of_another_state_of_the_thread_does_not_take_the_place_of_one(client):
    saver = saver_of(client, k=NEW)
    size = len(STATE["channel_values"]["long"])
    saver.put(THREAD, {"id": "c", "channel_values": {"long": "a" * size}}, {})
    first = client.strlen(LOG)
    saver.put(THREAD, {"id": "d", "channel_values": {"long": "b" * size}}, {})
    log = client.get(LOG)
    assert len(log) == 2 * first
    client.set(LOG, log[:first] * 2)
    reader = saver_of(client, k=NEW)
    assert reader.get({"configurable": {"thread_id": "t", "checkpoint_id": "c"}})["id"] == "c"
    with pytest.raises(CorruptCheckpointError, match="checksum"):
        reader.get({"configurable": {"thread_id": "t", "checkpoint_id": "d"}})


def test_filters_find_encrypted_metadata(client):
    saver = saver_of(client, k=NEW)
    for step in range(3):
        saver.put(THREAD, {**STATE, "id": f"c{step}"}, {"step": step})
    assert [each.checkpoint["id"] for each in saver.list(THREAD, filter={"step": 1})] == ["c1"]


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_a_put_of_a_grown_state_appends_what_is_new(client, compression):
    saver = RedisSaver(client, serializer=EncryptedSerializer({"k": NEW}), compression=compression)
    messages = [secrets.token_hex(100) for _ in range(100)]
    saver.put(THREAD, {"id": "c0", "channel_values": {"messages": messages}}, {})
    before = client.strlen(LOG)
    saver.put(THREAD, {"id": "c1", "channel_values": {"messages": [*messages, "one more"]}}, {})
    assert 0 < client.strlen(LOG) - before < 100
    assert saver_of(client, k=NEW).get(THREAD)["channel_values"]["messages"] == [*messages, "one more"]


def test_registered_types_are_those_of_the_serializer_within(client):
    class Point:
        pass

    inner = MsgpackSerializer(types=[Registered("point", Point, encode=lambda _: None, decode=lambda _: Point())])
    saver = RedisSaver(client, serializer=EncryptedSerializer({"k": NEW}, inner))
    saver.put(THREAD, {"id": "c", "channel_values": {"at": Point()}}, {})
    assert type(saver.get(THREAD)["channel_values"]["at"]) is Point


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "at least one"),
        ({"k": b"short"}, "32 bytes"),
        ({"k": "x" * 32}, "32 bytes"),
        ({"": NEW}, "1 to 16"),
        ({"k" * 17: NEW}, "1 to 16"),
        ({"a b": NEW}, "1 to 16"),
        ("k", "must be a dict"),
    ],
)
def test_keys_that_cannot_be_keys_are_refused(keys, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        EncryptedSerializer(keys)


def test_a_key_is_never_shown():
    key = b"k" * 32
    assert "kkkk" not in repr(EncryptedSerializer({"id": key}))
    with pytest.raises(ValueError, match="32 bytes") as caught:
        EncryptedSerializer({"id": key[:31]})
    assert "kkkk" not in str(caught.value)


def test_encryption_is_not_nested():
    with pytest.raises(ValueError, match="not encrypted again"):
        EncryptedSerializer({"k": NEW}, EncryptedSerializer({"k": NEW}))


@pytest.mark.parametrize("kind", ["checkpoint", "write"])
def test_a_copy_that_could_never_be_opened_is_refused(client, kind):
    saver = saver_of(client, new=NEW)
    if kind == "checkpoint":
        saver.put(THREAD, STATE, {})
    else:
        saver.put_writes({"configurable": {"thread_id": "t", "checkpoint_id": "later"}}, [("task", "channel", 1)], "")
    keyless = RedisSaver(client)
    with pytest.raises(SerializationError, match="thread 't' cannot be copied: it is encrypted"):
        keyless.copy_thread("t", "copy")
    assert [each.thread_id for each in keyless.list_threads()] == ["t"]
