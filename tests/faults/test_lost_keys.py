"""Threads with missing keys, or keys that something else wrote: corruption, never another state."""

from __future__ import annotations

import pytest
import redis
from support.calls import CALLS, check
from support.data import at, fill
from support.stores import REDIS_STORES, make_store, matrix

from zerograph_redis import CorruptCheckpointError

TRUTHS = {name: CALLS[name] for name in ("get_tuple", "get_tuple by id", "get_pending_writes", "list", "get_by_id")}


@pytest.fixture(params=matrix(name for name in REDIS_STORES if not name.startswith("cluster")))
def redis_store(request):
    """Every kind of Redis client but those of a cluster, which keeps a thread just as a single server does."""
    store = make_store(request.param, request)
    yield store
    store.close()


def stored_thread(store, *, writes):
    saver = store.open()
    fill(saver, 3)
    if writes:
        saver.put_writes(at(id="c0"), [("t", "a", 1)], "")
        saver.put_writes(at(id="c2"), [("t", "a", 1)], "")
    return saver


def damaged_threads(store, saver, *, writes=True, damage=lambda client, key: client.delete(key)):
    """Damage one key after the other of a thread, which is stored again each time; the keys."""
    keys = sorted(key for key in store.all_keys() if b"{" in key)
    assert keys
    for key in keys:
        damage(store.client(), key)
        yield key
        store.client().delete(key)
        saver.delete_thread("thread")
        assert store.all_keys() == []
        stored_thread(store, writes=writes)


@pytest.mark.parametrize("writes", [True, False], ids=["with-writes", "without-writes"])
@pytest.mark.parametrize("call", ["put", "put again", "put_writes"])
def test_a_thread_that_lost_a_key_refuses_writes(redis_store, call, writes):
    saver = stored_thread(redis_store, writes=writes)
    for _ in damaged_threads(redis_store, saver, writes=writes):
        with pytest.raises(CorruptCheckpointError, match="'thread'") as caught:
            CALLS[call](saver)
        check(caught.value, redis.ResponseError)


@pytest.mark.parametrize("writes", [True, False], ids=["with-writes", "without-writes"])
@pytest.mark.parametrize("call", TRUTHS)
def test_a_thread_that_lost_a_key_never_reads_as_something_else(redis_store, call, writes):
    saver = stored_thread(redis_store, writes=writes)
    truth = TRUTHS[call](saver)
    refused = 0
    for key in damaged_threads(redis_store, saver, writes=writes):
        try:
            # A read that does not need the missing key may still answer, with the truth.
            assert TRUTHS[call](saver) == truth, key
        except CorruptCheckpointError as error:
            assert "'thread'" in str(error)  # noqa: PT017 - either outcome is right
            refused += 1
    assert refused >= (call != "get_pending_writes")


def test_a_list_of_a_thread_that_lost_a_key_is_always_refused(redis_store):
    saver = stored_thread(redis_store, writes=True)
    for _ in damaged_threads(redis_store, saver):
        with pytest.raises(CorruptCheckpointError):
            saver.list(at())
        with pytest.raises(CorruptCheckpointError):
            saver.copy_thread("thread", "copy")
        with pytest.raises(CorruptCheckpointError):
            saver.prune("thread", 1)


def test_a_damaged_thread_can_be_deleted_and_written_again(redis_store):
    saver = stored_thread(redis_store, writes=True)
    for _ in damaged_threads(redis_store, saver):
        saver.delete_thread("thread")
        assert redis_store.all_keys() == []
        stored_thread(redis_store, writes=True)
        assert len(saver.list(at())) == 3


@pytest.mark.parametrize("call", ["put", "put_writes", "list", "get_tuple"])
def test_a_key_of_another_type_is_corruption(redis_store, call):
    saver = stored_thread(redis_store, writes=True)
    truth = saver.get_tuple(at())
    damage = lambda client, key: client.set(key, "another program was here")  # noqa: E731
    for _ in damaged_threads(redis_store, saver, damage=damage):
        try:
            found = CALLS[call](saver)
        except CorruptCheckpointError as error:
            check(error, redis.ResponseError)
        else:
            # A call that does not need the key may go on; the reads that need it raise.
            assert call.startswith("put") or found == truth
            with pytest.raises(CorruptCheckpointError):
                saver.list(at())
