"""lease, its token, and conditional puts."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
from support.blocks import expire, stall
from support.data import at, everything, fill, ids, place, state, thread_ids, thread_info
from support.polling import until
from support.stores import on_one_store

from zerograph_redis import ConfigError, ConflictError, InMemorySaver, LeaseError, LeaseHeldError, LeaseLostError
from zerograph_redis.core.requests import LeaseThread

pytestmark = pytest.mark.stored

SHORT = 0.15

HOSTILE = ("DAMAGED goods", "WRONGTYPE", "x script: y", " \n%1f\ud800𝄞=")

WRITES = {
    "put": lambda saver, **token: saver.put(at(**token), state("new"), {}),
    "put again": lambda saver, **token: saver.put(at(**token), state("c1", changed=True), {}),
    "put_writes": lambda saver, **token: saver.put_writes(at(id="c1", **token), [("t", "b", 2)], ""),
    "prune": lambda saver, **token: saver.prune("thread", 1, **token),
    "delete_thread": lambda saver, **token: saver.delete_thread("thread", **token),
}


def stored(saver):
    fill(saver, 3)
    fill(saver, 2, ns="x")
    saver.put_writes(at(id="c1"), [("t", "a", 1)], "")
    return saver


def whole(saver, thread="thread"):
    info = thread_info(saver, thread)
    known = info and (info.created, info.updated, info.checkpoints, info.namespaces, info.bytes)
    return everything(saver, thread, "", "x"), known


def is_free(saver, thread="thread"):
    try:
        with saver.lease(thread, ttl=100):
            return True
    except LeaseHeldError:
        return False


def time_left(saver):
    with pytest.raises(LeaseHeldError) as caught:
        saver.lease("thread").__enter__()
    return caught.value.seconds_left


def wait_for_renewal(saver):
    """Wait until a lease that another worker holds has more time left than a moment before."""
    left = [time_left(saver)]

    def has_grown():
        left.append(time_left(saver))
        return left[-1] > left[-2]

    until(has_grown, pause=0.02)


@contextmanager
def lost(saver, thread="thread"):
    """A lease that expired in its block."""
    with saver.lease(thread, ttl=60) as lease:
        expire(lease, saver)
        until(lambda: is_free(saver.stranger(), thread))
        yield lease


def test_a_lease_is_held_by_one_of_many_that_ask_at_once(saver):
    start, ended = threading.Barrier(12), threading.Event()

    def take(number):
        start.wait()
        try:
            with saver.saver.lease("thread", ttl=100, owner=f"worker {number}"):
                ended.wait(20)
                return True
        except LeaseHeldError as error:
            return error.owner

    with ThreadPoolExecutor(12) as pool:
        futures = [pool.submit(take, number) for number in range(12)]
        try:
            until(lambda: sum(future.done() for future in futures) == 11, seconds=20)
        finally:
            ended.set()
        results = [future.result() for future in futures]
    assert results.count(True) == 1
    assert {each for each in results if each is not True} == {f"worker {results.index(True)}"}


def test_a_lease_that_is_held_is_refused_with_its_owner_and_the_time_left(saver):
    with saver.lease("thread", ttl=60, owner="the first"):
        with pytest.raises(LeaseHeldError, match=r"'thread' is held by 'the first'") as caught:
            saver.stranger().lease("thread").__enter__()
        assert caught.value.owner == "the first"
        assert 50 < caught.value.seconds_left <= 60
        assert isinstance(caught.value, LeaseError)
    assert is_free(saver)


def test_a_lease_holds_one_thread_alone(saver):
    with saver.lease("thread") as first, saver.lease("{thread}") as second:
        assert first.token > 0
        assert second.token > 0
        saver.put(at(), state("c0"), {})
        saver.put(at("{thread}"), state("c0"), {})
        saver.stranger().put(at("third"), state("c0"), {})
    assert sorted(thread_ids(saver)) == ["third", "thread", "{thread}"]


@pytest.mark.parametrize("owner", HOSTILE)
def test_any_text_names_an_owner(saver, owner):
    saver.put(at(), state("c0"), {})
    with saver.lease("thread", ttl=60, owner=owner) as lease:
        assert lease.owner == owner
        for call in (lambda other: other.lease("thread").__enter__(), lambda other: other.put(at(), state("c1"), {})):
            with pytest.raises(LeaseHeldError) as caught:
                call(saver.stranger())
            assert caught.value.owner == owner
        with pytest.raises(LeaseLostError):
            saver.stranger().put(at(lease_token=lease.token - 1), state("c1"), {})


def test_a_waiting_worker_gets_a_lease_that_is_released(saver):
    held, others = threading.Event(), []

    def hold():
        with saver.saver.lease("thread", ttl=60) as lease:
            others.append(lease.token)
            held.set()
            asked.wait(20)

    asked = threading.Event()
    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(20)
    timer = threading.Timer(0.1, asked.set)
    timer.start()
    with saver.lease("thread", ttl=60, wait=20) as lease:
        assert asked.is_set()
        assert lease.token > others[0]
    holder.join()
    timer.join()


def test_a_waiting_worker_gets_a_lease_that_expires(saver):
    with saver.lease("thread", ttl=SHORT) as first:
        stall(first)
        with saver.stranger().lease("thread", wait=20) as second:
            assert second.token > first.token


def test_waiting_in_vain_raises_an_error_that_names_the_owner(saver):
    with saver.lease("thread", owner="the first"):
        begun = time.monotonic()
        with pytest.raises(LeaseHeldError, match="the first"):
            saver.stranger().lease("thread", wait=0.2).__enter__()
        assert time.monotonic() - begun >= 0.2


def test_a_lease_is_renewed_again_and_again_while_its_block_runs(saver):
    other = saver.stranger()
    with saver.lease("thread", ttl=3) as lease:
        for _ in range(2):
            wait_for_renewal(other)
        saver.put(at(), state("c0"), {})
        assert not lease.lost
    assert is_free(other)


@pytest.mark.parametrize("write", WRITES)
def test_a_worker_that_lost_its_lease_stores_nothing(saver, write):
    stored(saver)
    other = saver.stranger()
    with lost(saver) as lease:
        before = whole(saver)
        for carried in ({}, {"lease_token": lease.token}):
            with pytest.raises(LeaseLostError, match="'thread'"):
                WRITES[write](saver, **carried)
            with other.lease("thread", owner="the next"), pytest.raises(LeaseLostError, match="'the next'"):
                WRITES[write](saver, **carried)
        assert whole(saver) == before
        with other.lease("thread"):
            WRITES[write](other)
            assert whole(saver) != before
        WRITES[write](other)
        with pytest.raises(LeaseLostError):
            WRITES[write](saver)


def test_a_worker_that_lost_the_lease_of_a_deleted_thread_stores_nothing(saver):
    with lost(saver):
        for write in WRITES.values():
            with pytest.raises(LeaseLostError):
                write(saver)
        saver.stranger().delete_thread("thread")
        for write in WRITES.values():
            with pytest.raises(LeaseLostError):
                write(saver)
    assert thread_ids(saver) == []


def test_a_copy_into_a_thread_whose_lease_was_lost_is_refused(saver):
    fill(saver, 2, "source")
    with lost(saver), pytest.raises(LeaseLostError):
        saver.copy_thread("source", "thread")
    assert thread_ids(saver) == ["source"]


def test_tokens_only_grow(saver):
    tokens = []

    def take(other):
        with other.lease("thread", ttl=100) as lease:
            tokens.append(lease.token)

    take(saver)
    take(saver.stranger())
    fill(saver, 2)
    take(saver)
    with lost(saver) as lease:
        tokens.append(lease.token)
        take(saver.stranger())
    saver.delete_thread("thread")
    take(saver)
    with saver.lease("thread", ttl=100) as lease:
        tokens.append(lease.token)
        fill(saver, 2)
        saver.delete_thread("thread")
    take(saver)
    fill(saver, 1)
    saver.prune("thread", 0)
    take(saver)
    saver.put(at(ttl=SHORT), state("c0"), {})
    until(lambda: not thread_ids(saver))
    take(saver)
    # `lost` takes some of them, too, when it checks whether they are free.
    assert tokens == sorted(set(tokens))


def test_a_lease_released_late_leaves_the_next_one_alone(saver):
    other = saver.stranger()
    with saver.lease("thread", ttl=SHORT) as first:
        stall(first)
        until(lambda: is_free(other))
        newer = other.lease("thread", ttl=100)
        newer.__enter__()
    assert not is_free(saver)
    newer.__exit__(None, None, None)
    assert is_free(saver)


@pytest.mark.parametrize("write", WRITES)
def test_a_write_without_a_token_is_refused_while_another_holds_the_thread(saver, write):
    stored(saver)
    with saver.lease("thread", owner="the holder"):
        before = whole(saver)
        with pytest.raises(LeaseHeldError, match="'thread' is held by 'the holder'") as caught:
            WRITES[write](saver.stranger())
        assert caught.value.owner == "the holder"
        assert 0 < caught.value.seconds_left <= 30
        assert whole(saver) == before
    WRITES[write](saver.stranger())
    assert whole(saver) != before


def test_a_copy_into_a_thread_that_another_holds_is_refused(saver):
    fill(saver, 2, "source")
    with saver.lease("target", owner="the holder"):
        with pytest.raises(LeaseHeldError, match="'target' is held by 'the holder'"):
            saver.stranger().copy_thread("source", "target")
        assert thread_ids(saver) == ["source"]
        assert saver.copy_thread("source", "target") == 2
        assert not is_free(saver.stranger(), "target")
        saver.put(at("target"), state("next"), {})
    assert ids(saver.list(at("target"))) == ["next", "c1", "c0"]


def test_a_thread_that_another_holds_can_be_copied_from(saver):
    stored(saver)
    with saver.lease("thread"):
        assert saver.stranger().copy_thread("thread", "copy") == 5
    assert everything(saver, "copy", "", "x") == everything(saver, "thread", "", "x")
    assert is_free(saver, "copy")


def test_a_copy_is_not_held_though_its_source_is(saver):
    stored(saver)
    with saver.lease("thread"):
        saver.copy_thread("thread", "copy")
        saver.stranger().put(at("copy"), state("next"), {})


def test_reading_needs_no_lease(saver):
    stored(saver)
    before = whole(saver)
    with saver.lease("thread"):
        other = saver.stranger()
        assert whole(other) == before
        assert other.get(at())["id"] == "c2"
        assert other.get_tuple(at(id="c1")).pending_writes == [("t", "a", 1)]
        assert other.get_pending_writes(at(id="c1")) == [("t", "a", 1)]
        assert place(other.get_by_id("c1").config)[0] == "thread"
        assert thread_ids(other) == ["thread"]


def test_a_saver_may_refuse_every_write_without_a_lease(store):
    saver = store.open(require_lease=True)
    with saver.lease("thread"):
        stored(saver)
    before = whole(saver)
    with saver.lease("other"):
        for write in WRITES.values():
            with pytest.raises(LeaseError, match="'thread' may only be written under a lease"):
                write(saver)
        with pytest.raises(LeaseError, match="'copy' may only be written under a lease"):
            saver.copy_thread("thread", "copy")
    assert whole(saver) == before
    assert thread_ids(saver) == ["thread"]
    with saver.lease("copy"):
        assert saver.copy_thread("thread", "copy") == 5
    with saver.lease("thread"):
        for write in WRITES.values():
            write(saver)
    assert thread_ids(saver) == ["copy"]


def test_a_thread_that_does_not_exist_yet_can_be_held(saver):
    with saver.lease("thread", ttl=100):
        assert thread_ids(saver) == []
        assert saver.get_tuple(at()) is None
        assert saver.list(at()) == []
        assert saver.get_pending_writes(at(id="c0")) == []
        assert saver.prune("thread", 0) == 0
        saver.delete_thread("thread")
        with pytest.raises(LeaseHeldError):
            saver.stranger().put(at(), state("c0"), {})
        fill(saver, 2)
        assert thread_info(saver).ttl is None
        assert not is_free(saver.stranger())
    assert ids(saver.list(at())) == ["c1", "c0"]
    fill(saver, 1, start=2)


def test_a_lease_of_a_thread_that_is_never_written_leaves_nothing_lasting(redis_store):
    saver = redis_store.open()
    with saver.lease("thread", ttl=10):
        assert len(redis_store.all_keys()) == 1
    (key,) = redis_store.all_keys()
    # The last token is remembered for a while.
    assert 0 < redis_store.client().pttl(key) <= 60_000
    with lost(saver, "other"):
        pass
    assert all(0 < redis_store.client().pttl(key) <= 160_100 for key in redis_store.all_keys())
    for thread in ("thread", "other"):
        saver.delete_thread(thread)
    assert redis_store.all_keys() == []


def test_a_thread_deleted_under_its_lease_stays_held_and_leaves_nothing(store):
    saver = store.open()
    with saver.lease("thread", ttl=60) as lease:
        stored(saver)
        saver.delete_thread("thread")
        assert thread_ids(saver) == []
        assert saver.get_tuple(at()) is None
        assert not is_free(saver.stranger())
        fill(saver, 1)
        assert not is_free(saver.stranger())
        saver.delete_thread("thread", lease_token=lease.token)
        expire(lease, saver)
        until(lambda: is_free(saver.stranger()))
        assert thread_ids(saver) == []
    if hasattr(store, "all_keys"):
        client = store.client()
        assert all(client.pttl(key) > 0 for key in store.all_keys())


def test_a_lease_that_expires_after_its_thread_was_deleted_leaves_no_key(redis_store):
    saver = redis_store.open()
    stored(saver)
    with saver.lease("thread", ttl=1) as lease:
        saver.delete_thread("thread", lease_token=lease.token)
        stall(lease)
        until(lambda: not redis_store.all_keys())


def test_a_thread_pruned_to_nothing_under_its_lease_stays_held(saver):
    with saver.lease("thread", ttl=100):
        fill(saver, 2)
        assert saver.prune("thread", 0) == 2
        assert thread_ids(saver) == []
        assert not is_free(saver.stranger())
        fill(saver, 1)
    assert ids(saver.list(at())) == ["c0"]


def test_a_held_thread_stays_held_though_its_ttl_is_shorter(store):
    saver = store.open(ttl=SHORT, refresh_on_read=False)
    other = saver.stranger()
    with saver.lease("thread", ttl=100) as lease:
        fill(saver, 2)
        end = time.monotonic() + 3 * SHORT
        while time.monotonic() < end:
            assert not is_free(other)
            with pytest.raises(LeaseHeldError):
                other.put(at(), state("theirs"), {})
            time.sleep(0.02)
        saver.put(at(), state("mine"), {})
        assert not lease.lost


def test_a_held_thread_stays_held_though_its_ttl_ends_between_renewals(store):
    saver = store.open(ttl=SHORT, refresh_on_read=False)
    other = saver.stranger()
    with saver.lease("thread", ttl=3) as lease:
        saver.put_writes(at(id="c0"), [("t", "a", 1)], "")
        wait_for_renewal(other)
        end = time.monotonic() + 2 * SHORT
        while time.monotonic() < end:
            assert not is_free(other)
            time.sleep(0.02)
        saver.put(at(), state("mine"), {})
        assert not lease.lost


def test_a_thread_with_a_ttl_expires_some_time_after_its_lease(store):
    saver = store.open(ttl=SHORT, refresh_on_read=False)
    with saver.lease("thread", ttl=60) as lease:
        fill(saver, 2)
        saver.put_writes(at(id="c0"), [("t", "a", 1)], "")
        expire(lease, saver)
    until(lambda: saver.get_tuple(at()) is None)
    assert thread_ids(saver) == []
    fill(saver, 1)
    assert ids(saver.list(at())) == ["c0"]


def test_a_thread_without_a_ttl_stays_when_its_lease_ends(saver):
    fill(saver, 1)
    with saver.lease("thread", ttl=60) as lease:
        fill(saver, 1, start=1)
        expire(lease, saver)
    with lost(saver):
        pass
    assert thread_info(saver).ttl is None
    with saver.lease("new", ttl=60) as lease:
        fill(saver, 2, "new")
        expire(lease, saver)
    with lost(saver, "new"):
        pass
    assert thread_info(saver, "new").ttl is None


def test_the_config_of_a_lease_carries_its_token(saver):
    with saver.lease("thread", ttl=100) as lease:
        config = lease.config()
        assert config == {"configurable": {"thread_id": "thread", "lease_token": lease.token}}
        assert lease.config(user="u", checkpoint_ns="x")["configurable"] == {
            "user": "u",
            "checkpoint_ns": "x",
            "thread_id": "thread",
            "lease_token": lease.token,
        }
        other = saver.stranger()
        other.put(config, state("c0"), {})
        other.put_writes(lease.config(checkpoint_id="c0"), [("t", "a", 1)], "")
        assert other.get_tuple(config).pending_writes == [("t", "a", 1)]
        assert other.prune("thread", 1, lease_token=lease.token) == 0
        other.delete_thread("thread", lease_token=lease.token)
    assert thread_ids(saver) == []


def test_a_lease_has_no_token_outside_of_its_block(saver):
    with saver.lease("thread") as lease:
        assert lease.token
    for call in (lambda: lease.token, lease.config):
        with pytest.raises(LeaseLostError, match="'thread'"):
            call()
    fill(saver, 1)


def test_a_config_without_a_token_is_enough_in_the_block(saver):
    with saver.lease("thread"):
        config = saver.put(at(), state("c0"), {})
        saver.put(config, state("c1"), {})
        saver.put_writes(config, [("t", "a", 1)], "")
        saver.put({"configurable": {"thread_id": "thread", "lease_token": None}}, state("c2"), {})
        assert saver.prune("thread", 2) == 1
    assert ids(saver.list(at())) == ["c2", "c1"]


def test_a_lease_does_not_cover_a_thread_of_the_same_name_in_another_store(saver):
    elsewhere = InMemorySaver()
    with saver.lease("thread"):
        elsewhere.put(at(), state("c0"), {})
        with elsewhere.lease("thread"):
            elsewhere.put(at(), state("c1"), {})
            saver.put(at(), state("c0"), {})
        saver.put(at(), state("c1"), {})
    assert ids(saver.list(at())) == ids(elsewhere.list(at())) == ["c1", "c0"]
    elsewhere.close()


def test_a_lease_does_not_cover_a_thread_of_the_same_name_under_another_prefix(redis_store):
    saver, other = redis_store.open(), redis_store.open(prefix=redis_store.prefix + "2")
    with saver.lease("thread"):
        fill(other, 1)
        fill(saver, 1)
    assert thread_ids(saver) == thread_ids(other) == ["thread"]


def test_work_that_continues_after_its_block_stores_nothing(saver):
    stored(saver)
    with saver.lease("thread"):
        late = saver.copied()
    before = whole(saver)
    for write in WRITES.values():
        with pytest.raises(LeaseLostError, match="'thread'"):
            write(late)
    assert whole(saver) == before
    for write in WRITES.values():
        write(saver)


def test_a_lease_taken_in_the_block_of_a_lost_one_leaves_that_one_lost(saver):
    stored(saver)
    with lost(saver):
        with saver.lease("thread", ttl=60):
            saver.put(at(), state("new"), {})
        with pytest.raises(LeaseLostError):
            saver.put(at(), state("late"), {})
    saver.put(at(), state("free"), {})
    assert ids(saver.list(at()))[:2] == ["free", "new"]


def test_blocks_of_leases_may_be_left_in_any_order(saver):
    for first, second in (("a", "b"), ("b", "a")):
        with ExitStack() as other:
            with ExitStack() as one:
                one.enter_context(saver.lease(first))
                other.enter_context(saver.lease(second))
                fill(saver, 1, first)
            fill(saver, 1, first)
            fill(saver, 1, second)
            assert not is_free(saver.stranger(), second)
        fill(saver, 1, second)


def test_blocks_of_several_leases_may_stand_in_one_another(saver):
    with saver.lease("a"):
        with saver.lease("b"):
            fill(saver, 1, "a")
            fill(saver, 1, "b")
        fill(saver, 1, "a", start=1)
        fill(saver, 1, "b", start=1)
        with pytest.raises(LeaseHeldError), saver.lease("a"):
            pass
        fill(saver, 1, "a", start=2)
    assert len(saver.list(at("a"))) == 3


@on_one_store
@pytest.mark.parametrize("write", WRITES)
def test_a_value_that_is_not_a_token_is_refused(saver, write):
    stored(saver)
    before = whole(saver)
    for wrong in ("7", 7.0, b"7", True, [7], {}):
        with pytest.raises(ConfigError, match="lease_token"):
            WRITES[write](saver, lease_token=wrong)
    assert whole(saver) == before


def test_a_token_that_never_was_is_refused(saver):
    stored(saver)
    before = whole(saver)
    for token in (0, -1, 2**62, 2**70):
        for write in WRITES.values():
            with pytest.raises(LeaseLostError):
                write(saver, lease_token=token)
    with saver.lease("thread") as lease:
        for write in WRITES.values():
            with pytest.raises(LeaseLostError):
                write(saver, lease_token=lease.token + 1)
    assert whole(saver) == before


@on_one_store
def test_a_lease_needs_a_thread_and_an_end(saver):
    for wrong in (0, -1, None, True, "30", float("nan"), float("inf")):
        with pytest.raises(ValueError, match="ttl"):
            saver.saver.lease("thread", ttl=wrong)
    for wrong in ("", None, 1.5, b"x", True):
        with pytest.raises(ConfigError, match="thread_id"):
            saver.saver.lease(wrong)


def test_a_conditional_put_is_stored_if_the_newest_is_the_expected_one(saver):
    saver.put(at(expect_checkpoint_id=None), state("c0"), {})
    config = saver.put(at(expect_checkpoint_id="c0"), state("c1"), {})
    assert place(config) == ("thread", "", "c1")
    saver.put(at(id="c0", expect_checkpoint_id="c1"), state("fork"), {})
    assert ids(saver.list(at())) == ["fork", "c1", "c0"]
    assert place(saver.get_tuple(at()).parent_config)[2] == "c0"


def test_a_conditional_put_is_refused_with_what_was_found_instead(saver):
    stored(saver)
    before = whole(saver)
    for expected in ("c1", None, "unknown", "c", "\ud800"):
        with pytest.raises(ConflictError, match=r"'thread'.*'c2'") as caught:
            saver.put(at(expect_checkpoint_id=expected), state("new"), {})
        assert repr(expected) in str(caught.value)
        assert whole(saver) == before
    with pytest.raises(ConflictError, match="None"):
        saver.put(at("empty", expect_checkpoint_id="c0"), state("new"), {})
    assert thread_ids(saver) == ["thread"]


@pytest.mark.parametrize("name", HOSTILE)
def test_any_id_can_be_expected_and_found(saver, name):
    saver.put(at(expect_checkpoint_id=None), state(name), {})
    with pytest.raises(ConflictError) as caught:
        saver.put(at(expect_checkpoint_id="other"), state("c1"), {})
    assert repr(name) in str(caught.value)
    saver.put(at(expect_checkpoint_id=name), state("c1"), {})
    assert ids(saver.list(at())) == ["c1", name]


def test_a_conditional_put_that_is_tried_again_is_no_conflict(saver):
    for _ in range(2):
        saver.put(at(expect_checkpoint_id=None), state("c0", n=0), {})
    for _ in range(3):
        saver.put(at(id="c0", expect_checkpoint_id="c0"), state("c1", n=1), {})
    assert ids(saver.list(at())) == ["c1", "c0"]
    assert saver.get(at()) == state("c1", n=1)
    saver.put(at(expect_checkpoint_id=None), state("c0", n=0), {})  # as after a reply that was lost for long
    assert ids(saver.list(at())) == ["c1", "c0"]
    with pytest.raises(ConflictError):
        saver.put(at(expect_checkpoint_id=None), state("other"), {})


def test_a_condition_is_about_its_namespace(saver):
    fill(saver, 2)
    saver.put(at(ns="x", expect_checkpoint_id=None), state("x0"), {})
    with pytest.raises(ConflictError, match=r"namespace 'x'.*'x0'"):
        saver.put(at(ns="x", expect_checkpoint_id="c1"), state("x1"), {})
    saver.put(at(ns="x", expect_checkpoint_id="x0"), state("x1"), {})
    saver.put(at(expect_checkpoint_id="c1"), state("c2"), {})


def test_of_many_conditional_puts_at_once_one_is_stored(saver):
    fill(saver, 1)
    start = threading.Barrier(8)

    def put(number):
        start.wait()
        try:
            saver.saver.put(at(id="c0", expect_checkpoint_id="c0", durability="sync"), state(f"n{number}"), {})
        except ConflictError:
            return None
        return f"n{number}"

    with ThreadPoolExecutor(8) as pool:
        won = [each for each in pool.map(put, range(8)) if each]
    assert ids(saver.list(at())) == [*won, "c0"]
    assert len(won) == 1


@on_one_store
def test_an_invalid_expected_id_is_refused(saver):
    for wrong in ("", 1.5, b"c0", True, [None]):
        with pytest.raises(ConfigError, match="expect_checkpoint_id"):
            saver.put(at(expect_checkpoint_id=wrong), state("c0"), {})
    assert thread_ids(saver) == []


def test_a_condition_and_a_lease_go_together(saver):
    with saver.lease("thread") as lease:
        saver.put(lease.config(expect_checkpoint_id=None), state("c0"), {})
        with pytest.raises(ConflictError):
            saver.put(lease.config(expect_checkpoint_id="c7"), state("c1"), {})
        with pytest.raises(LeaseHeldError):
            saver.stranger().put(at(expect_checkpoint_id="c0"), state("c1"), {})
    assert ids(saver.list(at())) == ["c0"]


@pytest.mark.parametrize("name", WRITES)
def test_the_former_owner_of_a_broken_lease_is_fenced_off(saver, name):
    stored(saver)
    with saver.lease("thread", ttl=60, owner="the first") as lease:
        assert saver.stranger().break_lease("thread") == "the first"
        before = whole(saver)
        with pytest.raises(LeaseLostError, match="or was broken"):
            WRITES[name](saver, lease_token=lease.token)
        assert whole(saver) == before
        WRITES[name](saver.stranger())


def test_a_lease_after_a_broken_one_has_a_larger_token(saver):
    with saver.lease("thread", ttl=60) as first:
        saver.break_lease("thread")
        with saver.stranger().lease("thread", ttl=60, owner="the second") as second:
            assert second.token > first.token
            with pytest.raises(LeaseLostError, match="'the second' holds it now"):
                saver.stranger().put(at(lease_token=first.token), state("c0"), {})
            saver.stranger().put(at(lease_token=second.token), state("c0"), {})


def test_a_renewal_does_not_bring_a_broken_lease_back(saver):
    with saver.lease("thread", ttl=SHORT) as lease:
        saver.break_lease("thread")
        until(lambda: lease.lost)
        assert saver.stranger().break_lease("thread") is None
        saver.stranger().put(at(), state("c0"), {})


def test_a_broken_lease_leaves_the_thread_as_it_is(saver):
    stored(saver)
    before = whole(saver)
    with saver.lease("thread", ttl=60):
        saver.break_lease("thread")
    assert whole(saver) == before


def test_a_free_lease_cannot_be_broken(saver):
    assert saver.break_lease("thread") is None
    with saver.lease("thread", ttl=60):
        pass
    assert saver.break_lease("thread") is None
    with lost(saver):
        assert saver.stranger().break_lease("thread") is None


def test_a_break_that_is_repeated_names_the_owner_again(saver):
    request = LeaseThread("thread", "break", None, "attempt", "", 0)
    with saver.lease("thread", ttl=60, owner="the first"):
        replies = [saver.saver.store.backend.execute(request) for _ in range(2)]
        assert [(each.attempt, each.owner, each.left) for each in replies] == [("attempt", "the first", 0)] * 2


def test_a_thread_is_listed_with_the_lease_that_is_held(saver):
    fill(saver, 1, "free")
    fill(saver, 1, "held")
    with saver.lease("held", ttl=60, owner="näme\x1b of %{"), saver.lease("empty", ttl=60):
        lease = thread_info(saver, "held").lease
        assert lease.owner == "näme\x1b of %{"
        assert 50 < lease.seconds_left <= 60
        assert thread_info(saver, "free").lease is None
        assert sorted(thread_ids(saver)) == ["free", "held"]
        saver.break_lease("held")
        assert thread_info(saver, "held").lease is None
    with saver.lease("free", ttl=60):
        pass
    assert thread_info(saver, "free").lease is None
