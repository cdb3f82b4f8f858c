"""Configs and options with a mistake in them: what is refused, what is warned of, and what the message proposes."""

from __future__ import annotations

import logging
from typing import TypedDict

import fakeredis
import pytest
from support.data import at, fill, ids, place, state, thread_ids
from zerograph.graph import StateGraph

from zerograph_redis import ConfigError, InMemorySaver, RedisSaver, SqliteSaver
from zerograph_redis.core import configs
from zerograph_redis.core.settings import Settings

MAKERS = {
    "memory": InMemorySaver,
    "fakeredis": lambda **options: RedisSaver(fakeredis.FakeRedis(), **options),
    "sqlite": lambda **options: SqliteSaver(":memory:", **options),
}


class Values(TypedDict):
    value: int


NAMELESS = [{}, {"configurable": {}}, {"configurable": {"checkpoint_ns": "a"}}]
FLAT = {"thread_id": "thread"}


@pytest.fixture(params=MAKERS)
def make(request, monkeypatch):
    """Makes savers, in a process that has not warned of anything yet."""
    monkeypatch.setattr(configs, "_warned", set())
    made = []

    def make(**options):
        made.append(MAKERS[request.param](**options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def calls(saver, config):
    return [
        lambda: saver.get_tuple(config),
        lambda: saver.get(config),
        lambda: saver.put(config, state("c0"), {}),
        lambda: saver.put_writes({**config, "checkpoint_id": "c0"}, [("t", "a", 1)], ""),
        lambda: saver.get_pending_writes(config),
        lambda: saver.list(config),
    ]


@pytest.mark.parametrize("config", [*NAMELESS, FLAT, at("__default__")], ids=repr)
def test_every_call_refuses_a_config_without_a_thread_id_if_one_is_required(make, config):
    saver = make(require_thread_id=True)
    for call in calls(saver, config):
        with pytest.raises(ConfigError, match=r"{'configurable': {'thread_id': "):
            call()
    assert thread_ids(saver) == []


def test_the_refusal_of_a_flat_config_has_the_right_config(make):
    with pytest.raises(
        ConfigError, match=r"outside of 'configurable': write {'configurable': {'thread_id': 'thread'}}"
    ):
        make(require_thread_id=True).get(FLAT)


def test_a_config_with_a_thread_id_is_accepted_if_one_is_required(make, log):
    saver = make(require_thread_id=True)
    fill(saver, 3)
    assert ids(saver.list(at(), before={"configurable": {"checkpoint_id": "c2"}})) == ["c1", "c0"]
    saver.put_writes(at(id="c2"), [("t", "a", 1)], "")
    assert log == []


def test_a_checkpoint_of_the_shared_thread_is_found_by_its_id_if_a_thread_id_is_required(tmp_path):
    with SqliteSaver(tmp_path / "store.db") as saver:
        fill(saver, 1, thread="__default__")
    with SqliteSaver(tmp_path / "store.db", require_thread_id=True) as saver:
        assert saver.get_by_id("c0").checkpoint["id"] == "c0"


def test_by_default_a_config_without_a_thread_id_is_warned_of_once(make, log):
    saver = make()
    for config in NAMELESS:
        assert place(saver.put(config, state("c0"), {}))[0] == "__default__"
    (record,) = log
    assert record.levelno == logging.WARNING
    assert record.thread_id == "__default__"
    assert record.getMessage().startswith(
        "config has no configurable.thread_id: checkpoints go to the thread '__default__', which everybody shares; "
    )
    assert "require_thread_id" in record.getMessage()


def test_by_default_a_flat_config_is_warned_of_once_with_the_right_config(make, log):
    saver = make()
    saver.get({})
    for _ in range(3):
        assert place(saver.put(FLAT, state("c0"), {}))[0] == "__default__"
    _, record = log
    assert record.getMessage().endswith("did you mean {'configurable': {'thread_id': 'thread'}}?")


def test_the_thread_that_everybody_shares_may_be_named(make, log):
    saver = make()
    saver.put(at("__default__"), state("c0"), {})
    assert saver.get(at("__default__")) == state("c0")
    assert ids(saver.list(at("__default__"), before={"configurable": {"checkpoint_id": "c0"}})) == []
    assert log == []


def test_a_checkpoint_that_is_not_stored_is_refused_if_one_is_required(make):
    saver = make(require_checkpoint=True)
    fill(saver, 2)
    for call in (saver.get_tuple, saver.get):
        with pytest.raises(ConfigError, match=r"'other' of thread 'thread'.* is not stored.*leave checkpoint_id out"):
            call(at(id="other"))
    assert saver.get(at(id="c0"))["id"] == "c0"
    assert saver.get(at())["id"] == "c1"
    assert saver.get(at("empty")) is None
    assert saver.get_by_id("other") is None
    saver.put_writes(at(id="later"), [("t", "a", 1)], "")
    saver.put(at(id="other"), state("c2"), {})
    assert saver.get(at())["id"] == "c2"


def test_by_default_a_checkpoint_that_is_not_stored_reads_as_none(make):
    saver = make()
    fill(saver, 2)
    assert saver.get_tuple(at(id="other")) is None


def test_the_checkpoint_of_a_graph_may_be_sought_in_the_namespace_of_its_subgraph(make):
    saver = make(require_checkpoint=True)
    fill(saver, 2)
    assert saver.get(at(ns="inner", id="c1")) is None


def test_graphs_with_subgraphs_run_where_checkpoints_and_thread_ids_are_required(make):
    saver = make(require_checkpoint=True, require_thread_id=True)
    inner = StateGraph(Values)
    inner.add_node("double", lambda values: {"value": values["value"] * 2})
    inner.set_entry_point("double")
    inner.set_finish_point("double")
    outer = StateGraph(Values)
    outer.add_node("increment", lambda values: {"value": values["value"] + 1})
    outer.add_node("inner", inner.compile())
    outer.add_edge("increment", "inner")
    outer.set_entry_point("increment")
    outer.set_finish_point("inner")
    app = outer.compile(checkpointer=saver)
    assert app.invoke({"value": 1}, at("run"))["value"] == 4
    config = at("run", id="no-such-checkpoint")
    with pytest.raises(ConfigError, match="no-such-checkpoint"):
        app.invoke({"value": 1}, config)
    with pytest.raises(ConfigError, match="thread_id"):
        app.invoke({"value": 1})


@pytest.mark.parametrize("option", ["require_thread_id", "require_checkpoint", "require_lease", "refresh_on_read"])
@pytest.mark.parametrize("value", [None, 0, 1, "yes"])
def test_an_option_that_is_on_or_off_is_nothing_else(make, option, value):
    with pytest.raises(ValueError, match=f"{option} must be True or False"):
        make(**{option: value})


@pytest.mark.parametrize(
    ("name", "meant"),
    [("tll", "ttl"), ("TTL", "ttl"), ("require_thread", "require_thread_id"), ("serialiser", "serializer")],
)
def test_an_unknown_option_is_refused_with_the_closest_one(make, name, meant):
    with pytest.raises(TypeError, match=f"^unknown option '{name}'; did you mean '{meant}'\\?$"):
        make(**{name: 1})


def test_an_unknown_option_that_is_like_no_other_is_refused_with_all_of_them(make):
    with pytest.raises(TypeError, match=r"^unknown option 'xyzzy'; the options are .*durability, .*max_age, .*ttl\b"):
        make(xyzzy=1)


def test_a_savers_own_options_are_proposed_too():
    with pytest.raises(TypeError, match="did you mean 'wait_replicas'"):
        Settings.check(names=("prefix", "wait_replicas"), wait_replica=1)
    with pytest.raises(TypeError, match="prefix"):
        Settings.check(names=("prefix", "wait_replicas"), xyzzy=1)
