"""The requests of a checkup, on every store."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial

import pytest
from support.aging import make_idle, make_older
from support.data import at, fill, ids, state, thread_ids, thread_info
from support.facts import change_facts

from zerograph_redis import CorruptCheckpointError, LeaseHeldError
from zerograph_redis.core.bundles import Bundle, together
from zerograph_redis.core.examination import ExamineThread, IndexState, OutlineThread, ReadClock, RepairThread
from zerograph_redis.core.records import proof_of, read_header
from zerograph_redis.core.requests import DeleteThread, DescribeThreads, GetCheckpoint, GetWrites, ScanThread
from zerograph_redis.state_log.cut import Cut
from zerograph_redis.state_log.log import BaseCheckpoint

NOTE = b"\x1f"
"""The field of a thread's hash that names the newest checkpoint of the root namespace."""


def outlines(saver, thread="thread"):
    """Read all pages of a thread's outline: the rows, and the logs."""
    found, cursor = [], None
    while True:
        page = saver.ask(iter(OutlineThread(thread, cursor)))
        found += page.outlines
        cursor = page.cursor
        if cursor is None:
            return found, page.logs


def examine(saver, thread="thread"):
    return saver.ask(iter(ExamineThread(thread)))


def test_the_clock_is_the_stores(saver):
    before = time.time_ns() // 1000
    assert before <= saver.ask(iter(ReadClock())) <= time.time_ns() // 1000


def test_a_bundle_has_the_replies_in_order_and_errors_in_their_places(saver):
    fill(saver, 2, "a")
    fill(saver, 1, "b")
    with saver.lease("b"):
        requests = [
            GetCheckpoint("a", "", None, False, ()),
            DeleteThread("b", None),
            GetWrites("a", "", "c0", False),
            DeleteThread("c", None),
            DescribeThreads(["a", "c"]),
        ]
        found, held, writes, deleted, facts = saver.ask(iter(Bundle(requests)))
    assert [each.checkpoint_id for each in found.checkpoints] == ["c1"]
    assert isinstance(held, LeaseHeldError)
    assert writes == []
    assert deleted is True
    assert [each and each.checkpoints for each in facts] == [2, None]
    assert sorted(thread_ids(saver)) == ["a", "b"]


def test_a_bundle_of_one_and_of_none(saver):
    assert saver.ask(iter(Bundle([]))) == []
    with saver.lease("a"):
        (error,) = saver.ask(iter(Bundle([DeleteThread("a", None)])))
    assert isinstance(error, LeaseHeldError)


def test_operations_return_together_what_they_return_alone(saver):
    for number in range(40):
        fill(saver, number % 5 + 1, f"t{number}")

    def read(thread):
        facts = (yield from DescribeThreads([thread]))[0]
        page = yield from ScanThread(thread, None)
        while page.cursor is not None:
            page = yield from ScanThread(thread, page.cursor)
        return thread, facts.checkpoints

    found = []
    saver.ask(together((read(f"t{number}") for number in range(40)), found.append))
    assert sorted(found) == sorted((f"t{number}", number % 5 + 1) for number in range(40))


def test_an_error_reaches_the_operation_whose_request_failed(saver):
    fill(saver, 1, "a")
    fill(saver, 1, "b")

    def delete(thread):
        try:
            return (yield from DeleteThread(thread, None))
        except LeaseHeldError as error:
            return error.owner

    found = []
    with saver.lease("b", owner="worker"):
        saver.ask(together([delete("a"), delete("b"), delete("c")], found.append))
        assert found == [True, "worker", True]
        with pytest.raises(LeaseHeldError):
            saver.ask(together([iter(DeleteThread("b", None)), delete("c")], found.append))


def test_a_thread_is_deleted_only_if_its_last_write_is_the_given_one(saver):
    fill(saver, 1)
    updated = examine(saver).updated
    assert saver.ask(iter(DeleteThread("thread", None, updated - 1))) is False
    assert ids(saver.list(at())) == ["c0"]
    assert saver.ask(iter(DeleteThread("thread", None, updated))) is True
    assert thread_ids(saver) == []
    # Again, as after a lost reply.
    assert saver.ask(iter(DeleteThread("thread", None, updated))) is True


def test_the_condition_of_a_whole_thread(saver):
    fill(saver, 3)
    saver.put_writes(at(id="c0"), [("t", "a", "x" * 100)], "")
    condition = examine(saver)
    info = thread_info(saver)
    assert (condition.stored, condition.damage, condition.wrong_deadlines) == (True, "", 0)
    assert condition.entry in {IndexState.RIGHT, IndexState.UNKNOWN}
    assert (condition.checkpoints, condition.bytes, condition.ttl) == (3, info.bytes, None)
    assert condition.updated == info.updated.timestamp() * 1_000_000
    assert (condition.owner, condition.held) == ("", 0)


def test_the_condition_of_a_thread_with_a_ttl_and_a_lease(store):
    saver = store.open(ttl=100)
    with saver.lease("thread", ttl=200, owner="worker %{}"):
        assert examine(saver).stored is False
        fill(saver, 2)
        saver.put(at(), state("large", text="x" * 10_000), {})
        condition = examine(saver)
        assert (condition.damage, condition.wrong_deadlines, condition.ttl) == ("", 0, 100_000)
        assert condition.owner == "worker %{}"
        assert 100_000 < condition.held <= 200_000
    assert (examine(saver).owner, examine(saver).held) == ("", 0)


def test_the_condition_of_an_unknown_thread(saver):
    condition = examine(saver)
    assert (condition.stored, condition.damage) == (False, "")
    assert condition.entry in {IndexState.RIGHT, IndexState.UNKNOWN}


def test_a_thread_pruned_to_nothing_leaves_nothing_to_find(store):
    saver = store.open(ttl=100)
    fill(saver, 2)
    saver.prune("thread", 0)
    condition = examine(saver)
    assert (condition.stored, condition.damage, condition.wrong_deadlines) == (False, "", 0)


def test_repairing_a_sound_thread_changes_nothing(store):
    saver = store.open(ttl=100)
    fill(saver, 2)
    before = thread_info(saver)
    assert saver.ask(iter(RepairThread("thread"))) is True
    after = thread_info(saver)
    assert (after.updated, after.bytes) == (before.updated, before.bytes)
    assert after.ttl <= before.ttl + 1
    assert saver.ask(iter(RepairThread("unknown"))) is False
    assert thread_ids(saver) == ["thread"]


def test_an_outline_has_every_checkpoint_by_namespace_and_order(saver):
    fill(saver, 120)
    fill(saver, 110, ns="a%{}")
    fill(saver, 1, ns="\x00")
    found, _ = outlines(saver)
    places = [(each.namespace, each.checkpoint_id) for each in found]
    assert len(places) == 231
    assert [each for each in places if not each[0]] == [("", f"c{number}") for number in range(120)]
    assert [each for each in places if each[0] == "a%{}"] == [("a%{}", f"c{number}") for number in range(110)]
    assert ("\x00", "c0") in places
    assert all(not each.damage and each.record > 50 for each in found)


def test_an_outline_has_the_sizes_of_all_checkpoints_writes_and_logs(saver):
    large = [f"message {number} " * 20 for number in range(50)]
    for number in range(5):
        saver.put(at(), state(f"c{number}", messages=large[: 40 + number], text="x" * 1000), {})
    saver.put_writes(at(id="c2"), [("t", "a", "x" * 500), ("t", "b", 1)], "")
    found, logs = outlines(saver)
    info = thread_info(saver)
    assert sum(each.bytes for each in found) + sum(logs.values()) == info.bytes
    assert [(each.writes, each.written > 500) for each in found if each.writes] == [(2, True)]
    # The states together are far larger than the log that they share.
    assert sum(each.state for each in found) > 4 * sum(logs.values())
    assert {each.log for each in found} == set(logs)


def test_an_outline_has_the_time_when_a_checkpoint_was_stored(store, saver):
    before = saver.ask(iter(ReadClock()))
    fill(saver, 2)
    make_older(store, saver, 1000, only=["c0"])
    page = saver.ask(iter(OutlineThread("thread", None)))
    first, second = page.outlines
    assert before - 1_000_000_000 <= first.order < page.now - 1_000_000_000
    assert before <= second.order <= page.now


def test_an_outline_of_nothing_is_empty(saver):
    assert outlines(saver) == ([], {})


def test_a_thread_with_a_missing_key_is_damaged(redis_store):
    saver = redis_store.open()
    fill(saver, 2)
    saver.put_writes(at(id="c0"), [("t", "a", 1)], "")
    saver.put(at(), state("large", text="x" * 10_000), {})
    client = redis_store.client()
    kept = {key: client.dump(key) for key in redis_store.all_keys() if b"{thread}" in key}
    assert len(kept) == 5
    for key, dump in kept.items():
        client.delete(key)
        condition = examine(saver)
        assert condition.stored
        assert "missing" in condition.damage
        with pytest.raises(CorruptCheckpointError):
            outlines(saver)
        client.restore(key, 0, dump)
        assert examine(saver).damage == ""


@pytest.mark.unchecked
def test_an_outline_reports_records_that_are_missing_or_in_a_wrong_place(redis_store):
    saver = redis_store.open()
    fill(saver, 3)
    client, key = redis_store.client(), f"{redis_store.prefix}:{{thread}}:checkpoints"
    record = client.hget(key, b"\x1fc1")
    client.hset(key, b"\x1fc1", record[:1] + b"0" * 16 + record[17:])
    assert [bool(each.damage) for each in outlines(saver)[0]] == [False, True, False]
    client.hset(key, b"\x1fc1", b"")
    assert [bool(each.damage) for each in outlines(saver)[0]] == [False, True, False]
    client.hdel(key, b"\x1fc1")
    client.hset(key, b"\x1fother", record)
    assert [each.damage for each in outlines(saver)[0]] == ["", "its record is missing", ""]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda client, key: client.hset(key, NOTE, client.hget(key, NOTE).replace(b"c2", b"c1")),
        lambda client, key: client.hset(key, NOTE, client.hget(key, NOTE).replace(b" - ", b" 0 ")),
        lambda client, key: client.hset(key, NOTE, b"junk"),
        lambda client, key: client.hset(key, NOTE, client.hget(key, b"sub\x1f")),
        lambda client, key: client.hset(key, b"other\x1f", client.hget(key, b"sub\x1f")),
        lambda client, key: client.hdel(key, NOTE),
        lambda client, key: change_facts(client, key, namespaces=1),
        lambda client, key: change_facts(client, key, order="0" * 16),
    ],
    ids=["another", "another log", "junk", "another namespace's", "too many", "none", "a count", "an earlier order"],
)
def test_a_wrong_note_of_the_newest_checkpoint_is_damage(redis_store, spoil):
    saver = redis_store.open()
    fill(saver, 3)
    fill(saver, 2, ns="sub")
    client, key = redis_store.client(), f"{redis_store.prefix}:{{thread}}:thread"
    newest, kept = saver.get_tuple(at()), client.dump(key)
    spoil(client, key)
    assert examine(saver).damage
    with suppress(CorruptCheckpointError):
        assert saver.get_tuple(at()) == newest
    client.restore(key, 0, kept, replace=True)
    assert examine(saver).damage == ""


def test_without_the_note_of_the_newest_checkpoint_calls_raise_and_pruning_keeps_it(redis_store):
    saver = redis_store.open()
    fill(saver, 3)
    redis_store.client().hdel(f"{redis_store.prefix}:{{thread}}:thread", NOTE)
    for call in (
        lambda: saver.get_tuple(at()),
        lambda: saver.list(at()),
        lambda: saver.put(at(), state("c9"), {}),
    ):
        with pytest.raises(CorruptCheckpointError, match="'thread'"):
            call()
    assert saver.prune("thread", 1) == 2
    assert saver.get_tuple(at()).checkpoint["id"] == "c2"


def test_a_reader_that_knows_the_newest_put_is_sent_nothing_of_the_log(redis_store):
    saver, other = redis_store.open(), redis_store.open()
    messages = ["a message " * 70]
    saver.put(at(), state("c0", messages=messages), {})
    ask = partial(GetCheckpoint, "thread", "", refresh=False, known=())
    whole = saver.ask(iter(ask(checkpoint_id=None)))
    record = whole.checkpoints[0].record
    header = read_header("a record", record)
    proof = proof_of(header.base, header.appended, header.attempt)
    base = BaseCheckpoint("c0", header.order, header.generation, proof, b"", Cut(b"", ()), (), b"", None, b"", b"")
    assert whole.ranges
    for named in (None, "c0"):
        found = saver.ask(iter(ask(checkpoint_id=named, base=base)))
        assert [(each.checkpoint_id, each.record) for each in found.checkpoints] == [("c0", record)]
        assert found.ranges == []
    # The same id, stored by another worker.
    other.put(at(), state("c0", messages=[*messages, "more " * 200]), {})
    assert saver.ask(iter(ask(checkpoint_id=None, base=base))).ranges


def test_keys_with_another_deadline_are_counted_until_they_are_repaired(redis_store):
    saver = redis_store.open(ttl=1000)
    fill(saver, 2)
    client, stem = redis_store.client(), f"{redis_store.prefix}:{{thread}}:"
    for change in (
        lambda: client.persist(stem + "index"),
        lambda: client.pexpire(stem + "checkpoints", 100_000),
        lambda: [client.persist(stem + kind) for kind in ("thread", "index", "checkpoints")],
    ):
        change()
        assert examine(saver).wrong_deadlines > 0
        assert saver.ask(iter(RepairThread("thread"))) is True
        assert examine(saver).wrong_deadlines == 0
        assert 900 < thread_info(saver).ttl <= 1000


def test_a_key_with_a_deadline_is_counted_if_its_thread_has_none(redis_store):
    saver = redis_store.open()
    fill(saver, 2)
    client, key = redis_store.client(), f"{redis_store.prefix}:{{thread}}:index"
    client.pexpire(key, 100_000)
    assert examine(saver).wrong_deadlines == 1
    saver.ask(iter(RepairThread("thread")))
    assert examine(saver).wrong_deadlines == 0
    assert client.pttl(key) == -1


def test_the_thread_index_is_compared_with_each_thread(real_store):
    saver = real_store.open(ttl=1000)
    fill(saver, 2)
    client, threads, deadlines = real_store.client(), f"{real_store.prefix}:threads", f"{real_store.prefix}:deadlines"
    for change in (
        lambda: client.zrem(threads, "thread"),
        lambda: client.zrem(deadlines, "thread"),
        lambda: client.zadd(threads, {"thread": 1}),
        lambda: client.zadd(deadlines, {"thread": 1}),
    ):
        change()
        assert examine(saver).entry in {IndexState.MISSING, IndexState.WRONG}
        saver.ask(iter(RepairThread("thread")))
        assert examine(saver).entry == IndexState.RIGHT
    client.zadd(threads, {"other": 1})
    assert examine(saver, "other").entry == IndexState.STALE
    client.zadd(deadlines, {"other": time.time() * 1000 - 1000})
    assert examine(saver, "other").entry == IndexState.EXPIRED
    make_idle(real_store, saver, 100)
    assert examine(saver).entry == IndexState.RIGHT
