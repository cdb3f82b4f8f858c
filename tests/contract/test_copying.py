"""copy_thread."""

import pytest
from support.data import at, everything, fill, ids, place, state, thread_ids, thread_info

from zerograph_redis import ConfigError


def test_a_copy_has_all_namespaces_order_parents_metadata_and_writes(saver):
    fill(saver, 5)
    fill(saver, 3, ns="a|b", start=10)
    saver.put(at(id="c4"), state("c2", again=True), {"step": "again"})
    saver.put_writes(at(id="c4"), [("t", "b", 1), ("t", "a", [2])], "")
    saver.put_writes(at(ns="a|b", id="c10"), [("u", "x", None)], "")
    before = everything(saver, "thread", "", "a|b")
    assert saver.copy_thread("thread", "copy") == 8
    assert everything(saver, "copy", "", "a|b") == before
    assert everything(saver, "thread", "", "a|b") == before


def test_a_copy_names_itself_in_its_configs(saver):
    fill(saver, 2)
    saver.copy_thread("thread", "copy")
    found = saver.get_tuple(at("copy"))
    assert place(found.config) == ("copy", "", "c1")
    assert place(found.parent_config) == ("copy", "", "c0")


def test_a_copy_is_described_like_its_source(saver):
    fill(saver, 3)
    fill(saver, 2, ns="a")
    saver.put_writes(at(id="c1"), [("t", "a", 1)], "")
    saver.copy_thread("thread", "copy")
    source, copy = thread_info(saver), thread_info(saver, "copy")
    assert (copy.checkpoints, copy.namespaces, copy.bytes) == (source.checkpoints, source.namespaces, source.bytes)
    assert thread_ids(saver) == ["copy", "thread"]


def test_source_and_copy_are_apart_afterwards(saver):
    fill(saver, 2)
    saver.put_writes(at(id="c1"), [("t", "a", 1)], "")
    saver.copy_thread("thread", "copy")
    saver.put(at("copy"), state("new"), {})
    saver.put(at("copy"), state("c0", changed=True), {})
    saver.put_writes(at("copy", id="c1"), [("t", "a", 2)], "")
    assert ids(saver.list(at())) == ["c1", "c0"]
    assert saver.get(at(id="c0")) == state("c0", n=0)
    assert saver.get_pending_writes(at(id="c1")) == [("t", "a", 1)]
    saver.delete_thread("thread")
    assert ids(saver.list(at("copy"))) == ["new", "c1", "c0"]
    assert saver.get_pending_writes(at("copy", id="c1")) == [("t", "a", 2)]


def test_a_checkpoint_put_to_a_copy_is_its_newest(saver):
    fill(saver, 3)
    saver.copy_thread("thread", "copy")
    fill(saver, 2, "copy", start=7)
    assert ids(saver.list(at("copy"))) == ["c8", "c7", "c2", "c1", "c0"]
    assert saver.get(at("copy"))["id"] == "c8"


def test_writes_whose_checkpoint_is_still_to_come_are_copied(saver):
    saver.put_writes(at(id="later"), [("t", "b", 1), ("t", "a", 2)], "")
    assert saver.copy_thread("thread", "copy") == 0
    assert saver.get_pending_writes(at("copy", id="later")) == [("t", "b", 1), ("t", "a", 2)]
    saver.put(at("copy"), state("later"), {})
    assert len(saver.get_tuple(at("copy")).pending_writes) == 2


@pytest.mark.parametrize("kind", ["checkpoint", "write"])
def test_a_target_that_is_not_empty_is_refused(saver, kind):
    fill(saver, 2)
    if kind == "checkpoint":
        saver.put(at("target", "far"), state("mine"), {})
    else:
        saver.put_writes(at("target", "far", "mine"), [("t", "a", 1)], "")
    with pytest.raises(ConfigError, match="target"):
        saver.copy_thread("thread", "target")
    assert saver.list(at("target")) == []
    assert len(saver.list(at("target", "far"))) == (kind == "checkpoint")


def test_a_thread_cannot_be_copied_to_itself(saver):
    fill(saver, 2)
    before = everything(saver, "thread")
    with pytest.raises(ConfigError):
        saver.copy_thread("thread", "thread")
    assert everything(saver, "thread") == before


def test_an_unknown_source_is_a_no_op(saver):
    assert saver.copy_thread("unknown", "copy") == 0
    assert thread_ids(saver) == []
    assert saver.copy_thread("unknown", "unknown") == 0


def test_a_target_is_empty_again_once_it_was_deleted_or_pruned(saver):
    fill(saver, 2)
    fill(saver, 1, "copy", start=9)
    saver.delete_thread("copy")
    assert saver.copy_thread("thread", "copy") == 2
    saver.prune("copy", 0)
    assert saver.copy_thread("thread", "copy") == 2
    assert ids(saver.list(at("copy"))) == ["c1", "c0"]


def test_a_copy_of_a_copy_is_the_same(saver):
    fill(saver, 4)
    saver.put_writes(at(id="c1"), [("t", "a", 1)], "")
    saver.copy_thread("thread", "second")
    saver.copy_thread("second", "third")
    assert everything(saver, "third") == everything(saver, "thread")


def test_a_large_thread_is_copied_exactly(saver):
    for ns in ("", "a", "b"):
        fill(saver, 150, ns=ns)
    for number in range(0, 150, 9):
        writes = [(f"t{n}", "channel", (number, n)) for n in range(number % 7 + 1)]
        saver.put_writes(at(ns="a", id=f"c{number}"), writes, "")
    saver.put_writes(at(ns="b", id="c1"), [(f"t{n}", "c", n) for n in range(1100)], "")
    assert saver.copy_thread("thread", "copy") == 450
    assert everything(saver, "copy", "", "a", "b") == everything(saver, "thread", "", "a", "b")
    info, source = thread_info(saver, "copy"), thread_info(saver)
    assert (info.checkpoints, info.namespaces, info.bytes) == (450, 3, source.bytes)


def test_ids_that_mean_something_elsewhere_are_copied(saver):
    for odd in ("a:b", "{x}", "1:2:3", "\x1f", "\n", "%1f"):
        saver.put(at("odd", odd), state(odd), {})
        saver.put_writes(at("odd", odd, odd), [(odd, odd, odd)], "")
    assert saver.copy_thread("odd", "{copy}") == 6
    for odd in ("a:b", "{x}", "1:2:3", "\x1f", "\n", "%1f"):
        assert saver.get_tuple(at("{copy}", odd)).pending_writes == [(odd, odd, odd)]
