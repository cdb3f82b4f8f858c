"""put."""

import copy

import pytest
from support.data import at, everything, fill, ids, place, state, thread_ids
from support.stores import on_one_store
from zerograph import Command, Interrupt, Send

from zerograph_redis import CheckpointError, SerializationError


class Unregistered:
    """A type that no serializer knows."""


def test_put_returns_the_config_of_the_stored_checkpoint(saver):
    assert saver.put(at(ns="inner"), state("c0"), {}) == at(ns="inner", id="c0")


def test_put_makes_an_id_when_there_is_none(saver):
    given = state(n=1)
    first, second = saver.put(at(), given, {}), saver.put(at(), given, {})
    made = [place(first)[2], place(second)[2]]
    assert all(made)
    assert made[0] != made[1]
    assert "id" not in given
    assert saver.get(first)["id"] == made[0]
    assert ids(saver.list(at())) == made[::-1]


@pytest.mark.parametrize("empty", [None, ""])
def test_put_makes_an_id_when_it_is_empty(saver, empty):
    given = state() | {"id": empty}
    config = saver.put(at(), given, {})
    assert place(config)[2]
    assert saver.get(config)["id"] == place(config)[2]
    assert given["id"] == empty


def test_the_parent_is_the_checkpoint_of_the_config(saver):
    first = saver.put(at(), state("first"), {})
    saver.put(first, state("left"), {})
    saver.put(first, state("right"), {})
    assert saver.get_tuple(at(id="left")).parent_config == first
    assert saver.get_tuple(at(id="right")).parent_config == first


def test_a_parent_need_not_be_stored(saver):
    saver.put(at(id="unknown"), state("c0"), {})
    assert saver.get_tuple(at()).parent_config == at(ns="", id="unknown")


def test_storing_an_id_again_replaces_its_content_and_keeps_its_place(saver):
    fill(saver, 3)
    saver.put(at(id="another"), state("c1", n="new"), {"step": "new"})
    assert ids(saver.list(at())) == ["c2", "c1", "c0"]
    found = saver.get_tuple(at(id="c1"))
    assert found.checkpoint == state("c1", n="new")
    assert found.metadata == {"step": "new"}
    assert place(found.parent_config)[2] == "another"
    assert saver.get(at())["id"] == "c2"


def test_storing_an_id_again_keeps_its_pending_writes(saver):
    config = saver.put(at(), state("c0"), {})
    saver.put_writes(config, [("t", "a", 1)], "")
    saver.put(at(), state("c0", n=2), {})
    assert saver.get_tuple(config).pending_writes == [("t", "a", 1)]


def test_put_finds_the_writes_that_came_before_it(saver):
    saver.put_writes(at(id="c0"), [("t", "a", 1)], "")
    config = saver.put(at(), state("c0"), {})
    assert saver.get_tuple(config).pending_writes == [("t", "a", 1)]


def test_the_same_id_in_two_namespaces_is_two_checkpoints(saver):
    saver.put(at(ns="a"), state("c", n="a"), {})
    saver.put(at(ns="b"), state("c", n="b"), {})
    assert saver.get(at(ns="a", id="c")) == state("c", n="a")
    assert saver.get(at(ns="b", id="c")) == state("c", n="b")


def test_metadata_comes_back_exactly(saver):
    metadata = {"source": "loop", "step": -1, "parents": {"": "x"}, "run_id": None, "weights": (1, 2.5)}
    saver.put(at(), state("c0"), metadata)
    found = saver.get_tuple(at()).metadata
    assert found == metadata
    assert type(found["weights"]) is tuple


def test_any_field_of_a_checkpoint_comes_back(saver):
    given = state("c0") | {"_next_nodes": ["a"], "_step": 4, "_metadata": {"source": "loop"}, "updated_channels": None}
    saver.put(at(), given, {})
    assert saver.get(at()) == given


def test_the_engines_own_types_come_back_as_themselves(saver):
    values = {
        "interrupt": Interrupt("why?", "id"),
        "send": Send("node", {"a": (1, 2)}),
        "command": Command(resume={"yes": True}, goto=[Send("n", 1), "m"], update={"a": 1}),
    }
    saver.put(at(), state("c0", **values), {})
    found = saver.get(at())["channel_values"]
    assert found == values
    assert [type(each) for each in found.values()] == [Interrupt, Send, Command]


def test_a_state_of_a_megabyte_comes_back(saver):
    values = {"messages": [{"role": "user", "content": "é" * 500, "n": number} for number in range(1000)]}
    saver.put(at(), state("c0", **values), {})
    assert saver.get(at())["channel_values"] == values


def test_an_empty_state_comes_back(saver):
    config = saver.put(at(), {}, {})
    assert saver.get_tuple(at()).checkpoint == {"id": place(config)[2]}
    assert saver.get_tuple(at()).metadata == {}


def test_put_never_changes_its_arguments(saver):
    config, given, metadata = at(extra=[1]), state(messages=[{"a": [1]}]), {"parents": {"": "x"}}
    before = copy.deepcopy((config, given, metadata))
    saver.put(config, given, metadata)
    assert (config, given, metadata) == before


def test_what_cannot_be_stored_is_refused_and_nothing_is_stored(saver):
    fill(saver, 2)
    before = everything(saver, "thread")
    with pytest.raises(SerializationError, match=r"channel_values\['messages'\]\[1\]") as caught:
        saver.put(at(id="c1"), state("c2", messages=[1, Unregistered()]), {})
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, CheckpointError)
    assert "Unregistered" in str(caught.value)
    assert everything(saver, "thread") == before


def test_metadata_that_cannot_be_stored_is_refused_and_nothing_is_stored(saver):
    with pytest.raises(SerializationError, match=r"metadata.*source"):
        saver.put(at(), state("c0"), {"source": Unregistered()})
    assert saver.get_tuple(at()) is None
    assert thread_ids(saver) == []


def test_a_value_that_contains_itself_is_refused(saver):
    cycle = []
    cycle.append(cycle)
    with pytest.raises(SerializationError):
        saver.put(at(), state("c0", cycle=cycle), {})
    assert thread_ids(saver) == []


@on_one_store
@pytest.mark.parametrize("wrong", [None, [], "c0", 7])
def test_a_value_that_is_not_a_checkpoint_is_refused(saver, wrong):
    with pytest.raises(ValueError, match="checkpoint"):
        saver.put(at(), wrong, {})
    assert thread_ids(saver) == []


@on_one_store
@pytest.mark.parametrize("wrong", [1.5, b"c0", True, ["c0"]])
def test_an_id_that_is_no_string_is_refused(saver, wrong):
    with pytest.raises(ValueError, match="id"):
        saver.put(at(), state() | {"id": wrong}, {})
    assert thread_ids(saver) == []


def test_many_checkpoints_keep_the_order_in_which_they_were_stored(saver):
    stored = fill(saver, 150)
    assert ids(saver.list(at(), limit=None)) == stored[::-1]
