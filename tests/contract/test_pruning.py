"""prune."""

from datetime import timedelta

import pytest
from support.aging import make_older, where_orders_can_be_changed
from support.data import at, everything, fill, ids, state, thread_ids, thread_info
from support.stores import on_one_store

from zerograph_redis import ConfigError


def test_prune_keeps_the_newest_and_returns_how_many_it_removed(saver):
    fill(saver, 7)
    assert saver.prune("thread", 3) == 4
    assert ids(saver.list(at())) == ["c6", "c5", "c4"]
    assert saver.get_tuple(at(id="c3")) is None
    assert saver.get_by_id("c3", "thread") is None


def test_prune_keeps_as_many_in_each_namespace(saver):
    fill(saver, 5)
    fill(saver, 3, ns="a", start=10)
    fill(saver, 1, ns="b", start=20)
    assert saver.prune("thread", 2) == 4
    assert ids(saver.list(at())) == ["c4", "c3"]
    assert ids(saver.list(at(ns="a"))) == ["c12", "c11"]
    assert ids(saver.list(at(ns="b"))) == ["c20"]


def test_prune_to_zero_leaves_nothing(saver):
    fill(saver, 3)
    fill(saver, 3, ns="a")
    saver.put_writes(at(id="c1"), [("t", "a", 1)], "")
    assert saver.prune("thread", 0) == 6
    assert saver.list(at()) == []
    assert saver.list(at(ns="a")) == []
    assert saver.get_tuple(at()) is None
    assert saver.get_pending_writes(at(id="c1")) == []
    assert thread_ids(saver) == []


def test_a_thread_pruned_to_zero_can_be_written_again(saver):
    fill(saver, 3)
    saver.prune("thread", 0)
    fill(saver, 2, start=7)
    assert ids(saver.list(at())) == ["c8", "c7"]
    info = thread_info(saver)
    assert (info.checkpoints, info.namespaces) == (2, 1)


def test_prune_of_few_or_of_an_unknown_thread_removes_nothing(saver):
    fill(saver, 3)
    before = everything(saver, "thread")
    assert saver.prune("thread", 3) == 0
    assert saver.prune("thread", 99) == 0
    assert saver.prune("unknown", 0) == 0
    assert everything(saver, "thread") == before
    assert thread_ids(saver) == ["thread"]


def test_prune_removes_the_writes_of_what_it_removes_and_no_others(saver):
    fill(saver, 3)
    for number in range(3):
        saver.put_writes(at(id=f"c{number}"), [("t", "a", number), ("t", "b", number)], "")
    saver.prune("thread", 1)
    assert saver.get_pending_writes(at(id="c0")) == []
    assert saver.get_pending_writes(at(id="c1")) == []
    assert saver.get_pending_writes(at(id="c2")) == [("t", "a", 2), ("t", "b", 2)]


def test_prune_leaves_writes_whose_checkpoint_is_still_to_come(saver):
    fill(saver, 2)
    saver.put_writes(at(id="later"), [("t", "a", 1)], "")
    assert saver.prune("thread", 0) == 2
    assert saver.get_pending_writes(at(id="later")) == [("t", "a", 1)]
    saver.put(at(), state("later"), {})
    assert saver.get_tuple(at()).pending_writes == [("t", "a", 1)]


def test_prune_goes_by_the_order_stored(saver):
    fill(saver, 3)
    saver.put(at(), state("c0", again=True), {})
    saver.prune("thread", 1)
    assert ids(saver.list(at())) == ["c2"]


def test_prune_leaves_other_threads_alone(saver):
    fill(saver, 3, "other")
    fill(saver, 3)
    before = everything(saver, "other")
    saver.prune("thread", 1)
    assert everything(saver, "other") == before


def test_a_parent_that_was_pruned_is_still_named(saver):
    fill(saver, 2)
    saver.prune("thread", 1)
    assert saver.get_tuple(at()).parent_config == at(ns="", id="c0")


def test_prune_of_many_namespaces_and_checkpoints_is_exact(saver):
    for number in range(40):
        fill(saver, 12, ns=f"ns{number}")
    for number in range(0, 40, 7):
        saver.put_writes(at(ns=f"ns{number}", id="c3"), [(f"t{n}", "a", n) for n in range(5)], "")
    assert saver.prune("thread", 2) == 400
    for number in range(40):
        assert ids(saver.list(at(ns=f"ns{number}"))) == ["c11", "c10"]
    info = thread_info(saver)
    assert (info.checkpoints, info.namespaces) == (80, 40)
    assert saver.prune("thread", 0) == 80
    assert thread_ids(saver) == []


def test_prune_removes_a_checkpoint_with_very_many_writes(saver):
    fill(saver, 2)
    saver.put_writes(at(id="c0"), [(f"t{n}", "a", n) for n in range(1500)], "")
    assert saver.prune("thread", 1) == 1
    assert saver.get_pending_writes(at(id="c0")) == []


@on_one_store
@pytest.mark.parametrize("wrong", [-1, 1.5, None, True, "2"])
def test_an_invalid_keep_is_refused(saver, wrong):
    fill(saver, 2)
    with pytest.raises(ConfigError, match="keep"):
        saver.prune("thread", wrong)
    assert ids(saver.list(at())) == ["c1", "c0"]


@on_one_store
@pytest.mark.parametrize("wrong", ["", None, 1.5])
def test_a_thread_that_is_none_is_refused(saver, wrong):
    for method, rest in (("prune", (1,)), ("delete_thread", ()), ("copy_thread", ("target",))):
        with pytest.raises(ConfigError):
            getattr(saver, method)(wrong, *rest)


@where_orders_can_be_changed
@pytest.mark.stored
def test_max_age_prunes_only_older_checkpoints(store, saver):
    fill(saver, 4)
    fill(saver, 3, ns="a", start=10)
    saver.put_writes(at(id="c1"), [("t", "a", 1)], "")
    make_older(store, saver, 1000, only=["c0", "c1", "c10", "c11", "c12"])
    assert saver.prune("thread", 1, max_age=2000) == 0
    assert saver.prune("thread", 1, max_age=timedelta(seconds=500)) == 4
    assert ids(saver.list(at())) == ["c3", "c2"]
    assert ids(saver.list(at(ns="a"))) == ["c12"]
    assert saver.get_pending_writes(at(id="c1")) == []
    info = thread_info(saver)
    assert (info.checkpoints, info.namespaces) == (3, 2)


@where_orders_can_be_changed
@pytest.mark.stored
def test_max_age_never_removes_those_that_keep_spares(store, saver):
    fill(saver, 5)
    make_older(store, saver, 1000)
    assert saver.prune("thread", 3, max_age=500) == 2
    assert ids(saver.list(at())) == ["c4", "c3", "c2"]
    assert saver.prune("thread", 0, max_age=500) == 3
    assert thread_ids(saver) == []


@pytest.mark.stored
def test_max_age_of_many_namespaces_and_checkpoints_is_exact(store, saver):
    for number in range(10):
        fill(saver, 60, ns=f"ns{number}")
    saver.put_writes(at(ns="ns3", id="c3"), [(f"t{n}", "a", n) for n in range(250)], "")
    make_older(store, saver, 1000, only=[f"c{number}" for number in range(45)])
    assert saver.prune("thread", 2, max_age=500) == 450
    assert thread_info(saver).checkpoints == 150
    assert ids(saver.list(at(ns="ns3"), limit=None))[-1] == "c45"


@on_one_store
@pytest.mark.parametrize("wrong", [-1, 0, "7d", True, float("nan")])
def test_an_invalid_max_age_is_refused(saver, wrong):
    fill(saver, 2)
    with pytest.raises(ConfigError, match="max_age"):
        saver.prune("thread", 0, max_age=wrong)
    assert ids(saver.list(at())) == ["c1", "c0"]
