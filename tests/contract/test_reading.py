"""get_tuple, get, get_by_id."""

import pytest
from support.data import at, fill, place, state
from support.stores import on_one_store


def test_an_empty_store_has_nothing_to_read(saver):
    assert saver.get_tuple(at()) is None
    assert saver.get(at()) is None
    assert saver.get_tuple(at(id="c0")) is None
    assert saver.get_by_id("c0") is None
    assert saver.get_by_id("c0", "thread") is None


def test_get_tuple_without_an_id_reads_the_newest_of_the_namespace(saver):
    fill(saver, 3)
    saver.put(at(ns="other"), state("x"), {})
    assert saver.get_tuple(at()).checkpoint["id"] == "c2"
    assert saver.get_tuple(at(ns="other")).checkpoint["id"] == "x"


def test_get_tuple_with_an_id_reads_that_checkpoint(saver):
    fill(saver, 3)
    found = saver.get_tuple(at(id="c1"))
    assert found.checkpoint == state("c1", n=1)
    assert found.metadata == {"step": 1}


def test_get_tuple_of_an_unknown_id_is_none_even_if_others_are_there(saver):
    fill(saver, 3)
    assert saver.get_tuple(at(id="c9")) is None
    assert saver.get_tuple(at(ns="other", id="c1")) is None
    assert saver.get_tuple(at("other", id="c1")) is None


def test_a_tuple_names_its_own_checkpoint_and_its_parent(saver):
    fill(saver, 2, ns="inner")
    found = saver.get_tuple(at(ns="inner"))
    assert found.config == at(ns="inner", id="c1")
    assert found.parent_config == at(ns="inner", id="c0")
    assert saver.get_tuple(at(ns="inner", id="c0")).parent_config is None


def test_a_tuple_in_the_root_namespace_names_it_in_its_config(saver):
    fill(saver, 1)
    assert place(saver.get_tuple(at()).config) == ("thread", "", "c0")
    assert "checkpoint_ns" in saver.get_tuple(at()).config["configurable"]


def test_a_tuple_carries_its_pending_writes(saver):
    config = saver.put(at(), state("c0"), {})
    saver.put_writes(config, [("t1", "a", 1), ("t2", "b", [2])], "")
    assert saver.get_tuple(at()).pending_writes == [("t1", "a", 1), ("t2", "b", [2])]
    assert saver.get_tuple(config).pending_writes == [("t1", "a", 1), ("t2", "b", [2])]


def test_a_checkpoint_without_writes_has_an_empty_list_of_them(saver):
    fill(saver, 1)
    assert saver.get_tuple(at()).pending_writes == []


def test_writes_without_their_checkpoint_are_not_a_checkpoint(saver):
    saver.put_writes(at(id="later"), [("t", "a", 1)], "")
    assert saver.get_tuple(at()) is None
    assert saver.get_tuple(at(id="later")) is None
    assert saver.get(at(id="later")) is None
    assert saver.get_by_id("later", "thread") is None


def test_get_is_the_checkpoint_of_get_tuple(saver):
    fill(saver, 3)
    assert saver.get(at()) == state("c2", n=2)
    assert saver.get(at(id="c0")) == state("c0", n=0)
    assert saver.get(at(id="c9")) is None


def test_the_newest_is_what_was_stored_last_whatever_id_and_ts_say(saver):
    saver.put(at(), state("zzz") | {"ts": "2999-01-01T00:00:00+00:00"}, {})
    saver.put(at(), state("aaa") | {"ts": "1999-01-01T00:00:00+00:00"}, {})
    assert saver.get(at())["id"] == "aaa"


def test_get_by_id_finds_a_checkpoint_in_whichever_namespace(saver):
    saver.put(at(), state("root"), {"where": "root"})
    config = saver.put(at(ns="a|b"), state("deep"), {"where": "deep"})
    saver.put_writes(config, [("t", "a", 1)], "")
    found = saver.get_by_id("deep", "thread")
    assert found.config == at(ns="a|b", id="deep")
    assert found.metadata == {"where": "deep"}
    assert found.pending_writes == [("t", "a", 1)]
    assert saver.get_by_id("root", "thread").config == at(ns="", id="root")


def test_get_by_id_without_a_thread_searches_all(saver):
    for number in range(5):
        saver.put(at(f"thread {number}", "ns"), state(f"only {number}"), {})
    assert saver.get_by_id("only 0").config == at("thread 0", "ns", "only 0")
    assert saver.get_by_id("only 4").config == at("thread 4", "ns", "only 4")
    assert saver.get_by_id("only 5") is None


def test_get_by_id_with_a_thread_searches_only_that_one(saver):
    saver.put(at("one"), state("c", whose="one"), {})
    saver.put(at("two"), state("c", whose="two"), {})
    assert saver.get_by_id("c", "one").checkpoint["channel_values"] == {"whose": "one"}
    assert saver.get_by_id("c", "two").checkpoint["channel_values"] == {"whose": "two"}
    assert saver.get_by_id("c", "three") is None


def test_get_by_id_finds_a_checkpoint_among_many_namespaces(saver):
    for number in range(30):
        saver.put(at(ns=f"ns{number:02}"), state(f"c{number}"), {})
    assert saver.get_by_id("c29", "thread").config == at(ns="ns29", id="c29")
    assert saver.get_by_id("c30", "thread") is None


@on_one_store
@pytest.mark.parametrize("wrong", ["", None, 1.5])
def test_get_by_id_refuses_an_invalid_id(saver, wrong):
    with pytest.raises(ValueError, match="checkpoint_id"):
        saver.get_by_id(wrong, "thread")
