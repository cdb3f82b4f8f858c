"""A worker process: writes checkpoints, and logs what was acknowledged before it does the next."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from zerograph_redis import (
    BackendUnavailableError,
    LeaseHeldError,
    LeaseLostError,
    RedisSaver,
    ReplicationError,
)

STEPS = 10  # of a run
THINKING = 0.004  # seconds that a step takes, between reading a thread and writing it
LENGTH = 50  # checkpoints of a thread that one worker writes


def text(number: int) -> list[str]:
    """Return the state of a numbered checkpoint: its own message, behind those of the thread's earlier ones."""
    return [f"message {each} " + "x" * 60 for each in range(number - number % LENGTH, number + 1)]


def writes(number: int) -> list[tuple[str, str, Any]]:
    """Return the pending writes of a numbered checkpoint."""
    return [("task", "one", number), ("task", "two", text(number)[-1])]


class Worker:
    """One process of a crew."""

    def __init__(self, task: dict[str, Any]) -> None:
        """Open the store and the log that *task* names."""
        self.task = task
        self.name: str = task["name"]
        self._end = Path(task["end"])
        self._log = os.open(task["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.saver = RedisSaver.from_url(task["url"], prefix=task["prefix"], **task.get("options", {}))

    def say(self, *entry: Any) -> None:
        """Log an entry: in one write, so that it is there whole, also if this process dies now."""
        os.write(self._log, json.dumps([*entry, self.name, time.time()]).encode() + b"\n")

    def goes_on(self) -> bool:
        """Tell whether nobody asked this worker to end."""
        return not self._end.exists()

    def take_turns(self) -> None:
        """Continue random threads, a run at a time, under a lease or without."""
        leased, ttl = self.task["leased"], self.task["ttl"]
        while self.goes_on():
            # Some threads are more in demand than others: that is where workers meet.
            number = int(self.task["threads"] * random.random() ** random.choice((1, 4)))
            thread = f"thread-{number}"
            try:
                if leased:
                    with self.saver.lease(thread, ttl) as lease:
                        self._run(lease.config(), thread)
                else:
                    self._run({"configurable": {"thread_id": thread}}, thread)
            except LeaseHeldError:
                self.say("held", thread)
            except LeaseLostError:
                self.say("refused", thread)

    def _run(self, config: dict[str, Any], thread: str) -> None:
        for _ in range(STEPS):
            newest = self.saver.get_tuple(config)
            steps = [] if newest is None else newest.checkpoint["channel_values"]["steps"]
            parent = {} if newest is None else {"checkpoint_id": newest.checkpoint["id"]}
            time.sleep(THINKING)
            step, name = len(steps), uuid4().hex
            state = {"id": name, "channel_values": {"steps": [*steps, step]}}
            self.saver.put({"configurable": {**config["configurable"], **parent}}, state, {"step": step})
            self.say("stored", thread, name, step)

    def write(self) -> None:
        """Write numbered checkpoints with their writes to threads of one's own, whatever the server says."""
        number, thread, config = 0, "", {}
        while self.goes_on():
            if number % LENGTH == 0:
                thread = f"{self.name}-{number // LENGTH}"
                config = {"configurable": {"thread_id": thread}}
            stored = self._stored(config, thread, number)
            if stored is None:
                return
            config = stored
            number += 1

    def _stored(self, config: dict[str, Any], thread: str, number: int) -> dict[str, Any] | None:
        """Store a checkpoint and its writes, again until both are acknowledged: what was done twice is there once."""
        name = f"{number:08}"
        state = {"id": name, "channel_values": {"text": text(number)}}
        stored = None
        while self.goes_on():
            try:
                if stored is None:
                    stored = self.saver.put(config, state, {"number": number})
                    self.say("stored", thread, name, number)
                self.saver.put_writes(stored, writes(number), "")
                self.say("written", thread, name, number)
            except ReplicationError:
                self.say("unconfirmed", thread, name, number)
            except BackendUnavailableError as error:
                self.say("failed", thread, name, f"{type(error.__cause__).__name__}: {error.__cause__}"[:200])
            else:
                return stored
        return None

    def main(self) -> None:
        """Do the task until asked to end."""
        {"turns": self.take_turns, "write": self.write}[self.task["kind"]]()
        self.saver.close()


if __name__ == "__main__":
    Worker(json.loads(sys.argv[1])).main()
