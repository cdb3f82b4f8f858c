"""A worker process: writes checkpoints, and logs each acknowledged write before the next."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from support.data import at

from zerograph_redis import BackendUnavailableError, LeaseHeldError, LeaseLostError, RedisSaver, ReplicationError

STEPS = 10  # of a run
STEP_SECONDS = 0.004  # between reading a thread and writing it
LENGTH = 50  # checkpoints of a thread that one worker writes


def text(number: int) -> list[str]:
    """The state of a numbered checkpoint: the messages of all checkpoints of its thread up to it."""
    return [f"message {each} " + "x" * 60 for each in range(number - number % LENGTH, number + 1)]


def writes(number: int) -> list[tuple[str, str, Any]]:
    """The pending writes of a numbered checkpoint."""
    return [("task", "one", number), ("task", "two", text(number)[-1])]


class Worker:
    """One process of a `WorkerPool`."""

    def __init__(self, task: dict[str, Any]) -> None:
        """Open the store and the log that *task* names."""
        self.task = task
        self.name: str = task["name"]
        self._end = Path(task["end"])
        self._log = os.open(task["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.saver = RedisSaver.from_url(task["url"], prefix=task["prefix"], **task.get("options", {}))

    def log(self, *entry: Any) -> None:
        """Append an entry to the log, in one write: a process that is killed leaves whole entries."""
        os.write(self._log, json.dumps([*entry, self.name, time.time()]).encode() + b"\n")

    def is_wanted(self) -> bool:
        """Whether the worker was not asked to end."""
        return not self._end.exists()

    def take_turns(self) -> None:
        """Continue random threads, one run at a time, with a lease or without."""
        leased, ttl = self.task["leased"], self.task["ttl"]
        while self.is_wanted():
            # Some threads are chosen more often than others: there workers meet.
            number = int(self.task["threads"] * random.random() ** random.choice((1, 4)))
            thread = f"thread-{number}"
            try:
                if leased:
                    with self.saver.lease(thread, ttl) as lease:
                        self._run(lease.config(), thread)
                else:
                    self._run(at(thread), thread)
            except LeaseHeldError:
                self.log("held", thread)
            except LeaseLostError:
                self.log("refused", thread)

    def _run(self, config: dict[str, Any], thread: str) -> None:
        for _ in range(STEPS):
            newest = self.saver.get_tuple(config)
            steps = [] if newest is None else newest.checkpoint["channel_values"]["steps"]
            parent = {} if newest is None else {"checkpoint_id": newest.checkpoint["id"]}
            time.sleep(STEP_SECONDS)
            step, checkpoint_id = len(steps), uuid4().hex
            state = {"id": checkpoint_id, "channel_values": {"steps": [*steps, step]}}
            self.saver.put({"configurable": {**config["configurable"], **parent}}, state, {"step": step})
            self.log("put", thread, checkpoint_id, step)

    def write(self) -> None:
        """Write numbered checkpoints and pending writes to threads of this worker, and retry after errors."""
        number, thread, config = 0, "", {}
        while self.is_wanted():
            if number % LENGTH == 0:
                thread = f"{self.name}-{number // LENGTH}"
                config = at(thread)
            stored = self._stored(config, thread, number)
            if stored is None:
                return
            config = stored
            number += 1

    def _stored(self, config: dict[str, Any], thread: str, number: int) -> dict[str, Any] | None:
        """Store a checkpoint and its writes; retry until both are acknowledged."""
        checkpoint_id = f"{number:08}"
        state = {"id": checkpoint_id, "channel_values": {"text": text(number)}}
        stored = None
        while self.is_wanted():
            try:
                if stored is None:
                    stored = self.saver.put(config, state, {"number": number})
                    self.log("put", thread, checkpoint_id, number)
                self.saver.put_writes(stored, writes(number), "")
                self.log("put_writes", thread, checkpoint_id, number)
            except ReplicationError:
                self.log("unconfirmed", thread, checkpoint_id, number)
            except BackendUnavailableError as error:
                self.log("failed", thread, checkpoint_id, f"{type(error.__cause__).__name__}: {error.__cause__}"[:200])
            else:
                return stored
        return None

    def main(self) -> None:
        """Run the task until asked to end."""
        {"turns": self.take_turns, "write": self.write}[self.task["kind"]]()
        self.saver.close()


if __name__ == "__main__":
    Worker(json.loads(sys.argv[1])).main()
