"""A checkup finds what is broken, left over or not listed; it mends what is safe to mend, and nothing else."""

from __future__ import annotations

import itertools
import random
import time

import pytest
from support.aging import make_idle, transaction
from support.checking import amiss, levels, look
from support.data import at, everything, fill, ids, state, thread_ids

from zerograph_redis import EncryptedSerializer

KINDS = ("thread", "index", "checkpoints", "writes", "log:0")
HOUR_AGO = 3700


def stored(saver, thread="thread"):
    """A thread that has a key of each kind."""
    for number in range(4):
        saver.put(at(thread), state(f"c{number}", text="x" * 5000, n=number), {})
        saver.put_writes(at(thread, id=f"c{number}"), [("t", "a", number), ("u", "b", "y" * 300)], "")


def key(store, kind, thread="thread"):
    return f"{store.prefix}:{{{thread}}}:{kind}"


def mended(saver):
    """Mend what can be: what is still amiss then, and what is in a second look."""
    fixed = look(saver, fix=True)
    return {name: each for name, each in amiss(fixed.within).items() if not each.fixed}, levels(look(saver).within)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("deep", [True, False])
def test_a_key_that_is_gone_breaks_a_thread(checked_redis, kind, deep):
    saver = checked_redis.open()
    stored(saver)
    stored(saver, "other")
    checked_redis.client().delete(key(checked_redis, kind))
    found = amiss(look(saver, deep=deep).within)
    assert set(found) == {"threads"}
    assert found["threads"].level == "problem"
    assert found["threads"].items[0].startswith("thread: ")
    assert "delete thread --yes" in found["threads"].mend
    assert kind in found["threads"].items[0] or kind == "thread"
    before = everything(saver, "other")
    left, again = mended(saver)
    assert set(left) == set(again) == {"threads"}
    assert everything(saver, "other") == before
    saver.delete_thread("thread")
    assert levels(look(saver).within) == {}


@pytest.mark.parametrize("kind", ["checkpoints", "writes", "log"])
def test_a_changed_byte_of_anything_stored_breaks_a_thread(checked, kind):
    saver = checked.open()
    stored(saver)
    chance = random.Random(3)
    for _ in range(20):
        undo = change_byte(checked, saver, kind, chance)
        found = look(saver)
        assert levels(found.within) == {"threads": "problem"}, found.tally
        assert levels(look(saver, deep=False).within) == {}
        undo()
        assert levels(look(saver).within) == {}


def change_byte(store, saver, kind, chance):
    """Turn over a bit behind the plain header; returns what takes it back."""

    def changed(data, first):
        place = chance.randrange(first, len(data))
        return data[:place] + bytes([data[place] ^ (1 << chance.randrange(8))]) + data[place + 1 :]

    first = 60 if kind == "checkpoints" else 0
    if store.kind == "sqlite":
        column = "data" if kind == "log" else "record"
        table = f"zerograph_redis_{'logs' if kind == 'log' else kind}"
        rowid = "stop" if kind == "log" else "number"

        def write(place, data):
            with transaction(saver) as connection:
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE {rowid} = ?", (data, place))

        with transaction(saver) as connection:
            rows = connection.execute(f"SELECT {rowid}, {column} FROM {table}").fetchall()
        place, data = chance.choice(rows)
        write(place, changed(data, first))
        return lambda: write(place, data)
    client = store.client()
    if kind == "log":
        name = key(store, "log:0")
        data = client.get(name)
        client.set(name, changed(data, first))
        return lambda: client.set(name, data)
    name = key(store, kind)
    fields = [each for each in client.hkeys(name) if kind == "checkpoints" or each.count(b"\x1f") == 2]
    field = chance.choice(sorted(fields))
    data = client.hget(name, field)
    client.hset(name, field, changed(data, first))
    return lambda: client.hset(name, field, data)


def test_a_record_that_is_gone_breaks_a_thread(checked_redis):
    saver = checked_redis.open()
    fill(saver, 5)
    checked_redis.client().hdel(key(checked_redis, "checkpoints"), "\x1fc2")
    assert levels(look(saver, deep=False).within) == {"threads": "problem"}
    # The counts fit again, and only who reads finds out.
    checked_redis.client().hset(key(checked_redis, "checkpoints"), "\x1fc9", b"1" + b"0" * 60)
    assert levels(look(saver, deep=False).within) == {}
    found = amiss(look(saver).within)
    assert "'c2'" in found["threads"].items[0]


def test_writes_that_are_gone_break_a_thread(checked_redis):
    saver = checked_redis.open()
    stored(saver)
    checked_redis.client().hdel(key(checked_redis, "writes"), "\x1fc2\x1f1")
    assert levels(look(saver).within) == {"threads": "problem"}


def test_a_key_of_another_type_breaks_a_thread(checked_redis):
    saver = checked_redis.open()
    stored(saver)
    client = checked_redis.client()
    client.delete(key(checked_redis, "index"))
    client.set(key(checked_redis, "index"), "x")
    assert levels(look(saver).within) == {"threads": "problem"}
    saver.delete_thread("thread")


def test_many_broken_threads_are_each_told(checked_redis):
    saver = checked_redis.open()
    for number in range(40):
        fill(saver, 2, f"t{number}")
        if number % 4 == 0:
            checked_redis.client().delete(key(checked_redis, "checkpoints", f"t{number}"))
    finding = amiss(look(saver).within)["threads"]
    assert sorted(each.partition(":")[0] for each in finding.items) == sorted(f"t{n}" for n in range(0, 40, 4))
    assert finding.what.startswith("10 threads of 40 ")


def test_a_thread_that_the_list_lacks_is_listed_again(checked_redis):
    saver = checked_redis.open(ttl=1000)
    fill(saver, 2)
    fill(saver, 2, "other")
    client = checked_redis.client()
    lists = (
        saver.saver.store.backend.keyspace.shards
        if checked_redis.kind == "cluster"
        else [f"{checked_redis.prefix}:threads"]
    )
    assert sum(client.zrem(each, "thread") for each in lists) == 1
    found = amiss(look(saver).within)
    assert {name: (each.level, each.items) for name, each in found.items()} == {"list": ("problem", ["thread"])}
    before = everything(saver, "thread")
    assert mended(saver) == ({}, {})
    assert sorted(thread_ids(saver)) == ["other", "thread"]
    assert everything(saver, "thread") == before


def test_entries_without_a_thread_go(real_store):
    saver = real_store.open()
    fill(saver, 2)
    client = real_store.client()
    client.zadd(f"{real_store.prefix}:threads", {"gone": 5, "%7bodd%7d": 6})
    client.zadd(f"{real_store.prefix}:deadlines", {"later": time.time() * 1000 + 100_000})
    finding = amiss(look(saver).within)["list"]
    assert (finding.level, sorted(finding.items)) == ("warning", ["gone", "later", "{odd}"])
    assert mended(saver) == ({}, {})
    assert client.zrange(f"{real_store.prefix}:threads", 0, -1) == [b"thread"]
    assert client.zcard(f"{real_store.prefix}:deadlines") == 0


def test_entries_of_expired_threads_are_in_order_and_go_with_a_repair(real_store):
    saver = real_store.open()
    fill(saver, 2)
    client = real_store.client()
    client.zadd(f"{real_store.prefix}:threads", {"gone": 5})
    client.zadd(f"{real_store.prefix}:deadlines", {"gone": 1000})
    report = look(saver)
    assert amiss(report.within) == {}
    assert report.tally.expired == ["gone"]
    look(saver, fix=True)
    assert client.zrange(f"{real_store.prefix}:threads", 0, -1) == [b"thread"]


def test_entries_of_a_cluster_without_a_thread_are_in_order_and_go_with_a_repair(cluster_store):
    saver = cluster_store.open()
    fill(saver, 2)
    keyspace = saver.saver.store.backend.keyspace
    client = cluster_store.client()
    client.zadd(keyspace.shard_of("gone"), {"gone": 5})
    report = look(saver)
    assert amiss(report.within) == {}
    assert report.tally.expired == ["gone"]
    look(saver, fix=True)
    assert look(saver).tally.expired == []
    assert thread_ids(saver) == ["thread"]


def test_keys_without_the_deadline_of_their_thread_get_it(checked_redis):
    saver = checked_redis.open(ttl=1000)
    stored(saver)
    stored(saver, "other")
    client = checked_redis.client()
    client.persist(key(checked_redis, "index"))
    client.pexpire(key(checked_redis, "checkpoints", "other"), 5_000_000)
    finding = amiss(look(saver).within)["deadlines"]
    assert (finding.level, sorted(finding.items)) == ("problem", ["other", "thread"])
    before = everything(saver, "thread")
    assert mended(saver) == ({}, {})
    assert len({client.pexpiretime(key(checked_redis, kind)) for kind in KINDS}) == 1
    assert 900_000 < client.pttl(key(checked_redis, "index")) <= 1_000_000
    assert everything(saver, "thread") == before


def test_what_is_left_of_a_copy_goes_and_one_under_way_stays(checked_redis):
    saver = checked_redis.open()
    fill(saver, 2)
    client = checked_redis.client()
    left, new = (f"{checked_redis.prefix}:{{a copy}}:copy:{token}:thread" for token in ("left", "new"))
    client.hset(left, "field", 1)
    client.hset(new, "field", 1)
    client.pexpire(new, 100_000)
    finding = amiss(look(saver).within)["copies"]
    assert (finding.level, finding.items) == ("warning", ["a copy (left)"])
    assert mended(saver) == ({}, {})
    assert [client.exists(each) for each in (left, new)] == [0, 1]


def test_rows_without_the_row_of_their_thread_are_told(checked):
    if checked.kind != "sqlite":
        return
    saver = checked.open()
    fill(saver, 2)
    assert levels(look(saver).around) == {}
    with transaction(saver) as connection:
        connection.execute("DELETE FROM zerograph_redis_threads")
    report = look(saver)
    assert (levels(report.around), levels(report.within)) == ({"rows": "problem"}, {})
    fill(saver, 1)
    assert [each.checkpoint["id"] for each in saver.list(at())] == ["c0"]


def test_keys_that_no_saver_wrote_are_told(checked_redis):
    saver = checked_redis.open()
    fill(saver, 2)
    client, prefix = checked_redis.client(), checked_redis.prefix
    strays = [f"{prefix}:cache", f"{prefix}:{{thread}}:more", f"{prefix}:{{thread}}:copy:a:b:thread", f"{prefix}:x*[?"]
    for each in strays:
        client.set(each, 1)
    finding = amiss(look(saver).within)["keys"]
    assert (finding.level, finding.items) == ("warning", sorted(strays))
    look(saver, fix=True)
    assert all(client.exists(each) for each in strays)


def test_a_saver_with_a_longer_prefix_is_left_alone(checked_redis):
    saver = checked_redis.open()
    other = checked_redis.open(prefix=f"{checked_redis.prefix}:dev")
    fill(saver, 2)
    stored(other, "of the other")
    checked_redis.client().delete(f"{checked_redis.prefix}:dev:{{of the other}}:index")
    report = look(saver)
    assert amiss(report.within) == {}
    assert report.tally.threads == 1
    (keys,) = [each for each in report.within if each.check == "keys"]
    assert f"{checked_redis.prefix}:dev" in keys.what
    assert levels(look(other).within) == {"threads": "problem"}


def test_pending_writes_of_a_checkpoint_that_never_came_are_told_after_a_while(checked):
    saver = checked.open()
    fill(saver, 2)
    saver.put_writes(at(id="never"), [("t", "a", 1)], "")
    assert levels(look(saver).within) == {}
    make_idle(checked, saver, HOUR_AGO)
    assert levels(look(saver).within) == {"pending_writes": "warning"}
    saver.put(at(), state("never"), {})
    make_idle(checked, saver, HOUR_AGO)
    assert levels(look(saver).within) == {}


def test_logs_that_are_mostly_needless_are_told(checked):
    saver = checked.open()
    for number in range(8):
        saver.put(at(ns=f"{number}"), state("c0", text=f"{number}" * 600_000), {})
        saver.prune("thread", 0) if number == 0 else None
    for number in range(1, 7):
        delete_namespace(checked, saver, f"{number}")
    finding = amiss(look(saver).within)["logs"]
    assert finding.level == "warning"


def delete_namespace(store, saver, namespace):
    """Let the checkpoint of a namespace go as a put with keep_last does: its bytes stay in the log."""
    for number in range(2):
        saver.put(at(ns=namespace), state(f"d{number}", text="small"), {})
    keeping = store.open(keep_last=1)
    keeping.put(at(ns=namespace), state("d2", text="small"), {})


def test_a_thread_that_was_written_in_the_future_is_told(checked):
    saver = checked.open()
    fill(saver, 2)
    make_idle(checked, saver, -1000)
    finding = amiss(look(saver).within)["clock"]
    assert (finding.level, finding.items) == ("warning", ["thread"])


@pytest.mark.parametrize("serializer", [None, EncryptedSerializer({"key": bytes(32)})])
def test_checkpoints_before_their_parents_are_reported(checked, serializer):
    saver = checked.open(serializer=serializer)
    fill(saver, 3)
    assert "order" not in amiss(look(saver).within)
    saver.put(at(id="later"), state("child"), {})
    saver.put(at(), state("later"), {})
    finding = amiss(look(saver).within)["order"]
    assert (finding.level, finding.items) == ("warning", ["thread"])
    assert "order" not in amiss(look(saver, deep=False).within)


def test_what_is_encrypted_needs_the_keys_to_be_looked_into(checked):
    pytest.importorskip("cryptography")
    sealed = checked.open(serializer=EncryptedSerializer({"key": bytes(32)}))
    stored(sealed)
    assert levels(look(sealed).within) == {}
    finding = amiss(look(checked.open()).within)["closed"]
    assert (finding.level, finding.items) == ("warning", ["thread"])
    assert "--types" in finding.mend


def test_nothing_is_found_while_others_write(checked):
    saver, writer = checked.open(), checked.open(keep_last=2)
    stored(writer)

    backend = saver.saver.store.backend
    execute, requests = backend.execute, itertools.count(1)

    def busy_execute(request):
        """Write whenever anything is asked of the store."""
        if (number := next(requests)) < 200:
            writer.put(at(), state(f"n{number}", text=f"{number}" * 4000), {})
            if number % 37 == 0:
                writer.delete_thread("thread")
        return execute(request)

    backend.execute = busy_execute
    busy = []
    for _ in range(5):
        report = look(saver)
        assert amiss(report.within) == {}
        busy += report.tally.busy
    assert busy
    assert ids(saver.list(at()))
