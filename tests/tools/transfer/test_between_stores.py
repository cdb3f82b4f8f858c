"""Threads from any store to any other."""

from contextlib import nullcontext
from contextvars import Context

import pytest
from support.data import at, fill, ids, state, thread_info
from support.moves import fill_all, grow, image_of, migrate, snapshot, store_of
from support.stores import make_store

from zerograph_redis import CorruptCheckpointError, EncryptedSerializer
from zerograph_redis.core.requests import Untouched
from zerograph_redis.core.settings import Settings
from zerograph_redis.tools.transfer.moves import MoveOutcome
from zerograph_redis.tools.transfer.reading import place_thread

PAIRS = [
    ("memory-sync", "redis-sync"),
    ("sqlite-sync", "redis-sync"),
    ("redis-sync", "sqlite-sync"),
    ("sqlite-sync", "sqlite-sync"),
    ("redis-sync", "fakeredis-sync"),
    ("redis-decoded-restricted-sync", "cluster-sync"),
    ("cluster-sync", "sqlite-sync"),
]


@pytest.fixture(params=PAIRS, ids=" to ".join)
def stores(request):
    made = [make_store(kind, request) for kind in request.param]
    yield made
    for store in made:
        store.close()


@pytest.fixture
def source(stores):
    return stores[0].open()


@pytest.fixture
def target(stores):
    return stores[1].open()


def test_everything_of_every_thread_is_moved(source, target):
    threads = fill_all(source)
    report = migrate(source, target)
    assert report.outcomes == {MoveOutcome.MOVED: len(threads)}
    assert not report.problems
    assert report.equal
    assert (report.target.threads, report.target.writes) == (len(threads), 9 + 1 + 7)
    for thread in threads:
        assert snapshot(target, thread) == snapshot(source, thread)


def test_a_second_run_finds_everything_stored(source, target):
    threads = fill_all(source)
    first = migrate(source, target)
    before = [snapshot(target, thread) for thread in threads]
    second = migrate(source, target)
    assert second.outcomes == {MoveOutcome.SAME: len(threads)}
    assert (second.source, second.target) == (first.source, first.target)
    assert [snapshot(target, thread) for thread in threads] == before


def test_only_threads_with_the_prefix_are_moved(source, target):
    for thread in ("a1", "a2", "b1", "A1"):
        fill(source, 1, thread)
    assert migrate(source, target, "a").target.threads == 2
    assert sorted(each.thread_id for each in target.list_threads()) == ["a1", "a2"]


def test_workers_continue_a_moved_thread(source, target):
    grow(source, "chat")
    migrate(source, target)
    grow(target, "chat", start=5, steps=3)
    target.put_writes(at("chat", id="c7"), [("t", "c", 1)], "")
    assert ids(target.list(at("chat"))) == [f"c{number}" for number in reversed(range(8))]
    assert target.get(at("chat", id="c2")) == source.get(at("chat", id="c2"))
    target.prune("chat", 2)
    assert ids(target.list(at("chat"))) == ["c7", "c6"]
    assert len(target.get(at("chat"))["channel_values"]["messages"]) == 15


def test_a_thread_continued_at_the_destination_is_reported_and_left_alone(source, target):
    grow(source, "chat")
    grow(source, "other")
    migrate(source, target)
    grow(target, "chat", start=5, steps=2)
    before = snapshot(target, "chat")
    report = migrate(source, target)
    assert report.outcomes == {MoveOutcome.CONTINUED: 1, MoveOutcome.SAME: 1}
    assert report.equal
    assert (report.target.checkpoints, report.beyond) == (10, 0)
    assert snapshot(target, "chat") == before


def test_a_thread_continued_until_its_moved_checkpoints_were_pruned_is_recognised(stores, source):
    grow(source, "chat")
    target = stores[1].open(**({} if stores[1].kind == "memory" else {"keep_last": 2}))
    migrate(source, target)
    grow(target, "chat", start=5, steps=4)
    report = migrate(source, target)
    assert report.outcomes == {MoveOutcome.CONTINUED: 1}
    assert (report.equal, report.beyond) == (True, 1)
    assert ids(target.list(at("chat"))) == ["c8", "c7"]


def test_a_write_that_was_added_at_the_destination_continues_a_thread(source, target):
    fill(source, 2)
    migrate(source, target)
    target.put_writes(at(id="c1"), [("t", "c", 1)], "")
    assert migrate(source, target).outcomes == {MoveOutcome.CONTINUED: 1}


def test_a_thread_that_changed_at_the_source_since_is_reported_and_left_alone(source, target):
    fill(source, 2)
    migrate(source, target)
    fill(source, 1, start=2)
    report = migrate(source, target)
    assert report.outcomes == {MoveOutcome.BEHIND: 1}
    assert "changed at the source since" in report.problems[0].message
    assert ids(target.list(at())) == ["c1", "c0"]
    target.delete_thread("thread")
    assert migrate(source, target).outcomes == {MoveOutcome.MOVED: 1}
    assert ids(target.list(at())) == ["c2", "c1", "c0"]


def test_update_replaces_a_thread_that_nobody_wrote_at_the_destination(source, target):
    grow(source, "chat")
    grow(source, "same")
    source.put(at("chat", ttl=5_000), state("c1", again=True), {})
    migrate(source, target)
    assert target.get(at("chat"))["id"] == "c4"
    config = grow(source, "chat", start=5, steps=3)
    source.put_writes(config, [("t", "c", 1)], "")
    source.put(at("chat", id="c0"), state("c1", again="and again"), {})
    report = migrate(source, target, update=True)
    assert report.outcomes == {MoveOutcome.UPDATED: 1, MoveOutcome.SAME: 1}
    assert report.equal
    assert snapshot(target, "chat") == snapshot(source, "chat")
    assert thread_info(target, "chat").ttl is None
    assert migrate(source, target, update=True).outcomes == {MoveOutcome.SAME: 2}
    grow(target, "chat", start=8)
    assert len(target.list(at("chat"), limit=None)) == 13


@pytest.mark.parametrize("touch", ["put", "put_writes", "prune", "lease"])
def test_a_thread_that_changed_at_the_destination_is_never_replaced(source, target, touch):
    fill(source, 3)
    migrate(source, target)
    place = store_of(target)
    with image_of(place, "thread") as image:
        there = image.times
    fill(source, 1, start=3)
    if touch == "put":
        target.put(at(), state("mine"), {})
    elif touch == "put_writes":
        target.put_writes(at(id="c2"), [("t", "c", 1)], "")
    elif touch == "prune":
        target.prune("thread", 2)
    before = snapshot(target, "thread")
    with target.lease("thread") if touch == "lease" else nullcontext():
        report = Context().run(migrate, source, target, update=True)
    assert set(report.outcomes) <= {MoveOutcome.CONFLICT, MoveOutcome.HELD}
    # Nor if it changed after it was read.
    if touch != "lease":
        with image_of(source, "thread") as image:
            untouched = Untouched(there.origin, there.updated)
            assert not place.run(place_thread(image, "another", place.settings, untouched))
    assert snapshot(target, "thread") == before


@pytest.mark.parametrize("kind", ["checkpoint", "write"])
def test_another_thread_of_the_same_id_is_a_conflict_and_left_alone(source, target, kind):
    fill(source, 2)
    if kind == "checkpoint":
        target.put(at(), state("c1", n="mine"), {})
    else:
        target.put_writes(at(id="c1"), [("t", "c", "mine")], "")
    before = snapshot(target, "thread")
    report = migrate(source, target)
    assert report.outcomes == {MoveOutcome.CONFLICT: 1}
    assert [each.thread for each in report.problems] == ["thread"]
    assert snapshot(target, "thread") == before


def test_changes_on_both_sides_are_a_conflict(source, target):
    fill(source, 2)
    migrate(source, target)
    fill(source, 1, start=2)
    target.put(at(id="c1"), state("mine"), {})
    assert migrate(source, target).outcomes == {MoveOutcome.CONFLICT: 1}


def test_a_thread_that_a_worker_holds_at_the_destination_is_left_alone(source, target):
    fill(source, 2)
    with target.lease("thread"):
        report = Context().run(migrate, source, target)
    assert report.outcomes == {MoveOutcome.HELD: 1}
    assert target.list(at()) == []
    assert migrate(source, target).outcomes == {MoveOutcome.MOVED: 1}


def test_a_lease_at_the_source_does_not_keep_a_thread_from_being_moved(source, target):
    fill(source, 2)
    with source.lease("thread"):
        assert migrate(source, target).outcomes == {MoveOutcome.MOVED: 1}
    with target.lease("thread"):
        target.put(at(), state("mine"), {})


def test_the_rest_of_a_ttl_moves_with_the_thread(stores, source, target):
    source.put(at(ttl=10_000), state("c0"), {})
    source.put(at("for ever"), state("c0"), {})
    migrate(source, target)
    assert 9_000 < thread_info(target).ttl <= 10_000
    assert thread_info(target, "for ever").ttl is None


def test_a_read_gives_a_moved_thread_the_whole_of_its_ttl_again(source, target):
    source.put(at(ttl=10_000), state("c0"), {})
    with image_of(source, "thread") as image:
        image.times = image.times._replace(left=5_000)
        stored = store_of(target)
        assert stored.run(place_thread(image, "origin", stored.settings))
    assert thread_info(target).ttl <= 5
    target.get_tuple(at())
    assert 9_000 < thread_info(target).ttl <= 10_000


def test_a_thread_of_many_logs_is_moved(stores, source, target):
    # Each namespace still needs a log that was replaced by a new one, since most of it was unused.
    for number in range(5):
        for step in range(6):
            text = f"{number}.{step} " * 1500
            source.put(at("thread", f"n{number}"), state(f"c{step}", text=text, more=[text] * 2), {})
        source.prune("thread", 1)
    spaces = [f"n{number}" for number in range(5)]
    if stores[0].kind == "sqlite":
        with image_of(source, "thread") as image:
            assert len(image.log_ends) > 2
    report = migrate(source, target)
    assert report.outcomes == {MoveOutcome.MOVED: 1}
    assert report.equal
    for space in spaces:
        assert target.list(at("thread", space)) == source.list(at("thread", space))
        target.put(at("thread", space), state("next", text="y" * 9000), {})
        assert ids(target.list(at("thread", space))) == ["next", "c5"]


def test_compressed_states_are_moved(stores, target):
    source = stores[0].open(compression="zstd")
    grow(source, "chat", steps=8)
    report = migrate(source, target)
    assert report.outcomes == {MoveOutcome.MOVED: 1}
    assert target.list(at("chat"), limit=None) == source.list(at("chat"), limit=None)


def test_encrypted_threads_are_encrypted_for_the_store_that_they_are_moved_to(stores):
    serializer = EncryptedSerializer({"k": b"1" * 32})
    source, target = (store.open(serializer=serializer) for store in stores)
    config = grow(source, "chat", steps=8)
    source.put_writes(config, [("t", "c", "secret")], "")
    source.put_writes(config, [("t", "d", "secret"), ("t", "c", "another")], "")
    report = migrate(source, target)
    assert report.outcomes == {MoveOutcome.MOVED: 1}
    assert report.equal
    assert target.list(at("chat"), limit=None) == source.list(at("chat"), limit=None)
    assert migrate(source, target).outcomes == {MoveOutcome.SAME: 1}
    target.put_writes(config, [("t", "e", "secret")], "")
    assert [value for *_, value in target.get_pending_writes(config)] == ["another", "secret", "secret"]


def test_without_keys_an_encrypted_thread_is_moved_as_it_is_and_opens_under_the_name_of_its_first_store(stores):
    keys = {"k": b"1" * 32}
    names = [getattr(store, "prefix", "zerograph") for store in stores]
    source = stores[0].open(serializer=EncryptedSerializer(keys))
    target = stores[1].open(serializer=EncryptedSerializer(keys, store=names[0]))
    config = grow(source, "chat", steps=8)
    source.put_writes(config, [("t", "c", "secret")], "")
    ends = [store_of(saver) for saver in (source, target)]
    for end in ends:
        end.settings = Settings.check()
    report = migrate(*ends)
    assert report.outcomes == {MoveOutcome.MOVED: 1}
    assert report.equal
    assert target.list(at("chat"), limit=None) == source.list(at("chat"), limit=None)
    assert migrate(*ends).outcomes == {MoveOutcome.SAME: 1}
    if names[0] != names[1] and stores[1].shared:
        with pytest.raises(CorruptCheckpointError, match="name of the store"):
            stores[1].open(serializer=EncryptedSerializer(keys)).get(at("chat"))


def test_a_large_thread_is_moved_exactly(source, target):
    for namespace in ("", "a", "b"):
        fill(source, 150, ns=namespace)
    source.put_writes(at(ns="b", id="c1"), [(f"t{number}", "c", number) for number in range(1100)], "")
    source.put(at(), state("big", blob=bytes(range(256)) * 10_000, text="z" * 600_000), {})
    report = migrate(source, target)
    assert report.outcomes == {MoveOutcome.MOVED: 1}
    assert report.target.checkpoints == 451
    for namespace in ("", "a", "b"):
        assert target.list(at("thread", namespace), limit=None) == source.list(at("thread", namespace), limit=None)
