"""ttl, refresh_on_read, keep_last, max_age."""

import time
from datetime import timedelta

import pytest
from support.aging import transaction
from support.data import at, fill, ids, state, thread_ids, thread_info
from support.polling import until, until_after

SHORT = 0.15


def ttl_of(saver, thread="thread"):
    return thread_info(saver, thread).ttl


def deadline_of(store, saver):
    """When the store lets the thread expire, in ms; unlike the time that is left it does not depend on when it is read."""
    if store.kind in {"memory", "sqlite"}:
        with transaction(saver) as connection:
            return connection.execute("SELECT deadline FROM zerograph_redis_threads").fetchone()[0] / 1000
    (found,) = deadlines(store)
    return found


@pytest.mark.parametrize("ttl", [100, 100.0, timedelta(seconds=100)])
def test_ttl_is_seconds_or_a_timedelta(store, ttl):
    saver = store.open(ttl=ttl)
    fill(saver, 1)
    assert 90 < ttl_of(saver) <= 100


def test_ttl_may_be_a_fraction_of_a_second(store):
    saver = store.open(ttl=90.5)
    begun = time.monotonic()
    fill(saver, 1)
    assert ttl_of(saver) <= 90.5 <= ttl_of(saver) + time.monotonic() - begun + 0.01


def test_without_ttl_a_thread_stays_for_ever(saver):
    fill(saver, 1)
    assert ttl_of(saver) is None


def test_an_untouched_thread_expires_whole_and_at_once(store):
    saver = store.open(ttl=100, refresh_on_read=False)
    fill(saver, 2)
    fill(saver, 2, ns="a")
    saver.put_writes(at(id="c0", ttl=SHORT), [("t", "a", 1)], "")
    until(lambda: saver.get_tuple(at()) is None)
    assert saver.list(at(ns="a")) == []
    assert saver.get_tuple(at(ns="a", id="c1")) is None
    assert saver.get_pending_writes(at(id="c0")) == []
    assert saver.get_by_id("c0", "thread") is None
    assert saver.get_by_id("c0") is None
    assert thread_ids(saver) == []
    assert saver.prune("thread", 0) == 0
    assert saver.copy_thread("thread", "copy") == 0
    if store.kind.endswith("redis"):
        assert not [key for key in store.all_keys() if b"{" in key]


def test_an_expired_thread_leaves_nothing_to_its_successor(store):
    saver = store.open(ttl=100, refresh_on_read=False)
    brief = at(ttl=SHORT)
    saver.put(at(ns="a", ttl=SHORT), state("old"), {})
    saver.put_writes(at(id="c0", ttl=SHORT), [("t", "a", 1)], "")
    saver.put(brief, state("c0"), {})
    until(lambda: saver.get_tuple(at()) is None)
    saver.put(at(), state("c0"), {})
    assert saver.get_tuple(at()).pending_writes == []
    assert saver.list(at(ns="a")) == []
    info = thread_info(saver)
    assert (info.checkpoints, info.namespaces) == (1, 1)
    assert 90 < info.ttl <= 100


def test_an_expired_thread_is_an_empty_target_of_a_copy(store):
    saver = store.open(ttl=100, refresh_on_read=False)
    fill(saver, 2)
    saver.put(at("copy", "far", ttl=SHORT), state("old"), {})
    until(lambda: saver.get_tuple(at("copy", "far")) is None)
    assert saver.copy_thread("thread", "copy") == 2
    assert saver.list(at("copy", "far")) == []


@pytest.mark.parametrize("write", ["put", "put again", "put_writes", "put_writes early"])
def test_every_write_renews_the_ttl_of_the_whole_thread(store, write):
    saver = store.open(ttl=100, refresh_on_read=False)
    saver.put(at(ns="far", ttl=10), state("far"), {})
    fill(saver, 1)
    saver.put_writes(at(id="c0", ttl=10), [("t", "a", 1)], "")
    assert ttl_of(saver) <= 10
    if write == "put":
        saver.put(at(ns="other"), state("new"), {})
    elif write == "put again":
        saver.put(at(), state("c0"), {})
    elif write == "put_writes":
        saver.put_writes(at(id="c0"), [("t", "a", 2)], "")
    else:
        saver.put_writes(at(id="later"), [("t", "a", 2)], "")
    assert 90 < ttl_of(saver) <= 100


@pytest.mark.parametrize("ttl", [20, 20.5, timedelta(seconds=20)])
def test_the_config_overrides_the_ttl(store, ttl):
    saver = store.open(ttl=100)
    saver.put(at(ttl=ttl), state("c0"), {})
    assert 10 < ttl_of(saver) <= 20.5


def test_the_config_may_ask_for_a_ttl_where_the_saver_has_none(saver):
    saver.put(at(ttl=20), state("c0"), {})
    assert 10 < ttl_of(saver) <= 20
    saver.put_writes(at("other", id="c0", ttl=30), [("t", "a", 1)], "")
    assert 20 < ttl_of(saver, "other") <= 30


def test_the_config_may_ask_for_no_ttl(store):
    saver = store.open(ttl=100)
    store.keeps_ttl = False
    fill(saver, 2)
    saver.put(at(ttl=None), state("c9"), {})
    assert ttl_of(saver) is None
    saver.get_tuple(at())
    assert ttl_of(saver) is None


def test_the_returned_config_carries_no_ttl(store):
    saver = store.open(ttl=100)
    assert saver.put(at(ttl=20), state("c0"), {}) == at(ns="", id="c0")


READS = {
    "get_tuple": lambda saver: saver.get_tuple(at()),
    "get_tuple by id": lambda saver: saver.get_tuple(at(id="c0")),
    "get": lambda saver: saver.get(at()),
    "get_by_id": lambda saver: saver.get_by_id("c0", "thread"),
    "list": lambda saver: saver.list(at()),
    "get_pending_writes": lambda saver: saver.get_pending_writes(at(id="c0")),
}


@pytest.mark.parametrize("read", READS)
def test_reading_renews_the_ttl(store, read):
    saver = store.open(ttl=10)
    fill(saver, 2)
    saver.put_writes(at(id="c0"), [("t", "a", 1)], "")
    until(lambda: ttl_of(saver) < 9.8)
    before = deadline_of(store, saver)
    READS[read](saver)
    assert deadline_of(store, saver) > before


@pytest.mark.parametrize("read", READS)
def test_reading_leaves_the_ttl_alone_without_refresh_on_read(store, read):
    saver = store.open(ttl=10, refresh_on_read=False)
    fill(saver, 2)
    saver.put_writes(at(id="c0"), [("t", "a", 1)], "")
    until(lambda: ttl_of(saver) < 9.8)
    before = deadline_of(store, saver)
    READS[read](saver)
    assert deadline_of(store, saver) == before


def test_reading_gives_a_thread_the_ttl_that_its_last_write_asked_for(store):
    saver = store.open(ttl=100)
    saver.put(at(ttl=20), state("c0"), {})
    until(lambda: ttl_of(saver) < 19.7)
    before = deadline_of(store, saver)
    saver.get_tuple(at())
    assert 0 < deadline_of(store, saver) - before < 20_000
    assert ttl_of(saver) <= 20


def test_reading_a_missing_thread_does_not_create_it(store):
    saver = store.open(ttl=100)
    for read in READS.values():
        read(saver)
    assert thread_ids(saver) == []


def test_a_thread_that_is_read_often_outlives_its_ttl(store):
    saver = store.open(ttl=1)

    def outlives():
        fill(saver, 1)
        begun = asked = time.monotonic()
        while asked < begun + 1.2:
            before, asked = asked, time.monotonic()
            found = saver.get_tuple(at())
            if found is None and time.monotonic() > before + 0.9:
                return False  # this process stood still for so long that it did not read often
            assert found is not None
            time.sleep(0.02)
        return True

    until(outlives, seconds=60)


def test_listing_threads_does_not_renew_their_ttl(store):
    saver = store.open(ttl=10)
    fill(saver, 1)
    until(lambda: ttl_of(saver) < 9.8)
    before = deadline_of(store, saver)
    saver.list_threads()
    assert deadline_of(store, saver) == before


def test_a_copy_gets_the_ttl_of_the_saver(store):
    saver = store.open(ttl=100)
    saver.put(at(ttl=10), state("c0"), {})
    saver.put_writes(at(id="c0", ttl=10), [("t", "a", 1)], "")
    saver.copy_thread("thread", "copy")
    assert 90 < ttl_of(saver, "copy") <= 100
    assert ttl_of(saver) <= 10


def test_pruning_leaves_the_ttl_as_it_is(store):
    saver = store.open(ttl=100)
    for number in range(4):
        saver.put(at(ns=f"{number % 2}", ttl=10), state(f"c{number}"), {})
    saver.prune("thread", 1)
    assert 0 < ttl_of(saver) <= 10
    saver.prune("thread", 0)


def test_threads_expire_each_by_its_own_deadline(store):
    saver = store.open(ttl=100, refresh_on_read=False)
    saver.put(at("brief", ttl=SHORT), state("c"), {})
    saver.put(at("long"), state("c"), {})
    until(lambda: thread_ids(saver) == ["long"])
    assert saver.get_tuple(at("long")) is not None


def test_keep_last_prunes_with_every_put(store):
    saver = store.open(keep_last=3)
    fill(saver, 10)
    assert ids(saver.list(at(), limit=None)) == ["c9", "c8", "c7"]
    assert thread_info(saver).checkpoints == 3
    assert saver.get_tuple(at(id="c0")) is None


def test_keep_last_one_keeps_the_newest(store):
    saver = store.open(keep_last=1)
    fill(saver, 4)
    assert ids(saver.list(at())) == ["c3"]


def test_keep_last_counts_each_namespace_and_thread_by_itself(store):
    saver = store.open(keep_last=2)
    for thread in "ab":
        for ns in ("", "x"):
            fill(saver, 4, thread, ns)
    for thread in "ab":
        for ns in ("", "x"):
            assert ids(saver.list(at(thread, ns))) == ["c3", "c2"]


def test_keep_last_takes_the_writes_along(store):
    saver = store.open(keep_last=2)
    for number in range(4):
        config = saver.put(at(), state(f"c{number}"), {})
        saver.put_writes(config, [("t", "a", number)], "")
    assert saver.get_pending_writes(at(id="c1")) == []
    assert saver.get_pending_writes(at(id="c2")) == [("t", "a", 2)]


def test_keep_last_removes_nothing_when_an_id_is_stored_again(store):
    saver = store.open(keep_last=2)
    fill(saver, 2)
    fill(saver, 2)
    assert ids(saver.list(at())) == ["c1", "c0"]


def test_keep_last_catches_up_with_a_long_thread_a_bounded_number_at_a_time(shared_store):
    fill(shared_store.open(), 120)
    saver = shared_store.open(keep_last=2)
    counts = []
    for number in range(30):
        saver.put(at(), state(f"new{number}"), {})
        counts.append(thread_info(saver).checkpoints)
    assert counts[-1] == 2
    removed = [before + 1 - after for before, after in zip([120, *counts], counts, strict=False)]
    assert 1 < max(removed) <= 64
    assert ids(saver.list(at())) == ["new29", "new28"]


@pytest.mark.parametrize("age", [SHORT, timedelta(seconds=SHORT)])
@pytest.mark.stored
def test_max_age_has_the_next_put_remove_older_checkpoints(store, age):
    saver = store.open(max_age=age)
    saver.put_writes(at(id="c0"), [("t", "a", 1)], "")  # before: it may be old before the others are stored
    fill(saver, 3)
    fill(saver, 1, ns="a")
    until_after(time.time() + SHORT + 0.05)
    saver.put(at(), state("new"), {})
    assert ids(saver.list(at())) == ["new"]
    assert saver.get_pending_writes(at(id="c0")) == []
    assert ids(saver.list(at(ns="a"))) == ["c0"]


def test_max_age_never_removes_the_newest(store):
    saver = store.open(max_age=0.001)
    fill(saver, 1)
    until_after(time.time() + 0.05)
    saver.put(at(), state("c0", again=True), {})
    assert ids(saver.list(at())) == ["c0"]
    assert saver.get(at()) == state("c0", again=True)


def test_max_age_keeps_younger_checkpoints(store):
    saver = store.open(max_age=100)
    fill(saver, 3)
    assert ids(saver.list(at())) == ["c2", "c1", "c0"]


def test_max_age_catches_up_a_bounded_number_at_a_time(shared_store):
    fill(shared_store.open(), 120)
    until_after(time.time() + 0.02)
    saver = shared_store.open(max_age=0.01)
    saver.put(at(), state("new"), {})
    assert thread_info(saver).checkpoints > 40

    def pruned():
        saver.put(at(), state("new"), {})
        return thread_info(saver).checkpoints == 1

    until(pruned)
    assert ids(saver.list(at())) == ["new"]


def test_keep_last_and_max_age_work_together(store):
    saver = store.open(keep_last=3, max_age=100, ttl=100)
    fill(saver, 5)
    assert ids(saver.list(at())) == ["c4", "c3", "c2"]
    assert 90 < ttl_of(saver) <= 100


def deadlines(store, thread="thread"):
    """The deadlines of the keys of a thread, in ms."""
    client = store.client()
    return {client.pexpiretime(key) for key in store.all_keys() if f"{{{thread}}}".encode() in key}


def test_every_redis_key_of_a_thread_has_the_same_deadline(redis_store):
    saver = redis_store.open(ttl=100)
    fill(saver, 2)
    saver.put_writes(at(id="c0", ttl=20), [("t", "a", 1)], "")
    assert len(deadlines(redis_store)) == 1
    (first,) = deadlines(redis_store)
    # A hundredth of the ttl, and a bit.
    until_after(time.time() + 0.21)
    saver.get_tuple(at())
    assert len(deadlines(redis_store)) == 1
    assert deadlines(redis_store).pop() > first
    client = redis_store.client()
    saver.copy_thread("thread", "thread copied")
    assert all(client.pttl(key) > 0 for key in redis_store.all_keys() if b"{" in key)


def test_a_deadline_that_would_hardly_come_later_stays_and_a_new_key_gets_it(redis_store):
    saver = redis_store.open(ttl=1000)
    fill(saver, 2)
    (first,) = deadlines(redis_store)
    until_after(time.time() + 0.002)
    fill(saver, 2, start=2)
    saver.get_tuple(at())
    assert deadlines(redis_store) == {first}
    # These make new keys: for pending writes, and for a log.
    for store_more in (
        lambda: saver.put_writes(at(id="c0"), [("t", "a", 1)], ""),
        lambda: saver.put(at(), state("large", text="x" * 10_000), {}),
    ):
        keys = len(redis_store.all_keys())
        store_more()
        assert len(redis_store.all_keys()) == keys + 1
        assert len(deadlines(redis_store)) == 1
    assert first <= deadlines(redis_store).pop() <= first + 60_000


@pytest.mark.parametrize("ttl", [999, 1001, 5, 100_000])
def test_another_ttl_holds_at_once(redis_store, ttl):
    fill(redis_store.open(ttl=1000), 2)
    before = time.time() * 1000
    redis_store.open(ttl=ttl).put(at(), state("c9"), {})
    (found,) = deadlines(redis_store)
    assert before + ttl * 1000 - 1 <= found <= time.time() * 1000 + ttl * 1000 + 1


def test_no_ttl_holds_at_once(redis_store):
    fill(redis_store.open(ttl=1000), 2)
    redis_store.open().put(at(), state("c9"), {})
    assert deadlines(redis_store) == {-1}


def test_a_thread_outlives_its_lease_and_gets_its_own_deadline_again(redis_store):
    saver = redis_store.open(ttl=100)
    fill(saver, 2)
    with saver.lease("thread", ttl=1000) as lease:
        saver.put(lease.config(), state("leased"), {})
        assert deadlines(redis_store).pop() > time.time() * 1000 + 900_000
    fill(saver, 1, start=3)
    (found,) = deadlines(redis_store)
    assert 90_000 < found - time.time() * 1000 <= 100_001
