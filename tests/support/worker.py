"""A worker process: starts a graph or continues it, and reports on its standard output what it does."""

from __future__ import annotations

import json
import sys
import time

from zerograph import END, START, Command, StateGraph

from support.graphs import Log, note
from zerograph_redis import EncryptedSerializer, open_saver


def report(*words):
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


def build(saver, *, hang):
    def work(state):
        report("inside")
        while hang:
            time.sleep(0.01)
        return {"log": [f"worked after {len(state['log'])}"]}

    graph = StateGraph(Log)
    graph.add_node("first", note("first"))
    graph.add_node("work", work)
    graph.add_node("last", note("last"))
    graph.add_edge(START, "first")
    graph.add_edge("first", "work")
    graph.add_edge("work", "last")
    graph.add_edge("last", END)
    return graph.compile(checkpointer=saver)


def hammer(saver, name, rounds):
    """Write to threads of one's own and to one that all share, and count what fails."""
    for number in range(rounds):
        own = {"configurable": {"thread_id": f"own {name}"}}
        shared = {"configurable": {"thread_id": "shared"}}
        saver.put(own, {"id": f"{number}"}, {})
        saver.put(shared, {"id": f"{name}-{number}"}, {})
        saver.put_writes(
            {"configurable": {"thread_id": "shared", "checkpoint_id": "all"}}, [(name, str(number), number)], ""
        )
        assert saver.get_tuple(own).checkpoint["id"] == str(number)
        assert saver.list(shared, limit=3)


def main(action, url, *rest):
    serializer = EncryptedSerializer({"key": bytes(32)}) if action == "encrypt" else None
    with open_saver(url, prefix=rest[0], serializer=serializer) as saver:
        config = {"configurable": {"thread_id": "thread"}}
        if action == "start":
            build(saver, hang=True).invoke({"log": ["start"]}, config)
        elif action == "continue":
            report(json.dumps(build(saver, hang=False).invoke(Command(resume=True), config)))
        elif action == "hammer":
            hammer(saver, rest[1], int(rest[2]))
            report("done")
        elif action == "encrypt":
            for number in range(int(rest[2])):
                saver.put_writes({"configurable": {"checkpoint_id": "all"}}, [(rest[1], str(number), number)], "")


if __name__ == "__main__":
    main(*sys.argv[1:])
