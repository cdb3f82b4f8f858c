"""A refund that survives its workers; ``scripts/demo`` runs this.

Worker 1 starts the graph of ``refund.py`` and is killed in the middle of a step. Worker 2, a new process, continues from
the last checkpoint until the graph asks a person. Worker 3 has the answer and finishes. They share only the store.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from refund import OPTIONS, STEPS
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from zerograph import Interrupt
from zerograph.checkpoint import CheckpointTuple

from zerograph_redis import CheckpointError, open_saver

SCRIPTS = Path(__file__).parent
KILLED_IN = "ask_bank"
FEE = "12.99"


@dataclass
class Worker:
    """A process that worked on the thread."""

    number: int
    pid: int
    started: list[str] = field(default_factory=list)
    killed_in: str | None = None


@contextmanager
def store() -> Iterator[tuple[str, str]]:
    """Open a store for the checkpoints; yields its URL and its name for people."""
    if url := os.environ.get("REDIS_URL"):
        parts = urlsplit(url)
        yield url, f"Redis at {parts.netloc.rpartition('@')[2] or parts.path} (from REDIS_URL)"
    elif shutil.which("redis-server"):
        with subprocess.Popen([str(SCRIPTS / "redis")], stdout=subprocess.PIPE, text=True) as server:
            try:
                url = (server.stdout.readline() if server.stdout else "").strip()
                if not url:
                    sys.exit("The private redis-server did not start.")
                yield url, "a private redis-server, which ends with this demo"
            finally:
                server.terminate()
    else:
        with tempfile.TemporaryDirectory(prefix="zerograph-demo-") as directory:
            yield f"sqlite:///{directory}/checkpoints.db", "SQLite: there is no REDIS_URL and no redis-server"


def work(number: int, url: str, thread: str, *decision: str, kill_in: str | None = None) -> Worker:
    """Run a worker until it ends, or kill it in the middle of the step *kill_in*."""
    command = [sys.executable, str(SCRIPTS / "refund.py"), str(number), thread, *decision]
    pipe = subprocess.PIPE
    environment = {**os.environ, "ZEROGRAPH_CHECKPOINT_URL": url}
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1, env=environment) as process:
        worker = Worker(number, process.pid)
        for line in process.stdout or ():
            step = line.strip()
            worker.started.append(step)
            if step == kill_in:
                process.kill()
                worker.killed_in = step
            elif step == "ask_bank" and process.stdin:
                print(FEE, file=process.stdin)
    if process.returncode != (-signal.SIGKILL if kill_in else 0):
        sys.exit(f"Worker {number} ended with {process.returncode}.")
    return worker


def make_table(workers: Sequence[Worker], checkpoints: Sequence[CheckpointTuple]) -> Table:
    """A table of all checkpoints, oldest first, and of the killed workers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("worker", justify="right", style="bold")
    table.add_column("pid", justify="right")
    table.add_column("checkpoint", style="cyan")
    table.add_column("step", no_wrap=True)
    table.add_column("changes of the state")
    killed = {(worker.number, worker.pid): worker for worker in workers if worker.killed_in}
    earlier: dict[str, Any] = {}
    for found, following in zip(checkpoints, [*checkpoints[1:], None], strict=True):
        values = found.checkpoint["channel_values"]
        number, pid = worker = values["worker"]
        last = following is not None and following.checkpoint["channel_values"]["worker"] != worker
        dead = killed.get(worker) if last else None
        checkpoint_id = found.config["configurable"]["checkpoint_id"]
        table.add_row(
            str(number), str(pid), checkpoint_id[:8], *describe(found, earlier, values), end_section=last and not dead
        )
        if dead:
            how = "killed with kill -9 in the middle"
            table.add_row(str(number), str(pid), "none", dead.killed_in, how, style="red", end_section=True)
        earlier = values
    return table


def describe(found: CheckpointTuple, earlier: dict[str, Any], values: dict[str, Any]) -> tuple[Text, Text]:
    """The step that a checkpoint completes, and the changes since the previous one."""
    asked = [value.value for _, _, value in found.pending_writes or () if isinstance(value, Interrupt)]
    if asked:
        return Text("approve", "yellow"), Text(f"waits for a person:\n{asked[0]}", "yellow")
    steps = values["log"][len(earlier.get("log", ())) :]
    changes = {
        name: value
        for name, value in values.items()
        if name not in ("log", "worker") and value is not None and earlier.get(name) != value
    }
    if earlier and not steps and not changes:
        coming = ", ".join(found.checkpoint["_next_nodes"])
        return Text("takes over", "green"), Text(
            f"unchanged since worker {earlier['worker'][0]}; next {coming}", "green"
        )
    lines = [
        Text.assemble(name, (f": {type(value).__name__}", "dim"), f" = {value}") for name, value in changes.items()
    ]
    return Text(", ".join(steps) or "start"), Text("\n").join(lines)


def conclude(workers: Sequence[Worker], checkpoints: Sequence[CheckpointTuple]) -> str:
    """Check that every step was stored once, in order; returns a summary."""
    names = [step.__name__ for step in STEPS]
    stored = checkpoints[-1].checkpoint["channel_values"]["log"]
    if stored != names:
        sys.exit(f"The stored steps are {stored}, but should be {names}.")
    started = Counter(step for worker in workers for step in worker.started)
    again = " and ".join(name for name in names if started[name] > 1)
    killed = sum(worker.killed_in is not None for worker in workers)
    return (
        f"{len(workers)} processes, {killed} of them killed: all {len(names)} steps stored, each once, "
        f"in {len(checkpoints)} checkpoints. Only {again} started twice: the first was killed, "
        f"the second waited for an answer. The thread has been deleted."
    )


def main() -> None:
    """Start, kill, continue, approve; then show the checkpoints."""
    console = Console(highlight=False)
    thread = f"refund-{uuid4().hex[:8]}"
    config = {"configurable": {"thread_id": thread}}
    with store() as (url, name):
        console.print(f"Checkpoints are stored in {name}.")
        with open_saver(url, **OPTIONS) as saver:
            try:
                workers = [
                    work(1, url, thread, kill_in=KILLED_IN),
                    work(2, url, thread),
                    work(3, url, thread, "Grace"),
                ]
                checkpoints = saver.list(config, limit=None)[::-1]
            finally:
                saver.delete_thread(thread)
    console.print(make_table(workers, checkpoints))
    console.print(conclude(workers, checkpoints))


if __name__ == "__main__":
    try:
        main()
    except CheckpointError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
