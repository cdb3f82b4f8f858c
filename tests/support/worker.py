"""A worker process: starts a graph or continues it, and reports its progress on standard output."""

from __future__ import annotations

import json
import sys
import time

from zerograph import Command

from support.data import at
from support.graphs import Log, note, sequence
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

    return sequence(Log, first=note("first"), work=work, last=note("last")).compile(checkpointer=saver)


def hammer(saver, name, rounds):
    """Write to a thread of this worker and to one that all workers share."""
    for number in range(rounds):
        own, shared = at(f"own {name}"), at("shared")
        saver.put(own, {"id": f"{number}"}, {})
        saver.put(shared, {"id": f"{name}-{number}"}, {})
        saver.put_writes(at("shared", id="all"), [(name, str(number), number)], "")
        assert saver.get_tuple(own).checkpoint["id"] == str(number)
        assert saver.list(shared, limit=3)


def main(action, url, *rest):
    serializer = EncryptedSerializer({"key": bytes(32)}) if action == "encrypt" else None
    with open_saver(url, prefix=rest[0], serializer=serializer) as saver:
        if action == "start":
            build(saver, hang=True).invoke({"log": ["start"]}, at())
        elif action == "continue":
            report(json.dumps(build(saver, hang=False).invoke(Command(resume=True), at())))
        elif action == "hammer":
            hammer(saver, rest[1], int(rest[2]))
            report("done")
        elif action == "encrypt":
            for number in range(int(rest[2])):
                saver.put_writes({"configurable": {"checkpoint_id": "all"}}, [(rest[1], str(number), number)], "")


if __name__ == "__main__":
    main(*sys.argv[1:])
