"""list_threads and delete_thread."""

from datetime import UTC, datetime, timedelta

import pytest
from support.data import at, fill, ids, state, thread_ids, thread_info
from support.polling import until_after
from support.stores import on_one_store

from zerograph_redis import ConfigError, ThreadInfo


def test_an_empty_store_lists_no_threads(saver):
    assert list(saver.list_threads()) == []


def test_the_thread_written_last_comes_first(saver):
    for name in "abc":
        fill(saver, 1, name)
    assert thread_ids(saver) == ["c", "b", "a"]
    fill(saver, 1, "a", start=1)
    assert thread_ids(saver) == ["a", "c", "b"]
    saver.put_writes(at("b", id="c0"), [("t", "a", 1)], "")
    assert thread_ids(saver) == ["b", "a", "c"]


def test_reading_is_no_activity(saver):
    for name in "ab":
        fill(saver, 1, name)
    saver.get_tuple(at("a"))
    saver.list(at("a"))
    saver.get_pending_writes(at("a", id="c0"))
    assert thread_ids(saver) == ["b", "a"]


@pytest.mark.stored
def test_a_thread_is_described(saver):
    start = datetime.now(UTC)
    fill(saver, 3)
    fill(saver, 2, ns="a")
    saver.put_writes(at(id="c0"), [("t", "a", 1)], "")
    info = thread_info(saver)
    assert isinstance(info, ThreadInfo)
    assert info.thread_id == "thread"
    assert info.checkpoints == 5
    assert info.namespaces == 2
    assert info.bytes > 0
    assert info.ttl is None
    slack = timedelta(seconds=2)
    assert start - slack <= info.created < info.updated <= datetime.now(UTC) + slack
    assert info.created.utcoffset() == timedelta(0)


def test_created_stays_and_updated_moves(saver):
    fill(saver, 1)
    first = thread_info(saver)
    fill(saver, 1, start=1)
    second = thread_info(saver)
    assert second.created == first.created
    assert second.updated > first.updated


def test_bytes_follow_what_is_stored(saver):
    fill(saver, 1)
    small = thread_info(saver).bytes
    saver.put(at(), state("big", text="x" * 10_000), {})
    big = thread_info(saver).bytes
    assert big > small + 10_000
    saver.put_writes(at(id="big"), [("t", "a", "x" * 5_000)], "")
    assert thread_info(saver).bytes > big + 5_000
    saver.put_writes(at(id="big"), [("t", "a", "x")], "")
    assert thread_info(saver).bytes < big + 1_000
    saver.put(at(), state("big", text="x"), {})
    saver.put(at(), state("new"), {})
    saver.prune("thread", 1)
    assert 0 < thread_info(saver).bytes < 1_000


def test_a_thread_of_writes_alone_is_listed(saver):
    saver.put_writes(at(id="later"), [("t", "a", 1)], "")
    info = thread_info(saver)
    assert (info.checkpoints, info.namespaces) == (0, 0)
    assert info.bytes > 0


def test_storing_an_id_again_counts_once(saver):
    fill(saver, 2)
    fill(saver, 2)
    info = thread_info(saver)
    assert (info.checkpoints, info.namespaces) == (2, 1)


def test_limit_is_how_many_threads_are_listed(saver):
    for name in "abcd":
        fill(saver, 1, name)
    assert thread_ids(saver, limit=2) == ["d", "c"]
    assert thread_ids(saver, limit=0) == []
    assert thread_ids(saver, limit=None) == ["d", "c", "b", "a"]


@on_one_store
@pytest.mark.parametrize("wrong", [-1, 1.5, "3", True])
def test_an_invalid_limit_of_threads_is_refused(saver, wrong):
    with pytest.raises(ConfigError, match="limit"):
        saver.list_threads(limit=wrong)


def test_a_hundred_are_listed_by_default(saver):
    for number in range(130):
        saver.put(at(f"t{number}"), state("c"), {})
    expected = [f"t{number}" for number in range(129, -1, -1)]
    assert thread_ids(saver) == expected[:100]
    assert thread_ids(saver, limit=None) == expected
    assert thread_ids(saver, limit=115) == expected[:115]


def test_before_takes_a_thread_or_what_was_listed_of_it(saver):
    for name in "abcd":
        fill(saver, 1, name)
    listed = list(saver.list_threads())
    assert thread_ids(saver, before=listed[1]) == ["b", "a"]
    assert thread_ids(saver, before="c") == ["b", "a"]
    assert thread_ids(saver, before="c", limit=1) == ["b"]
    assert thread_ids(saver, before="a") == []


def test_before_an_unknown_thread_is_an_empty_list(saver):
    fill(saver, 1)
    assert thread_ids(saver, before="unknown") == []


def test_pages_of_threads_are_the_whole_list_even_if_the_last_one_is_deleted(saver):
    for number in range(12):
        fill(saver, 1, f"t{number}")
    seen, before = [], None
    while page := list(saver.list_threads(limit=5, before=before)):
        seen += [each.thread_id for each in page]
        before = page[-1]
        saver.delete_thread(before.thread_id)
    assert seen == [f"t{number}" for number in range(11, -1, -1)]


def test_delete_thread_removes_all_namespaces_and_writes(saver):
    fill(saver, 3)
    fill(saver, 3, ns="a|b")
    saver.put_writes(at(id="c0"), [("t", "a", 1)], "")
    saver.put_writes(at(ns="z", id="later"), [("t", "a", 1)], "")
    saver.delete_thread("thread")
    for ns in ("", "a|b", "z"):
        assert saver.list(at(ns=ns)) == []
        assert saver.get_tuple(at(ns=ns)) is None
    assert saver.get_pending_writes(at(id="c0")) == []
    assert saver.get_pending_writes(at(ns="z", id="later")) == []
    assert saver.get_by_id("c0", "thread") is None
    assert thread_ids(saver) == []


def test_delete_thread_leaves_other_threads_alone(saver):
    for name in ("a", "ab", "b"):
        fill(saver, 2, name)
    saver.delete_thread("a")
    assert thread_ids(saver) == ["b", "ab"]
    assert ids(saver.list(at("ab"))) == ["c1", "c0"]


def test_deleting_an_unknown_thread_is_a_no_op(saver):
    fill(saver, 1)
    saver.delete_thread("unknown")
    saver.delete_thread("unknown")
    assert thread_ids(saver) == ["thread"]


def test_a_deleted_thread_starts_empty(saver):
    fill(saver, 3)
    saver.put_writes(at(id="c0"), [("t", "a", 1)], "")
    created = thread_info(saver).created
    until_after(created.timestamp() + 0.001)
    saver.delete_thread("thread")
    fill(saver, 1)
    found = saver.get_tuple(at())
    assert found.parent_config is None
    assert found.pending_writes == []
    info = thread_info(saver)
    assert (info.checkpoints, info.namespaces) == (1, 1)
    assert info.created > created


def test_a_redis_has_no_key_left_of_a_deleted_thread(redis_store):
    saver = redis_store.open()
    fill(saver, 3)
    saver.put_writes(at(ns="z", id="later"), [("t", "a", 1)], "")
    saver.delete_thread("thread")
    assert redis_store.all_keys() == []


def test_a_redis_holds_a_bounded_number_of_keys_for_a_thread(redis_store):
    saver = redis_store.open()
    fill(saver, 1)
    saver.put_writes(at(id="c0"), [("t", "a", 1)], "")
    few = len(redis_store.all_keys())
    for ns in range(10):
        fill(saver, 10, ns=f"ns{ns}")
        saver.put_writes(at(ns=f"ns{ns}", id="c0"), [(f"t{n}", "a", n) for n in range(10)], "")
    assert len(redis_store.all_keys()) <= few + 1
