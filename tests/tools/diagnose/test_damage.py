"""A checkup finds damaged threads, remains and wrong index entries; it repairs what is safe to repair, and nothing else."""

from __future__ import annotations

import itertools
import random
import time

import pytest
from support.aging import make_idle, transaction
from support.checking import amiss, check, levels
from support.data import at, everything, fill, ids, state, thread_ids
from support.sizes import scaled

from zerograph_redis import EncryptedSerializer

KINDS = ("thread", "index", "checkpoints", "writes", "log:0")
HOUR_AGO = 3700


def put_thread(saver, thread="thread"):
    """Store a thread that has a key of each kind."""
    for number in range(4):
        saver.put(at(thread), state(f"c{number}", text="x" * 5000, n=number), {})
        saver.put_writes(at(thread, id=f"c{number}"), [("t", "a", number), ("u", "b", "y" * 300)], "")


def key(store, kind, thread="thread"):
    return f"{store.prefix}:{{{thread}}}:{kind}"


def repaired(saver):
    """Run repairs; returns what is not fixed, and what a second checkup finds."""
    fixed = check(saver, fix=True)
    return {name: each for name, each in amiss(fixed.stored).items() if not each.fixed}, levels(check(saver).stored)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("deep", [True, False])
def test_a_missing_key_damages_a_thread(checked_redis, kind, deep):
    saver = checked_redis.open()
    put_thread(saver)
    put_thread(saver, "other")
    checked_redis.client().delete(key(checked_redis, kind))
    found = amiss(check(saver, deep=deep).stored)
    assert set(found) == {"threads"}
    assert found["threads"].level == "problem"
    assert found["threads"].items[0].startswith("thread: ")
    assert "delete thread --yes" in found["threads"].fix
    assert kind in found["threads"].items[0] or kind == "thread"
    before = everything(saver, "other")
    left, again = repaired(saver)
    assert set(left) == set(again) == {"threads"}
    assert everything(saver, "other") == before
    saver.delete_thread("thread")
    assert levels(check(saver).stored) == {}


@pytest.mark.parametrize("kind", ["checkpoints", "writes", "log"])
def test_any_changed_byte_damages_a_thread(checked, kind):
    saver = checked.open()
    put_thread(saver)
    chance = random.Random(3)
    for _ in range(scaled(20)):
        undo = change_byte(checked, saver, kind, chance)
        found = check(saver)
        assert levels(found.stored) == {"threads": "problem"}, found.tally
        assert levels(check(saver, deep=False).stored) == {}
        undo()
        assert levels(check(saver).stored) == {}


def change_byte(store, saver, kind, chance):
    """Flip a bit behind the plain header; returns a function that flips it back."""

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


def test_a_missing_record_damages_a_thread(checked_redis):
    saver = checked_redis.open()
    fill(saver, 5)
    checked_redis.client().hdel(key(checked_redis, "checkpoints"), "\x1fc2")
    assert levels(check(saver, deep=False).stored) == {"threads": "problem"}
    # The counts fit again, so only reading finds it.
    checked_redis.client().hset(key(checked_redis, "checkpoints"), "\x1fc9", b"1" + b"0" * 60)
    assert levels(check(saver, deep=False).stored) == {}
    found = amiss(check(saver).stored)
    assert "'c2'" in found["threads"].items[0]


def test_missing_writes_damage_a_thread(checked_redis):
    saver = checked_redis.open()
    put_thread(saver)
    checked_redis.client().hdel(key(checked_redis, "writes"), "\x1fc2\x1f1")
    assert levels(check(saver).stored) == {"threads": "problem"}


def test_a_key_of_another_type_damages_a_thread(checked_redis):
    saver = checked_redis.open()
    put_thread(saver)
    client = checked_redis.client()
    client.delete(key(checked_redis, "index"))
    client.set(key(checked_redis, "index"), "x")
    assert levels(check(saver).stored) == {"threads": "problem"}
    saver.delete_thread("thread")


def test_each_of_many_damaged_threads_is_reported(checked_redis):
    saver = checked_redis.open()
    for number in range(40):
        fill(saver, 2, f"t{number}")
        if number % 4 == 0:
            checked_redis.client().delete(key(checked_redis, "checkpoints", f"t{number}"))
    finding = amiss(check(saver).stored)["threads"]
    assert sorted(each.partition(":")[0] for each in finding.items) == sorted(f"t{n}" for n in range(0, 40, 4))
    assert finding.message.startswith("10 threads of 40 ")


def test_a_thread_missing_in_the_index_is_indexed_again(checked_redis):
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
    found = amiss(check(saver).stored)
    assert {name: (each.level, each.items) for name, each in found.items()} == {"index": ("problem", ["thread"])}
    before = everything(saver, "thread")
    assert repaired(saver) == ({}, {})
    assert sorted(thread_ids(saver)) == ["other", "thread"]
    assert everything(saver, "thread") == before


def test_index_entries_without_a_thread_are_removed(real_store):
    saver = real_store.open()
    fill(saver, 2)
    client = real_store.client()
    client.zadd(f"{real_store.prefix}:threads", {"gone": 5, "%7bodd%7d": 6})
    client.zadd(f"{real_store.prefix}:deadlines", {"later": time.time() * 1000 + 100_000})
    finding = amiss(check(saver).stored)["index"]
    assert (finding.level, sorted(finding.items)) == ("warning", ["gone", "later", "{odd}"])
    assert repaired(saver) == ({}, {})
    assert client.zrange(f"{real_store.prefix}:threads", 0, -1) == [b"thread"]
    assert client.zcard(f"{real_store.prefix}:deadlines") == 0


def test_index_entries_of_expired_threads_are_ok_and_a_repair_removes_them(real_store):
    saver = real_store.open()
    fill(saver, 2)
    client = real_store.client()
    client.zadd(f"{real_store.prefix}:threads", {"gone": 5})
    client.zadd(f"{real_store.prefix}:deadlines", {"gone": 1000})
    diagnosis = check(saver)
    assert amiss(diagnosis.stored) == {}
    assert diagnosis.tally.expired == ["gone"]
    check(saver, fix=True)
    assert client.zrange(f"{real_store.prefix}:threads", 0, -1) == [b"thread"]


def test_index_entries_without_a_thread_are_ok_on_a_cluster_and_a_repair_removes_them(cluster_store):
    saver = cluster_store.open()
    fill(saver, 2)
    keyspace = saver.saver.store.backend.keyspace
    client = cluster_store.client()
    client.zadd(keyspace.shard_of("gone"), {"gone": 5})
    diagnosis = check(saver)
    assert amiss(diagnosis.stored) == {}
    assert diagnosis.tally.expired == ["gone"]
    check(saver, fix=True)
    assert check(saver).tally.expired == []
    assert thread_ids(saver) == ["thread"]


def test_keys_with_another_ttl_than_their_thread_get_the_threads(checked_redis):
    saver = checked_redis.open(ttl=1000)
    put_thread(saver)
    put_thread(saver, "other")
    client = checked_redis.client()
    client.persist(key(checked_redis, "index"))
    client.pexpire(key(checked_redis, "checkpoints", "other"), 5_000_000)
    finding = amiss(check(saver).stored)["ttl"]
    assert (finding.level, sorted(finding.items)) == ("problem", ["other", "thread"])
    before = everything(saver, "thread")
    assert repaired(saver) == ({}, {})
    assert len({client.pexpiretime(key(checked_redis, kind)) for kind in KINDS}) == 1
    assert 900_000 < client.pttl(key(checked_redis, "index")) <= 1_000_000
    assert everything(saver, "thread") == before


def test_remains_of_a_copy_are_removed_and_a_copy_in_progress_stays(checked_redis):
    saver = checked_redis.open()
    fill(saver, 2)
    client = checked_redis.client()
    left, new = (f"{checked_redis.prefix}:{{a copy}}:copy:{token}:thread" for token in ("left", "new"))
    client.hset(left, "field", 1)
    client.hset(new, "field", 1)
    client.pexpire(new, 100_000)
    finding = amiss(check(saver).stored)["copies"]
    assert (finding.level, finding.items) == ("warning", ["a copy (left)"])
    assert repaired(saver) == ({}, {})
    assert [client.exists(each) for each in (left, new)] == [0, 1]


def test_rows_that_belong_to_no_thread_are_reported(checked):
    if checked.kind != "sqlite":
        return
    saver = checked.open()
    fill(saver, 2)
    assert levels(check(saver).place) == {}
    with transaction(saver) as connection:
        connection.execute("DELETE FROM zerograph_redis_threads")
    diagnosis = check(saver)
    assert (levels(diagnosis.place), levels(diagnosis.stored)) == ({"rows": "problem"}, {})
    fill(saver, 1)
    assert [each.checkpoint["id"] for each in saver.list(at())] == ["c0"]


def test_keys_that_no_saver_wrote_are_reported_and_kept(checked_redis):
    saver = checked_redis.open()
    fill(saver, 2)
    client, prefix = checked_redis.client(), checked_redis.prefix
    foreigns = [
        f"{prefix}:cache",
        f"{prefix}:{{thread}}:more",
        f"{prefix}:{{thread}}:copy:a:b:thread",
        f"{prefix}:x*[?",
    ]
    for each in foreigns:
        client.set(each, 1)
    finding = amiss(check(saver).stored)["keys"]
    assert (finding.level, finding.items) == ("warning", sorted(foreigns))
    check(saver, fix=True)
    assert all(client.exists(each) for each in foreigns)


def test_keys_of_a_saver_with_a_longer_prefix_are_not_checked(checked_redis):
    saver = checked_redis.open()
    other = checked_redis.open(prefix=f"{checked_redis.prefix}:dev")
    fill(saver, 2)
    put_thread(other, "of the other")
    checked_redis.client().delete(f"{checked_redis.prefix}:dev:{{of the other}}:index")
    diagnosis = check(saver)
    assert amiss(diagnosis.stored) == {}
    assert diagnosis.tally.threads == 1
    (keys,) = [each for each in diagnosis.stored if each.check == "keys"]
    assert f"{checked_redis.prefix}:dev" in keys.message
    assert levels(check(other).stored) == {"threads": "problem"}


def test_pending_writes_of_a_checkpoint_that_was_never_stored_are_reported_after_an_hour(checked):
    saver = checked.open()
    fill(saver, 2)
    saver.put_writes(at(id="never"), [("t", "a", 1)], "")
    assert levels(check(saver).stored) == {}
    make_idle(checked, saver, HOUR_AGO)
    assert levels(check(saver).stored) == {"pending_writes": "warning"}
    saver.put(at(), state("never"), {})
    make_idle(checked, saver, HOUR_AGO)
    assert levels(check(saver).stored) == {}


def test_logs_that_are_mostly_unused_are_reported(checked):
    saver = checked.open()
    for number in range(8):
        saver.put(at(ns=f"{number}"), state("c0", text=f"{number}" * 600_000), {})
        saver.prune("thread", 0) if number == 0 else None
    for number in range(1, 7):
        delete_namespace(checked, saver, f"{number}")
    finding = amiss(check(saver).stored)["logs"]
    assert finding.level == "warning"


def delete_namespace(store, saver, namespace):
    """Remove the checkpoint of a namespace as a put with keep_last does: its bytes stay in the log."""
    for number in range(2):
        saver.put(at(ns=namespace), state(f"d{number}", text="small"), {})
    keeping = store.open(keep_last=1)
    keeping.put(at(ns=namespace), state("d2", text="small"), {})


def test_a_thread_written_in_the_future_is_reported(checked):
    saver = checked.open()
    fill(saver, 2)
    make_idle(checked, saver, -1000)
    finding = amiss(check(saver).stored)["clock"]
    assert (finding.level, finding.items) == ("warning", ["thread"])


@pytest.mark.parametrize("serializer", [None, EncryptedSerializer({"key": bytes(32)})])
def test_checkpoints_before_their_parents_are_reported(checked, serializer):
    saver = checked.open(serializer=serializer)
    fill(saver, 3)
    assert "order" not in amiss(check(saver).stored)
    saver.put(at(id="later"), state("child"), {})
    saver.put(at(), state("later"), {})
    finding = amiss(check(saver).stored)["order"]
    assert (finding.level, finding.items) == ("warning", ["thread"])
    assert "order" not in amiss(check(saver, deep=False).stored)


def test_encrypted_threads_cannot_be_decoded_without_the_keys(checked):
    encrypted = checked.open(serializer=EncryptedSerializer({"key": bytes(32)}))
    put_thread(encrypted)
    assert levels(check(encrypted).stored) == {}
    finding = amiss(check(checked.open()).stored)["undecodable"]
    assert (finding.level, finding.items) == ("warning", ["thread"])
    assert "--types" in finding.fix


def test_nothing_is_found_while_others_write(checked):
    saver, writer = checked.open(), checked.open(keep_last=2)
    put_thread(writer)

    backend = saver.saver.store.backend
    execute, requests = backend.execute, itertools.count(1)

    def busy_execute(request):
        """Write before each request."""
        if (number := next(requests)) < 200:
            writer.put(at(), state(f"n{number}", text=f"{number}" * 4000), {})
            if number % 37 == 0:
                writer.delete_thread("thread")
        return execute(request)

    backend.execute = busy_execute
    busy = []
    for _ in range(5):
        diagnosis = check(saver)
        assert amiss(diagnosis.stored) == {}
        busy += diagnosis.tally.busy
    assert busy
    assert ids(saver.list(at()))


@pytest.mark.parametrize("options", [{}, {"ttl": 1000}, {"compression": "zstd"}, {"keep_last": 3}])
def test_large_and_changing_states_are_sound(checked, options):
    saver = checked.open(**options)
    history = [f"message {number} " * 40 for number in range(80)]
    for number in range(25):
        saver.put(at(), state(f"c{number}", messages=history[number : number + 40], text=f"{number}" * 3000), {})
        saver.put_writes(at(id=f"c{number}"), [("t", "a", history[:20]), ("u", "b", number)], "")
    saver.copy_thread("thread", "copy")
    saver.prune("copy", 2)
    for number in range(3):
        saver.put(at("copy"), state(f"d{number}", text=f"{number}" * 100_000), {})
    diagnosis = check(saver)
    assert amiss(diagnosis.stored) == {}
    assert (diagnosis.tally.threads, diagnosis.tally.undecodable, diagnosis.tally.busy) == (2, {}, [])
    assert diagnosis.tally.logs > 0


def test_a_quick_checkup_reads_no_contents(checked):
    saver = checked.open()
    fill(saver, 3)
    diagnosis = check(saver, deep=False)
    assert amiss(diagnosis.stored) == {}
    assert (diagnosis.tally.threads, diagnosis.tally.checkpoints, diagnosis.tally.logs) == (1, 3, 0)
    assert "logs" not in {each.check for each in diagnosis.stored}


def test_a_thread_that_a_worker_holds_is_checked_too(checked):
    saver = checked.open(ttl=10)
    with saver.lease("thread", ttl=1000):
        fill(saver, 3)
        assert amiss(check(saver).stored) == {}
    with saver.lease("nothing else", ttl=1000):
        assert amiss(check(saver).stored) == {}
