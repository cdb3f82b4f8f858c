"""Encrypted threads: unreadable without a key, bound to their ids, and never accepted unencrypted."""

import re
import secrets

import fakeredis
import pytest
from support.facts import note_namespaces

from zerograph_redis import (
    CorruptCheckpointError,
    EncryptedSerializer,
    InMemorySaver,
    MsgpackSerializer,
    RedisSaver,
    Registered,
    SerializationError,
)
from zerograph_redis.core.configs import read_config
from zerograph_redis.core.writes import EncryptedWrites
from zerograph_redis.tools.diagnose.contents import read_contents

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
    stored = saver.put(THREAD, STATE, {"step": 1, "answer": "a secret"})
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
    assert b"answer" not in everything(client)


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
    # Unchanged parts of the state stay encrypted with the old key; a copy encrypts all of it with the new one.
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


def test_unencrypted_bytes_are_refused(client):
    fill(RedisSaver(client))
    saver = saver_of(client, k=NEW)
    with pytest.raises(CorruptCheckpointError, match="not encrypted"):
        saver.get(THREAD)
    with pytest.raises(CorruptCheckpointError, match="not encrypted"):
        saver.get_pending_writes({"configurable": {"thread_id": "t", "checkpoint_id": "c"}})
    with pytest.raises(CorruptCheckpointError, match="not encrypted"):
        saver.copy_thread("t", "copy")


def test_a_saver_without_a_key_names_the_option_that_is_missing(client):
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
    # After the header, whose numbers the store writes.
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


def test_bytes_that_were_moved_to_another_thread_do_not_open(client):
    fill(saver_of(client, k=NEW))
    for key in client.scan_iter("zerograph:{t}:*"):
        client.copy(key, key.replace(b"{t}", b"{u}"))
    saver = saver_of(client, k=NEW)
    with pytest.raises(CorruptCheckpointError, match="changed or moved"):
        saver.get({"configurable": {"thread_id": "u"}})
    with pytest.raises(CorruptCheckpointError, match="changed or moved"):
        saver.get_pending_writes({"configurable": {"thread_id": "u", "checkpoint_id": "c"}})


def test_segments_of_two_states_of_a_thread_cannot_be_exchanged(client):
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
def test_a_put_of_a_grown_state_appends_the_new_bytes(client, compression):
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
    ("keys", "message"),
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
def test_keys_that_cannot_be_keys_are_refused(keys, message):
    with pytest.raises(ValueError, match=re.escape(message)):
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


def test_a_thread_opens_only_under_the_name_of_its_store(client):
    fill(saver_of(client, k=NEW))
    for key in client.scan_iter("zerograph:*"):
        client.copy(key, key.replace(b"zerograph", b"other"))
    with pytest.raises(CorruptCheckpointError, match="name of the store"):
        RedisSaver(client, prefix="other", serializer=EncryptedSerializer({"k": NEW})).get(THREAD)
    named = RedisSaver(client, prefix="other", serializer=EncryptedSerializer({"k": NEW}, store="zerograph"))
    assert named.get(THREAD) == STATE
    assert named.get_tuple(THREAD).pending_writes == [("task", "channel", "a secret")]


@pytest.mark.parametrize("store", ["", 1, b"name"])
def test_a_store_without_a_name_is_refused(store):
    with pytest.raises(ValueError, match="store must be a name"):
        EncryptedSerializer({"k": NEW}, store=store)


WRITTEN = {"configurable": {"thread_id": "t", "checkpoint_id": "c"}}


@pytest.fixture
def written(client):
    """A saver, a client, and the list of writes as it was after each of three batches."""
    saver = saver_of(client, k=NEW)
    saver.put(THREAD, STATE, {})
    moments = []
    for batch in ([("t", "a", 1), ("t", "b", 2)], [("u", "a", 3)], [("t", "a", 4), ("t", "b", 6)]):
        saver.put_writes(WRITTEN, batch, "")
        moments.append((client.hgetall(WRITES), saver.get_pending_writes(WRITTEN)))
    return client, moments


def readings(client):
    saver = saver_of(client, k=NEW)
    return [
        lambda: saver.get_pending_writes(WRITTEN),
        lambda: saver.get_tuple(THREAD).pending_writes,
        lambda: saver.list(THREAD)[0].pending_writes,
        lambda: saver.put_writes(WRITTEN, [("v", "a", 5)], ""),
    ]


def mixed(older, newer):
    return {**newer, b"\x1fc\x1f1": older[b"\x1fc\x1f1"]}


def without_the_last_identity(older, newer):
    header, *identities, end = newer[b"\x1fc"].split(b"\x1f")
    version = header.rpartition(b":")[2]
    size = sum(len(newer[b"\x1fc\x1f%d" % number]) for number in (1, 2))
    return {**newer, b"\x1fc": b"\x1f".join((b"1:2:%d:%b" % (size, version), *identities[:2], end))}


def reordered(older, newer):
    header, one, two, three, end = newer[b"\x1fc"].split(b"\x1f")
    swapped = {b"\x1fc": b"\x1f".join((header, two, one, three, end))}
    return {**newer, **swapped, b"\x1fc\x1f1": newer[b"\x1fc\x1f2"], b"\x1fc\x1f2": newer[b"\x1fc\x1f1"]}


def doubled(older, newer):
    header, one, two, three, end = newer[b"\x1fc"].split(b"\x1f")
    version, size = header.rpartition(b":")[2], sum(len(newer[b"\x1fc\x1f%d" % number]) for number in (1, 1, 2, 3))
    manifest = b"\x1f".join((b"1:4:%d:%b" % (size, version), one, two, three, one, end))
    return {**newer, b"\x1fc": manifest, b"\x1fc\x1f4": newer[b"\x1fc\x1f1"]}


@pytest.mark.parametrize("forged", [mixed, without_the_last_identity, reordered, doubled])
def test_a_list_of_writes_that_was_never_stored_is_refused(written, forged):
    client, moments = written
    fake = forged(moments[0][0], moments[2][0])
    client.delete(WRITES)
    client.hset(WRITES, mapping=fake)
    for read in readings(client):
        with pytest.raises(CorruptCheckpointError, match=r"list was changed"):
            read()


def test_an_older_list_of_writes_that_is_put_back_whole_is_not_detected(written):
    client, moments = written
    for stored, read in moments:
        client.delete(WRITES)
        client.hset(WRITES, mapping=stored)
        assert saver_of(client, k=NEW).get_pending_writes(WRITTEN) == read
    # A worker goes on from there, whatever it knew.
    client.delete(WRITES)
    client.hset(WRITES, mapping=moments[0][0])
    saver_of(client, k=NEW).put_writes(WRITTEN, [("v", "a", 5)], "")
    assert saver_of(client, k=NEW).get_pending_writes(WRITTEN) == [*moments[0][1], ("v", "a", 5)]


@pytest.mark.parametrize("kind", ["redis", "memory"])
def test_a_batch_whose_reply_did_not_arrive_is_not_stored_again_after_those_of_others(client, kind):
    serializer = EncryptedSerializer({"k": NEW})
    make = {
        "redis": lambda: RedisSaver(client, serializer=serializer),
        "memory": lambda: InMemorySaver(serializer=serializer),
    }
    saver = make[kind]()
    operation = saver.store.operations.put_writes(WRITTEN, [("t", "a", 1)], "")
    request = next(operation)
    saver.store.backend.execute(request)
    saver.put_writes(WRITTEN, [("u", "a", 2)], "")
    with pytest.raises(StopIteration):
        operation.send(saver.store.backend.execute(request))
    assert saver.get_pending_writes(WRITTEN) == [("t", "a", 1), ("u", "a", 2)]


@pytest.mark.parametrize("replace", [True, False])
def test_repeated_encrypted_writes_replace_the_earlier_ones_or_leave_them(client, replace):
    saver = RedisSaver(client, serializer=EncryptedSerializer({"k": NEW}))
    cipher = saver.store.settings.cipher("t")

    def write(**values):
        packed = {
            f"task\x1e{channel}": saver.store.operations.serializer.pack(value) for channel, value in values.items()
        }
        address = read_config(WRITTEN, saver.store.settings)
        saver._run(EncryptedWrites().put(address, "c", packed, cipher, None, replace=replace))

    write(a=1, b=2)
    write(b=3, c=4)
    write(a=5)
    expected = [("a", 5), ("b", 3), ("c", 4)] if replace else [("a", 1), ("b", 2), ("c", 4)]
    assert [each[1:] for each in saver.get_pending_writes(WRITTEN)] == expected


def test_list_and_doctor_detect_moved_checkpoints(client):
    saver, config = saver_of(client, k=NEW), THREAD
    for number in range(5):
        config = saver.put(config, {"id": f"c{number}", "channel_values": {"n": number}}, {})
    assert [each.checkpoint["id"] for each in saver.list(THREAD)] == ["c4", "c3", "c2", "c1", "c0"]
    move(client, "c2", (1 << 52) - 1)
    # Reading the newest alone does not find it, since no checkpoint before it is read.
    assert saver_of(client, k=NEW).get(THREAD)["id"] == "c2"
    with pytest.raises(CorruptCheckpointError, match=r"'c2' of thread 't'.*another order than when its child 'c3'"):
        saver_of(client, k=NEW).list(THREAD)
    damage = saver._run(read_contents("t", saver.store.settings)).damage
    assert "another order than when its child 'c3'" in damage


def test_a_checkpoint_that_was_moved_before_its_parent_is_refused(client):
    saver, config = saver_of(client, k=NEW), THREAD
    for number in range(3):
        config = saver.put(config, {"id": f"c{number}", "channel_values": {"n": number}}, {})
    move(client, "c2", 1)
    with pytest.raises(CorruptCheckpointError, match=r"'c2' of thread 't'.*Somebody moved it"):
        saver_of(client, k=NEW).get_by_id("c2", "t")


def move(client, name, order):
    """Give a checkpoint another order, in all places that have it."""
    field, index = f"\x1f{name}".encode(), "zerograph:{t}:index"
    record = client.hget(CHECKPOINTS, field)
    client.zrem(index, b"\x1f%b\x1f%b" % (record[1:17], name.encode()))
    client.zadd(index, {b"\x1f%016x\x1f%b" % (order, name.encode()): 0})
    client.hset(CHECKPOINTS, field, b"%b%016x%b" % (record[:1], order, record[17:]))
    note_namespaces(client, "zerograph:{t}:")


def test_checkpoints_that_are_stored_before_their_parents_or_again_are_listed(client):
    saver, config = saver_of(client, k=NEW), THREAD
    for number in range(4):
        config = saver.put(config, {"id": f"c{number}"}, {})
    at_c3 = {"configurable": {"thread_id": "t", "checkpoint_id": "c3"}}
    saver.put(at_c3, {"id": "c1"}, {})  # again, behind a later parent
    saver.put(at_c3, {"id": "c3"}, {})  # behind itself
    saver.put({"configurable": {"thread_id": "t", "checkpoint_id": "later"}}, {"id": "child"}, {})
    saver.put(THREAD, {"id": "later"}, {})
    saver.prune("t", 2)
    for number in (3, 1):
        saver.put(config, {"id": f"c{number}"}, {})
    assert [each.checkpoint["id"] for each in saver_of(client, k=NEW).list(THREAD)] == ["c1", "c3", "later", "child"]
