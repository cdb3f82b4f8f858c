"""What a config may be."""

from types import MappingProxyType
from uuid import UUID

import pytest
from support.data import at, fill, ids, place, state, thread_ids
from support.stores import on_one_store

from zerograph_redis import CheckpointError, ConfigError

UUID_ = UUID("12345678-1234-5678-1234-567812345678")


class Name(str):
    __slots__ = ()


@pytest.mark.parametrize("config", [{}, {"configurable": {}}])
def test_a_config_without_a_thread_means_the_default_thread(saver, config):
    stored = saver.put(config, state("c0"), {})
    assert place(stored) == ("__default__", "", "c0")
    assert saver.get(config) == state("c0")
    assert saver.get(at("__default__")) == state("c0")
    assert ids(saver.list(config)) == ["c0"]


@pytest.mark.parametrize(("given", "meant"), [(7, "7"), (UUID_, str(UUID_)), (Name("n"), "n")])
def test_a_number_or_uuid_as_a_thread_means_its_text(saver, given, meant):
    stored = saver.put(at(given), state("c0"), {})
    assert place(stored)[0] == meant
    assert type(place(stored)[0]) is str
    assert saver.get(at(meant)) == state("c0")
    assert saver.get(at(given)) == state("c0")
    saver.copy_thread(given, "copy")
    saver.delete_thread(given)
    assert thread_ids(saver) == ["copy"]


def test_a_namespace_that_is_none_or_empty_is_the_root(saver):
    saver.put({"configurable": {"thread_id": "thread", "checkpoint_ns": None}}, state("c0"), {})
    assert ids(saver.list(at(ns=""))) == ["c0"]
    assert ids(saver.list(at())) == ["c0"]


def test_a_checkpoint_id_that_is_none_or_empty_means_the_newest(saver):
    fill(saver, 2)
    for empty in (None, ""):
        config = {"configurable": {"thread_id": "thread", "checkpoint_id": empty}}
        assert saver.get(config)["id"] == "c1"
        saver.put(config, state("parentless"), {})
        assert saver.get_tuple(at(id="parentless")).parent_config is None
        saver.delete_thread("thread")
        fill(saver, 2)


def test_other_keys_of_a_config_are_ignored(saver):
    more = {"callbacks": [print], "tags": object(), "recursion_limit": 3}
    config = {"configurable": {"thread_id": "thread", "__scratchpad__": object(), "user": lambda: 1}, **more}
    saver.put(config, state("c0"), {})
    assert saver.get(config) == state("c0")
    saver.put_writes({**config, "configurable": {**config["configurable"], "checkpoint_id": "c0"}}, [("t", "a", 1)], "")
    assert len(saver.get_tuple(config).pending_writes) == 1


def test_any_mapping_is_a_config(saver):
    config = MappingProxyType({"configurable": MappingProxyType({"thread_id": "thread"})})
    saver.put(config, state("c0"), {})
    assert saver.get(config) == state("c0")


WRONG = [
    None,
    [],
    "thread",
    {"configurable": None},
    {"configurable": "thread"},
    {"configurable": []},
    at(""),
    at(None),
    at(1.5),
    at(b"thread"),
    at(True),
    at(["thread"]),
    at(ns=5.0),
    at(ns=b"a"),
    at(id=1.5),
    at(id=b"c0"),
    at(id=False),
    at(ttl=0),
    at(ttl=-1),
    at(ttl=True),
    at(ttl="100"),
    at(ttl=float("nan")),
    at(ttl=float("inf")),
]


@on_one_store
@pytest.mark.parametrize("config", WRONG, ids=repr)
def test_an_invalid_config_is_refused(saver, config):
    calls = [
        lambda: saver.get_tuple(config),
        lambda: saver.get(config),
        lambda: saver.put(config, state("c0"), {}),
        lambda: saver.put_writes(config, [("t", "a", 1)], ""),
        lambda: saver.get_pending_writes(config),
        lambda: saver.list(config),
    ]
    for call in calls:
        with pytest.raises(ConfigError) as caught:
            call()
        assert isinstance(caught.value, ValueError)
        assert isinstance(caught.value, CheckpointError)
    assert thread_ids(saver) == []


@on_one_store
@pytest.mark.parametrize("before", [[], "c0", at(id=1.5)], ids=repr)
def test_an_invalid_before_is_refused(saver, before):
    fill(saver, 1)
    with pytest.raises(ConfigError):
        saver.list(at(), before=before)


@on_one_store
@pytest.mark.parametrize("wrong", ["", None, 1.5, b"x", True])
def test_an_invalid_target_of_a_copy_is_refused(saver, wrong):
    fill(saver, 1)
    with pytest.raises(ConfigError, match="target"):
        saver.copy_thread("thread", wrong)
