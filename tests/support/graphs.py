"""Graphs that use the features of the engine, and summaries of their snapshots that must be equal on all savers."""

from __future__ import annotations

import json
import operator
from itertools import pairwise
from typing import Annotated, Any, TypedDict

from zerograph import (
    END,
    START,
    Command,
    Send,
    StateGraph,
    add_messages,
    create_react_agent,
    create_supervisor,
    create_swarm,
    entrypoint,
    interrupt,
    task,
)


class Log(TypedDict):
    log: Annotated[list, operator.add]


class Work(TypedDict):
    items: list
    log: Annotated[list, operator.add]


def note(name):
    def node(state):
        return {"log": [f"{name} after {len(state.get('log') or [])}"]}

    node.__name__ = name
    return node


def sequence(schema, **nodes):
    """A graph, not yet compiled, that runs its nodes one after the other."""
    graph = StateGraph(schema)
    for name, node in nodes.items():
        graph.add_node(name, node)
    for one, two in pairwise((START, *nodes, END)):
        graph.add_edge(one, two)
    return graph


def chain(*names, **options):
    """A graph of nodes that each log their name."""
    return sequence(Log, **{name: note(name) for name in names}).compile(**options)


def looping(**options):
    """A graph that counts to ten."""

    class Count(TypedDict):
        count: int
        log: Annotated[list, operator.add]

    graph = StateGraph(Count)
    graph.add_node("step", lambda state: {"count": state["count"] + 1, "log": [state["count"]]})
    graph.add_edge(START, "step")
    graph.add_conditional_edges(
        "step", lambda state: "step" if state["count"] < 10 else END, {"step": "step", END: END}
    )
    return graph.compile(**options)


def fanned_out(**options):
    """A graph whose first node sends each item to a worker."""
    graph = StateGraph(Work)
    graph.add_node("split", lambda state: {"log": ["split"]})
    graph.add_node("worker", lambda item: {"log": [f"worked on {item}"]})
    graph.add_node("join", lambda state: {"log": [f"joined {len(state['log'])}"]})
    graph.add_edge(START, "split")
    graph.add_conditional_edges("split", lambda state: [Send("worker", item) for item in state["items"]], ["worker"])
    graph.add_edge("worker", "join")
    graph.add_edge("join", END)
    return graph.compile(**options)


def branching(**options):
    """A graph of two parallel branches that meet."""
    graph = StateGraph(Log)
    for name in ("left", "right", "meet"):
        graph.add_node(name, note(name))
    graph.add_edge(START, "left")
    graph.add_edge(START, "right")
    graph.add_edge(["left", "right"], "meet")
    graph.add_edge("meet", END)
    return graph.compile(**options)


def approval(**options):
    """A graph that asks a person between two nodes."""

    def ask(state):
        answer = interrupt({"question": "go on?", "so far": len(state["log"])})
        return {"log": [f"answered {answer}"]}

    return sequence(Log, before=note("before"), ask=ask, after=note("after")).compile(**options)


def nested(**options):
    """A graph in a graph in a graph; the innermost asks a person."""

    def ask(state):
        return {"log": [f"inner got {interrupt('inner?')}"]}

    inner = sequence(Log, prepare=note("prepare"), ask=ask).compile()
    middle = sequence(Log, inner=inner, closing=note("closing")).compile()
    return sequence(Log, opening=note("opening"), middle=middle, ending=note("ending")).compile(**options)


def commanding(**options):
    """A graph whose node chooses the next one with a Command."""

    def decide(state):
        return Command(update={"log": ["decided"]}, goto="chosen")

    graph = StateGraph(Log)
    graph.add_node("decide", decide)
    graph.add_node("chosen", note("chosen"))
    graph.add_node("other", note("other"))
    graph.add_edge(START, "decide")
    graph.add_edge("chosen", END)
    graph.add_edge("other", END)
    return graph.compile(**options)


class Flaky:
    """A graph whose node fails the first time."""

    def __init__(self):
        self.calls = 0

    def __call__(self, **options):
        def fail(state):
            self.calls += 1
            if self.calls == 1:
                raise RuntimeError("the first time")
            return {"log": ["worked"]}

        return sequence(Log, before=note("before"), fail=fail).compile(**options)


def tool_call(name, **arguments):
    return {"id": f"call-{name}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def react_agent(**options):
    """An agent whose model calls a tool, then answers with its result."""

    def model(messages, tools):
        if messages[-1]["role"] == "tool":
            return {"role": "assistant", "content": f"it is {messages[-1]['content']}", "id": f"m{len(messages)}"}
        content = {"role": "assistant", "content": "", "id": f"m{len(messages)}"}
        return {**content, "tool_calls": [tool_call("add", a=len(messages), b=2)]}

    return create_react_agent(model, [add], **options)


def supervised(**options):
    """A supervisor with two agents."""

    def researcher(state):
        return {"messages": [{"role": "assistant", "content": "found it", "id": f"r{len(state['messages'])}"}]}

    def writer(state):
        return {"messages": [{"role": "assistant", "content": "wrote it", "id": f"w{len(state['messages'])}"}]}

    def model(messages, tools):
        order = {"user": "researcher", "found it": "writer"}
        last = messages[-1]
        name = order.get(last["role"]) or order.get(last["content"])
        message = {"role": "assistant", "content": "delegate" if name else "done", "id": f"s{len(messages)}"}
        return {**message, "tool_calls": [tool_call(name, input="go")]} if name else message

    return create_supervisor(model, [researcher, writer], **options)


def swarm(**options):
    """Two agents that hand over to each other, with a tool between them."""

    def first(state):
        message = {
            "role": "assistant",
            "content": "over to you",
            "handoff": "second",
            "id": f"f{len(state['messages'])}",
        }
        return {"messages": [message]}

    def second(state):
        last = state["messages"][-1]
        message = {"role": "assistant", "content": f"got {last['content']}", "id": f"x{len(state['messages'])}"}
        return {
            "messages": [message if last["role"] == "tool" else {**message, "tool_calls": [tool_call("add", a=1, b=2)]}]
        }

    return create_swarm([first, second], [add], **options)


def chat(**options):
    """A graph that adds to a list of messages."""

    class Chat(TypedDict):
        messages: Annotated[list, add_messages]

    def answer(state):
        return {"messages": [{"role": "assistant", "content": f"reply {len(state['messages'])}"}]}

    return sequence(Chat, answer=answer).compile(**options)


def counting(checkpointer):
    """A functional workflow that remembers what it returned."""

    @task
    def double(number):
        return number * 2

    @entrypoint(checkpointer=checkpointer)
    def workflow(number, *, previous=None):
        return {"total": (previous or {"total": 0})["total"] + double(number).result(), "seen": (previous, (1, 2))}

    return workflow


def summary(snapshot: Any) -> dict[str, Any]:
    """The parts of a snapshot that must be equal on all savers: no checkpoint ids, no times."""
    if snapshot is None:
        return None
    return {
        "values": snapshot.values,
        "next": sorted(snapshot.next),
        "metadata": snapshot.metadata,
        "interrupts": list(snapshot.interrupts),
        "has parent": snapshot.parent_config is not None,
        "subgraphs": {name: summary(inner) for name, inner in (snapshot.subgraphs or {}).items()},
    }
