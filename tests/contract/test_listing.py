"""list."""

import pytest
from support.data import at, fill, ids, place, state
from support.stores import on_one_store

from zerograph_redis import ConfigError


def test_an_unknown_thread_or_namespace_lists_nothing(saver):
    assert saver.list(at()) == []
    fill(saver, 1)
    assert saver.list(at("other")) == []
    assert saver.list(at(ns="other")) == []


def test_the_newest_comes_first(saver):
    fill(saver, 4)
    assert ids(saver.list(at())) == ["c3", "c2", "c1", "c0"]


def test_ten_are_listed_by_default(saver):
    fill(saver, 12)
    assert ids(saver.list(at())) == [f"c{n}" for n in range(11, 1, -1)]


def test_limit_is_how_many_are_listed(saver):
    fill(saver, 4)
    assert ids(saver.list(at(), limit=1)) == ["c3"]
    assert ids(saver.list(at(), limit=3)) == ["c3", "c2", "c1"]
    assert ids(saver.list(at(), limit=99)) == ["c3", "c2", "c1", "c0"]


def test_limit_zero_is_none_of_them(saver):
    fill(saver, 2)
    assert saver.list(at(), limit=0) == []


def test_limit_none_is_all_of_them_however_many(saver):
    stored = fill(saver, 620)
    assert ids(saver.list(at(), limit=None)) == stored[::-1]
    assert ids(saver.list(at(), limit=510)) == stored[:-511:-1]


@on_one_store
@pytest.mark.parametrize("wrong", [-1, 1.5, "3", True])
def test_an_invalid_limit_is_refused(saver, wrong):
    fill(saver, 1)
    with pytest.raises(ConfigError, match="limit"):
        saver.list(at(), limit=wrong)


def test_before_is_exclusive(saver):
    fill(saver, 4)
    assert ids(saver.list(at(), before=at(id="c2"))) == ["c1", "c0"]
    assert ids(saver.list(at(), before=at(id="c2"), limit=1)) == ["c1"]
    assert saver.list(at(), before=at(id="c0")) == []


def test_before_an_unknown_checkpoint_is_an_empty_list(saver):
    fill(saver, 2)
    assert saver.list(at(), before=at(id="unknown")) == []
    saver.put(at(ns="other"), state("unknown"), {})
    assert saver.list(at(), before=at(ns="other", id="unknown")) == []


def test_before_a_checkpoint_that_has_writes_alone_is_an_empty_list(saver):
    fill(saver, 2)
    saver.put_writes(at(id="later"), [("t", "a", 1)], "")
    assert saver.list(at(), before=at(id="later")) == []


def test_before_a_config_without_a_checkpoint_is_no_bound(saver):
    fill(saver, 2)
    assert ids(saver.list(at(), before=at())) == ["c1", "c0"]


def test_before_keeps_to_the_order_stored_when_an_id_is_stored_again(saver):
    fill(saver, 3)
    saver.put(at(), state("c1", again=True), {})
    assert ids(saver.list(at(), before=at(id="c2"))) == ["c1", "c0"]
    assert ids(saver.list(at(), before=at(id="c1"))) == ["c0"]


def test_pages_joined_by_before_are_the_whole_list(saver):
    stored = fill(saver, 23)
    pages, before = [], None
    while page := saver.list(at(), limit=5, before=before):
        pages += ids(page)
        before = page[-1].config
    assert pages == stored[::-1]


def test_list_ignores_a_checkpoint_id_in_its_config(saver):
    fill(saver, 3)
    assert ids(saver.list(at(id="c1"))) == ["c2", "c1", "c0"]


def test_each_listed_tuple_is_that_of_get_tuple(saver):
    fill(saver, 3)
    saver.put_writes(at(id="c1"), [("t", "a", 1), ("u", "a", 2)], "")
    for each in saver.list(at()):
        assert each == saver.get_tuple(each.config)
    assert [len(each.pending_writes) for each in saver.list(at())] == [0, 2, 0]


def test_parents_are_listed_in_their_namespace(saver):
    fill(saver, 3, ns="inner")
    parents = [each.parent_config and place(each.parent_config) for each in saver.list(at(ns="inner"))]
    assert parents == [("thread", "inner", "c1"), ("thread", "inner", "c0"), None]


def test_namespaces_are_listed_apart(saver):
    fill(saver, 2)
    fill(saver, 3, ns="a", start=10)
    fill(saver, 1, ns="a|b", start=20)
    assert ids(saver.list(at())) == ["c1", "c0"]
    assert ids(saver.list(at(ns="a"))) == ["c12", "c11", "c10"]
    assert ids(saver.list(at(ns="a|b"))) == ["c20"]


def test_filter_asks_for_all_of_its_keys(saver):
    for number in range(6):
        saver.put(at(), state(f"c{number}"), {"source": "loop" if number % 2 else "input", "step": number // 2})
    assert ids(saver.list(at(), filter={"source": "loop"})) == ["c5", "c3", "c1"]
    assert ids(saver.list(at(), filter={"source": "loop", "step": 1})) == ["c3"]
    assert saver.list(at(), filter={"source": "nobody"}) == []
    assert saver.list(at(), filter={"unknown": 1}) == []


def test_filter_distinguishes_a_missing_key_from_none(saver):
    saver.put(at(), state("with"), {"run_id": None})
    saver.put(at(), state("without"), {})
    assert ids(saver.list(at(), filter={"run_id": None})) == ["with"]


def test_filter_compares_nested_values(saver):
    saver.put(at(), state("c0"), {"parents": {"": "x"}})
    saver.put(at(), state("c1"), {"parents": {"": "y"}})
    assert ids(saver.list(at(), filter={"parents": {"": "x"}})) == ["c0"]


def test_an_empty_filter_filters_nothing(saver):
    fill(saver, 2)
    assert ids(saver.list(at(), filter={})) == ["c1", "c0"]


def test_limit_counts_what_the_filter_lets_through(saver):
    for number in range(260):
        saver.put(at(), state(f"c{number}"), {"tenth": number % 10 == 0})
    assert ids(saver.list(at(), limit=3, filter={"tenth": True})) == ["c250", "c240", "c230"]
    assert ids(saver.list(at(), filter={"tenth": True}, before=at(id="c230"), limit=1)) == ["c220"]
    assert len(saver.list(at(), limit=None, filter={"tenth": True})) == 26
