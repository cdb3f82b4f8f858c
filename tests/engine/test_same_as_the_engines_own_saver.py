"""Each case is one run, made on our saver and on ZeroGraph's own: both must come to the same."""

import pytest
from support import graphs
from zerograph import Command

from zerograph_redis import CheckpointError


def plain(runs):
    app = runs.compiled(abc)
    first = runs.invoke(app, {"log": ["start"]})
    app = runs.compiled(abc)
    second = runs.invoke(app, {"log": ["again"]})
    return [first, second, runs.transcript(app)]


def abc(**options):
    return graphs.chain("a", "b", "c", **options)


def loop(runs):
    app = runs.compiled(graphs.looping)
    return [runs.invoke(app, {"count": 0, "log": []}), runs.transcript(app)]


def fan_out(runs):
    app = runs.compiled(graphs.fanned_out)
    return [runs.invoke(app, {"items": ["x", {"y": (1, 2)}, 3], "log": []}), runs.transcript(app)]


def parallel_branches(runs):
    app = runs.compiled(graphs.branching)
    return [runs.invoke(app, {"log": []}), runs.transcript(app)]


def command_goto(runs):
    app = runs.compiled(graphs.commanding)
    return [runs.invoke(app, {"log": []}), runs.transcript(app)]


def streamed(runs):
    found = []
    for mode in ("updates", "values", "debug", ["updates", "values"]):
        app = runs.compiled(abc)
        found += [runs.stream(app, {"log": [str(mode)]}, mode), runs.transcript(app)]
    return found


def streamed_to_an_interrupt(runs):
    app = runs.compiled(graphs.approval)
    first = runs.stream(app, {"log": []}, "updates")
    middle = runs.transcript(app)
    app = runs.compiled(graphs.approval)
    return [first, middle, runs.stream(app, Command(resume="yes"), "updates"), runs.transcript(app)]


def interrupted_and_resumed(runs):
    app = runs.compiled(graphs.approval)
    first = runs.invoke(app, {"log": ["start"]})
    middle = runs.transcript(app)
    app = runs.compiled(graphs.approval)
    return [first, middle, runs.invoke(app, Command(resume={"answer": (1, "yes")})), runs.transcript(app)]


def interrupted_on_many_threads(runs):
    app = runs.compiled(graphs.approval)
    for number in range(4):
        runs.invoke(app, {"log": [number]}, f"thread {number}")
    found = []
    for number in (2, 0, 3, 1):
        app = runs.compiled(graphs.approval)
        runs.invoke(app, Command(resume=number), f"thread {number}")
        found.append(runs.transcript(app, f"thread {number}"))
    return found


def interrupted_before(runs):
    found = []
    app = runs.compiled(abc, interrupt_before=["b", "c"])
    found += [runs.invoke(app, {"log": []}), runs.transcript(app)]
    for _ in range(3):
        app = runs.compiled(abc, interrupt_before=["b", "c"])
        found += [runs.invoke(app, Command(resume=True)), runs.transcript(app)]
    return found


def interrupted_after(runs):
    found = []
    app = runs.compiled(abc, interrupt_after=["a", "b"])
    found += [runs.invoke(app, {"log": []}), runs.transcript(app)]
    for _ in range(3):
        app = runs.compiled(abc, interrupt_after=["a", "b"])
        found += [runs.invoke(app, Command(resume=True)), runs.transcript(app)]
    return found


def updated(runs):
    app = runs.compiled(abc, interrupt_before=["c"])
    runs.invoke(app, {"log": []})
    app.update_state({"configurable": {"thread_id": "thread"}}, {"log": ["by hand"]})
    middle = runs.transcript(app)
    app = runs.compiled(abc, interrupt_before=["c"])
    return [middle, runs.invoke(app, Command(resume=True)), runs.transcript(app)]


def updated_as_a_node(runs):
    app = runs.compiled(abc)
    app.update_state({"configurable": {"thread_id": "thread"}}, {"log": ["as a"]}, as_node="a")
    middle = runs.transcript(app)
    app = runs.compiled(abc)
    return [middle, runs.invoke(app, Command(resume=True)), runs.transcript(app)]


def travelled_in_time(runs):
    app = runs.compiled(graphs.approval)
    runs.invoke(app, {"log": ["start"]})
    runs.invoke(app, Command(resume="first"))
    found = []
    paused = [each for each in runs.history(app) if each.interrupts]
    (old,) = [each.config["configurable"]["checkpoint_id"] for each in paused]
    app = runs.compiled(graphs.approval)
    found += [runs.invoke(app, Command(resume="second"), checkpoint_id=old), runs.transcript(app)]
    oldest = runs.history(app)[-1].config["configurable"]["checkpoint_id"]
    app = runs.compiled(graphs.approval)
    found += [runs.invoke(app, {"log": ["fork"]}, checkpoint_id=oldest), runs.transcript(app)]
    return found


def history_with_a_limit(runs):
    app = runs.compiled(graphs.looping)
    runs.invoke(app, {"count": 0, "log": []})
    return [[each.values for each in runs.history(app, limit=limit)] for limit in (0, 1, 5, 100)]


def nested_subgraphs(runs):
    app = runs.compiled(graphs.nested)
    found = [runs.invoke(app, {"log": ["start"]}), runs.transcript(app)]
    app = runs.compiled(graphs.nested)
    found += [runs.invoke(app, Command(resume="yes")), runs.transcript(app)]
    app = runs.compiled(graphs.nested)
    found += [runs.invoke(app, {"log": ["once more"]}), runs.transcript(app)]
    return found


def failed_and_tried_again(runs):
    flaky = graphs.Flaky()
    app = runs.compiled(flaky)
    with pytest.raises(RuntimeError, match="the first time"):
        runs.invoke(app, {"log": []})
    middle = runs.transcript(app)
    app = runs.compiled(flaky)
    return [middle, runs.invoke(app, Command(resume=True)), runs.transcript(app)]


def previous(runs):
    found = []
    for number in (1, 2, 3):
        workflow = graphs.counting(runs._open())
        found.append(runs.invoke(workflow, number))
    found.append(runs.invoke(graphs.counting(runs._open()), 5, "other"))
    return found


def chatted(runs):
    found = []
    for number in range(5):
        app = runs.compiled(graphs.chat)
        message = {"role": "user", "content": f"hello {number} 𝄞 \ud800", "meta": {"n": (number, b"\x00")}}
        found.append(contents(runs.invoke(app, {"messages": [message]})))
    return [found, len(runs.history(app))]


def contents(values):
    """Messages without the ids that the reducer draws at random."""
    return [{key: value for key, value in each.items() if key != "id"} for each in values["messages"]]


def react(runs):
    app = runs.compiled(graphs.react_agent)
    first = contents(runs.invoke(app, {"messages": [{"role": "user", "content": "add", "id": "u1"}]}))
    app = runs.compiled(graphs.react_agent)
    second = contents(runs.invoke(app, {"messages": [{"role": "user", "content": "again", "id": "u2"}]}))
    return [first, second, [contents(each.values) for each in runs.history(app)], runs.namespaces(app, "thread")]


def supervisor(runs):
    app = runs.compiled(graphs.supervised)
    result = contents(runs.invoke(app, {"messages": [{"role": "user", "content": "write", "id": "u1"}]}))
    return [result, [contents(each.values) for each in runs.history(app)]]


def swarm(runs):
    app = runs.compiled(graphs.swarm)
    result = contents(runs.invoke(app, {"messages": [{"role": "user", "content": "go", "id": "u1"}]}))
    return [result, [contents(each.values) for each in runs.history(app)]]


def batch(runs):
    app = runs.compiled(abc)
    config = {"configurable": {"thread_id": "thread"}}
    results = app.batch([{"log": [1]}, {"log": [2]}], config)
    return [results, runs.transcript(app)]


SCENARIOS = (
    plain, loop, fan_out, parallel_branches, command_goto, streamed, streamed_to_an_interrupt, interrupted_and_resumed,
    interrupted_on_many_threads, interrupted_before, interrupted_after, updated, updated_as_a_node, travelled_in_time,
    history_with_a_limit, nested_subgraphs, failed_and_tried_again, previous, chatted, react, supervisor, swarm, batch,
)  # fmt: skip


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_a_run_comes_to_the_same_as_on_the_engines_own_saver(runs, expected, scenario):
    assert scenario(runs) == scenario(expected)


def test_a_state_that_cannot_be_stored_stops_the_run_with_the_place_of_the_value(runs):
    app = runs.compiled(abc)
    with pytest.raises(CheckpointError, match=r"channel_values\['log'\]\[1\]"):
        runs.invoke(app, {"log": [1, object()]})
    assert runs.history(app) == []
