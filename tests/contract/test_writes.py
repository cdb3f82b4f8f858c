"""put_writes and get_pending_writes."""

import copy

import pytest
from support.data import at, everything, fill, state, thread_ids
from support.stores import on_one_store
from zerograph import Command, Interrupt, Overwrite, Send

from zerograph_redis import ConfigError, SerializationError


def test_writes_come_back_in_the_order_stored(saver):
    config = saver.put(at(), state("c0"), {})
    saver.put_writes(config, [("z", "b", 1), ("a", "z", 2)], "")
    saver.put_writes(config, [("m", "a", 3)], "")
    assert saver.get_pending_writes(config) == [("z", "b", 1), ("a", "z", 2), ("m", "a", 3)]


def test_a_write_without_a_task_belongs_to_the_task_of_the_call(saver):
    saver.put_writes(at(id="c0"), [("", "a", 1), ("own", "a", 2), (None, "b", 3)], "the call's")
    expected = [("the call's", "a", 1), ("own", "a", 2), ("the call's", "b", 3)]
    assert saver.get_pending_writes(at(id="c0")) == expected


def test_task_ids_may_all_be_empty(saver):
    saver.put_writes(at(id="c0"), [("", "__interrupt__", Interrupt("?", "i"))], "")
    assert saver.get_pending_writes(at(id="c0")) == [("", "__interrupt__", Interrupt("?", "i"))]


def test_a_write_of_the_same_task_and_channel_replaces_the_earlier_one_in_its_place(saver):
    config = saver.put(at(), state("c0"), {})
    saver.put_writes(config, [("t", "a", 1), ("t", "b", 2), ("u", "a", 3)], "")
    saver.put_writes(config, [("u", "a", "third"), ("t", "a", "first")], "")
    assert saver.get_pending_writes(config) == [("t", "a", "first"), ("t", "b", 2), ("u", "a", "third")]


def test_the_last_of_two_writes_of_one_call_to_the_same_channel_counts(saver):
    saver.put_writes(at(id="c0"), [("t", "a", 1), ("t", "b", 2), ("t", "a", 3)], "")
    assert saver.get_pending_writes(at(id="c0")) == [("t", "a", 3), ("t", "b", 2)]


def test_a_task_given_by_the_call_and_by_the_write_is_the_same(saver):
    saver.put_writes(at(id="c0"), [("t", "a", 1)], "")
    saver.put_writes(at(id="c0"), [("", "a", 2)], "t")
    assert saver.get_pending_writes(at(id="c0")) == [("t", "a", 2)]


def test_writes_may_be_stored_before_their_checkpoint(saver):
    saver.put_writes(at(id="later"), [("t", "a", 1)], "")
    assert saver.get_pending_writes(at(id="later")) == [("t", "a", 1)]
    saver.put(at(), state("later"), {})
    assert saver.get_tuple(at()).pending_writes == [("t", "a", 1)]


def test_writes_belong_to_one_checkpoint_of_one_namespace_of_one_thread(saver):
    for thread in "ab":
        for ns in ("", "x"):
            for name in "12":
                saver.put_writes(at(thread, ns, name), [("t", "c", (thread, ns, name))], "")
    for thread in "ab":
        for ns in ("", "x"):
            for name in "12":
                assert saver.get_pending_writes(at(thread, ns, name)) == [("t", "c", (thread, ns, name))]


@on_one_store
def test_writes_need_a_checkpoint_id(saver):
    fill(saver, 1)
    for config in (at(), at(id=""), {}):
        with pytest.raises(ValueError, match="checkpoint_id") as caught:
            saver.put_writes(config, [("t", "a", 1)], "")
        assert isinstance(caught.value, ConfigError)
    assert saver.get_tuple(at()).pending_writes == []


def test_without_a_checkpoint_id_there_are_no_pending_writes(saver):
    config = saver.put(at(), state("c0"), {})
    saver.put_writes(config, [("t", "a", 1)], "")
    assert saver.get_pending_writes(at()) == []
    assert saver.get_pending_writes({}) == []


def test_an_unknown_checkpoint_has_no_pending_writes(saver):
    fill(saver, 1)
    assert saver.get_pending_writes(at(id="unknown")) == []
    assert saver.get_pending_writes(at("unknown", id="c0")) == []


def test_no_writes_are_no_thread(saver):
    saver.put_writes(at(id="c0"), [], "t")
    assert saver.get_pending_writes(at(id="c0")) == []
    assert thread_ids(saver) == []


def test_interrupts_sends_and_commands_come_back_as_themselves(saver):
    values = [Interrupt({"question": (1,)}, "id"), Send("n", [1]), Command(resume=1, goto="x"), Overwrite({"a": 1})]
    saver.put_writes(at(id="c0"), [("t", f"channel {n}", value) for n, value in enumerate(values)], "")
    found = [value for _, _, value in saver.get_pending_writes(at(id="c0"))]
    assert found == values
    assert [type(each) for each in found] == [type(each) for each in values]


def test_values_of_writes_may_be_none_or_false(saver):
    saver.put_writes(at(id="c0"), [("t", "none", None), ("t", "false", False), ("t", "empty", "")], "")
    assert saver.get_pending_writes(at(id="c0")) == [("t", "none", None), ("t", "false", False), ("t", "empty", "")]


def test_writes_may_come_from_any_iterable_and_as_lists(saver):
    saver.put_writes(at(id="c0"), (["t", str(n), n] for n in range(3)), "")
    assert saver.get_pending_writes(at(id="c0")) == [("t", "0", 0), ("t", "1", 1), ("t", "2", 2)]


def test_put_writes_never_changes_its_arguments(saver):
    config, writes = at(id="c0"), [("", "a", {"list": [1]})]
    before = copy.deepcopy((config, writes))
    saver.put_writes(config, writes, "t")
    assert (config, writes) == before


def test_two_thousand_writes_of_one_checkpoint_come_back(saver):
    writes = [(f"task {n}", "channel", n) for n in range(2000)]
    saver.put_writes(at(id="c0"), writes, "")
    assert saver.get_pending_writes(at(id="c0")) == writes
    saver.put(at(), state("c0"), {})
    assert saver.get_tuple(at()).pending_writes == writes


def test_a_large_write_comes_back(saver):
    saver.put_writes(at(id="c0"), [("t", "a", b"\x00\xff\x1f" * 300_000)], "")
    assert saver.get_pending_writes(at(id="c0")) == [("t", "a", b"\x00\xff\x1f" * 300_000)]


def test_a_write_that_cannot_be_stored_is_refused_and_none_of_the_call_is_stored(saver):
    config = saver.put(at(), state("c0"), {})
    saver.put_writes(config, [("t", "a", 1)], "")
    before = everything(saver, "thread")
    with pytest.raises(SerializationError, match=r"writes\[1\]"):
        saver.put_writes(config, [("t", "a", 2), ("t", "b", object())], "")
    assert everything(saver, "thread") == before


@on_one_store
@pytest.mark.parametrize("wrong", [("t", "a"), ("t", "a", 1, 2), None, 7, (1, "a", 1), ("t", None, 1)])
def test_a_value_that_is_not_a_write_is_refused(saver, wrong):
    with pytest.raises(ValueError, match=r"writes\[1\]"):
        saver.put_writes(at(id="c0"), [("t", "a", 1), wrong], "")
    assert saver.get_pending_writes(at(id="c0")) == []
