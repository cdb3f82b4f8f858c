"""Worker processes: started, suspended, killed and replaced. Their logs outlive them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from support.polling import LONG

import zerograph_redis

_HERE = Path(__file__).parent
_PATHS = (_HERE.parent, _HERE.parent.parent / "tests", Path(zerograph_redis.__file__).parent.parent)


class WorkerPool:
    """A fixed number of worker processes, each with a log that it appends to after every operation."""

    def __init__(self, directory: Path, count: int, **task: Any) -> None:
        """Start *count* workers that log into *directory*; *task* is the argument of `scenarios.worker`."""
        self._directory = directory
        self._task = task
        self._spawned = 0
        self._end = directory / "end"
        self.workers: list[subprocess.Popen[bytes]] = []
        self._names: dict[int, str] = {}
        self._failures: list[str] = []
        self.killed = self.suspended = 0
        directory.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            self.workers.append(self._spawn(number))

    def _spawn(self, number: int) -> subprocess.Popen[bytes]:
        self._spawned += 1
        name = self._names[number] = f"{number}-{self._spawned}"
        task = {**self._task, "name": name, "log": str(self._log(number)), "end": str(self._end)}
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, _PATHS))}
        with (self._directory / f"{name}.errors").open("wb") as errors:
            command = [sys.executable, "-m", "scenarios.worker", json.dumps(task)]
            return subprocess.Popen(command, env=environment, stderr=errors, stdin=subprocess.DEVNULL)

    def _log(self, number: int) -> Path:
        return self._directory / f"{self._names[number]}.log"

    def has_logged(self, number: int) -> bool:
        """Whether the present worker of this number has logged anything."""
        log = self._log(number)
        return log.exists() and log.stat().st_size > 0

    def kill(self, number: int) -> None:
        """Kill a worker, and start another in its place."""
        worker = self.workers[number]
        if worker.poll() is not None:
            self._failures.append(self._describe_exit(number))
        worker.kill()
        worker.wait()
        self.killed += 1
        self.workers[number] = self._spawn(number)

    def suspend(self, number: int) -> None:
        """Stop a worker until it is resumed."""
        self.workers[number].send_signal(signal.SIGSTOP)
        self.suspended += 1

    def resume(self, number: int) -> None:
        """Continue a suspended worker."""
        self.workers[number].send_signal(signal.SIGCONT)

    def wait_until_all_wrote(self, seconds: float = LONG) -> bool:
        """Wait until every worker has written something from now on; False if one has not, or has ended."""
        start, end = time.time(), time.monotonic() + seconds
        while not (done := all(self._wrote_since(number, start) for number in self._names)):
            if time.monotonic() > end or any(worker.poll() for worker in self.workers):
                break
            time.sleep(0.02)
        return done

    def _wrote_since(self, number: int, moment: float) -> bool:
        """Whether the last entry of a worker's log is a write after *moment*."""
        path = self._log(number)
        if not path.exists():
            return False
        with path.open("rb") as log:
            log.seek(max(log.seek(0, os.SEEK_END) - 500, 0))
            *_, last, _ = [b"", b"", *log.read().split(b"\n")]
        if not last.startswith(b"["):
            return False
        kind, *_, logged = json.loads(last)
        return kind in {"put", "put_writes"} and logged > moment

    def shut_down(self, seconds: float = LONG) -> list[str]:
        """Ask all workers to end; returns descriptions of those that failed."""
        self._end.touch()
        for number, worker in enumerate(self.workers):
            self.resume(number)
            try:
                if worker.wait(seconds):
                    self._failures.append(self._describe_exit(number))
            except subprocess.TimeoutExpired:
                self._failures.append(f"worker {number} did not end")
        return self._failures

    def _describe_exit(self, number: int) -> str:
        errors = (self._directory / f"{self._names[number]}.errors").read_text(errors="replace").splitlines()
        return f"worker {number} ended with {self.workers[number].returncode}: {errors[-1] if errors else ''}"

    def entries(self) -> Iterator[list[Any]]:
        """All log entries. The last line of a killed worker may be incomplete, and is left out."""
        for path in sorted(self._directory.glob("*.log")):
            for line in path.read_bytes().split(b"\n")[:-1]:
                yield json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()
