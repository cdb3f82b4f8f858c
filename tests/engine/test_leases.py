"""A lease around the engine: everything that it does carries the token, and a worker that lost it stores nothing more."""

import contextvars

import pytest
import zerograph
from support import graphs
from support.blocks import expire
from support.stores import ENGINE_STORES, USUAL_ENGINE_STORES, make_store, matrix
from zerograph import END, START, Command, StateGraph

from zerograph_redis import LeaseError, LeaseHeldError, LeaseLostError


class Held:
    """A saver that refuses writes without a lease, and a way to run a graph under one."""

    def __init__(self, store):
        self.saver = store.open_bare(require_lease=True)
        self.asynchronous = store.asynchronous
        self._runner = store.runner

    def lease(self, **options):
        return self.saver.lease("thread", **options)

    def invoke(self, app, given, config):
        if self.asynchronous:
            # A task that is started in a block sees it, too.
            return self._runner.run(app.ainvoke(given, config), context=contextvars.copy_context())
        return app.invoke(given, config)

    def apart(self, app, given, config):
        """Run in no block, so that the config's token is all that there is."""
        if self.asynchronous:
            return self._runner.run(app.ainvoke(given, config), context=contextvars.Context())
        return contextvars.Context().run(app.invoke, given, config)


@pytest.fixture(params=matrix(ENGINE_STORES, USUAL_ENGINE_STORES))
def held(request):
    """Every backend, both ways."""
    store = make_store(request.param, request)
    yield Held(store)
    store.close()


def abc(**options):
    return graphs.chain("a", "b", "c", **options)


CONFIGS = {
    "token carried": lambda held: (held.apart, lambda lease: lease.config()),
    "in the block": lambda held: (held.invoke, lambda lease: {"configurable": {"thread_id": "thread"}}),
}

RUNS = {
    "plain": (abc, [{"log": ["start"]}, {"log": ["again"]}]),
    "loop": (graphs.looping, [{"count": 0, "log": []}]),
    "sends": (graphs.fanned_out, [{"items": ["x", {"y": 1}, 3], "log": []}]),
    "branches": (graphs.branching, [{"log": []}]),
    "command": (graphs.commanding, [{"log": []}]),
    "interrupt and resume": (graphs.approval, [{"log": []}, Command(resume="yes")]),
    "nested subgraphs": (graphs.nested, [{"log": []}, Command(resume="yes")]),
}


@pytest.mark.parametrize("way", CONFIGS)
@pytest.mark.parametrize("run", RUNS)
def test_a_run_under_a_lease_does_all_that_one_without_does(held, run, way):
    invoke, config = CONFIGS[way](held)
    graph, inputs = RUNS[run]
    app, results = graph(checkpointer=held.saver), []
    for given in inputs:
        with held.lease() as lease:
            results.append(invoke(app, given, config(lease)))
    free = graph(checkpointer=zerograph.InMemorySaver())
    assert results == [free.invoke(given, {"configurable": {"thread_id": "thread"}}) for given in inputs]
    assert app.get_state({"configurable": {"thread_id": "thread"}}).values == results[-1]


@pytest.mark.parametrize("carried", [True, False])
def test_a_state_is_updated_under_a_lease(held, carried):
    app = abc(checkpointer=held.saver, interrupt_before=["c"])
    with held.lease() as lease:
        config = lease.config() if carried else {"configurable": {"thread_id": "thread"}}
        run = contextvars.Context().run if carried else lambda call, *given: call(*given)
        held.invoke(app, {"log": []}, config)
        run(app.update_state, config, {"log": ["by hand"]})
        assert "by hand" in held.invoke(app, Command(resume=True), config)["log"]


def test_a_functional_workflow_that_makes_its_own_configs_runs_under_a_lease(held):
    for number in (1, 2, 3):
        with held.lease() as lease:
            found = held.invoke(graphs.counting(held.saver), number, lease.config())
    assert found["total"] == 12
    with held.lease():
        found = held.invoke(graphs.counting(held.saver), 4, {"configurable": {"thread_id": "thread"}})
    assert found["total"] == 20


def test_a_run_without_a_lease_is_refused(held):
    app = abc(checkpointer=held.saver)
    config = {"configurable": {"thread_id": "thread"}}
    with pytest.raises(LeaseError, match="'thread' may only be written under a lease"):
        held.invoke(app, {"log": []}, config)
    assert app.get_state_history(config) == []


def test_a_run_of_another_worker_is_refused_while_a_thread_is_held(store):
    saver = store.open_bare()
    app = abc(checkpointer=saver)
    config = {"configurable": {"thread_id": "thread"}}
    with saver.lease("thread", owner="the holder"):
        app.invoke({"log": ["start"]}, config)
        before = [each.values for each in app.get_state_history(config)]
        with pytest.raises(LeaseHeldError, match="the holder"):
            contextvars.Context().run(app.invoke, {"log": ["theirs"]}, config)
        assert [each.values for each in app.get_state_history(config)] == before


@pytest.mark.parametrize("way", CONFIGS)
@pytest.mark.parametrize("taken", [True, False])
def test_a_worker_that_loses_its_lease_within_a_run_stores_nothing_more(held, taken, way):
    invoke, config = CONFIGS[way](held)
    seen = []

    def lose(state):
        held.saver.flush("thread")
        expire(held_lease, held.saver)
        other = held.saver.lease("thread", ttl=100, wait=20, owner="the next")
        contextvars.Context().run(other.__enter__)
        others.append(other)
        tokens.append(other.token)
        if not taken:
            end(other)
        seen.extend(each.values for each in app.get_state_history({"configurable": {"thread_id": "thread"}}))
        return {"log": ["a zombie was here"]}

    def end(other):
        contextvars.Context().run(other.__exit__, None, None, None)

    graph = StateGraph(graphs.Log)
    graph.add_node("before", graphs.note("before"))
    graph.add_node("lose", lose)
    graph.add_node("after", graphs.note("after"))
    graph.add_edge(START, "before")
    graph.add_edge("before", "lose")
    graph.add_edge("lose", "after")
    graph.add_edge("after", END)
    app = graph.compile(checkpointer=held.saver)
    others, tokens = [], []
    with held.lease(ttl=60) as held_lease, pytest.raises(LeaseLostError, match="'thread'"):
        invoke(app, {"log": ["start"]}, config(held_lease))
    assert seen
    history = [each.values for each in app.get_state_history({"configurable": {"thread_id": "thread"}})]
    assert history == seen
    assert not any("a zombie was here" in values["log"] for values in history)
    if taken:
        end(others[0])
    with held.lease() as next_lease:
        assert next_lease.token > tokens[0]
