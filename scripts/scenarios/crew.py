"""Worker processes: started, stopped, killed and replaced; what they wrote to their logs outlives them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import zerograph_redis

from .patience import PATIENCE

__all__ = ("Crew",)

_HERE = Path(__file__).parent
_PATHS = (_HERE.parent, _HERE.parent.parent / "tests", Path(zerograph_redis.__file__).parent.parent)


class Crew:
    """So many worker processes of one kind, each with a log that it appends to before it goes on."""

    def __init__(self, directory: Path, count: int, **task: Any) -> None:
        """Keep logs in *directory*; *task* is what `scenarios.worker` is told."""
        self._directory = directory
        self._task = task
        self._spawned = 0
        self._end = directory / "end"
        self.workers: list[subprocess.Popen[bytes]] = []
        self._names: dict[int, str] = {}
        self._failures: list[str] = []
        self.killed = self.stopped = 0
        directory.mkdir(parents=True, exist_ok=True)
        for place in range(count):
            self.workers.append(self._spawn(place))

    def _spawn(self, place: int) -> subprocess.Popen[bytes]:
        self._spawned += 1
        name = self._names[place] = f"{place}-{self._spawned}"
        task = {**self._task, "name": name, "log": str(self._directory / f"{name}.log"), "end": str(self._end)}
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, _PATHS))}
        with (self._directory / f"{name}.errors").open("wb") as errors:
            command = [sys.executable, "-m", "scenarios.worker", json.dumps(task)]
            return subprocess.Popen(command, env=environment, stderr=errors, stdin=subprocess.DEVNULL)

    def is_at_work(self, place: int) -> bool:
        """Tell whether the worker that is in this place now has logged anything."""
        log = self._directory / f"{self._names[place]}.log"
        return log.exists() and log.stat().st_size > 0

    def kill(self, place: int) -> None:
        """End a worker without a warning, and start another in its place."""
        worker = self.workers[place]
        if worker.poll() is not None:
            self._failures.append(self._last_words(place, worker))
        worker.kill()
        worker.wait()
        self.killed += 1
        self.workers[place] = self._spawn(place)

    def stop(self, place: int) -> None:
        """Have a worker stand still."""
        self.workers[place].send_signal(signal.SIGSTOP)
        self.stopped += 1

    def go_on(self, place: int) -> None:
        """Have a worker that stands still go on."""
        self.workers[place].send_signal(signal.SIGCONT)

    def stores(self, seconds: float = PATIENCE) -> bool:
        """Wait until every worker has stored something from now on; tell whether they all did in time."""
        begin, end = time.time(), time.monotonic() + seconds
        while not (done := all(self._stored_since(name, begin) for name in self._names.values())):
            if time.monotonic() > end or any(worker.poll() for worker in self.workers):
                break
            time.sleep(0.02)
        return done

    def _stored_since(self, name: str, moment: float) -> bool:
        """Tell whether the last that a worker said is of something stored after *moment*."""
        path = self._directory / f"{name}.log"
        if not path.exists():
            return False
        with path.open("rb") as log:
            log.seek(max(log.seek(0, os.SEEK_END) - 500, 0))
            *_, last, _ = [b"", b"", *log.read().split(b"\n")]
        if not last.startswith(b"["):
            return False
        kind, *_, said = json.loads(last)
        return kind in {"stored", "written"} and said > moment

    def dismiss(self, seconds: float = PATIENCE) -> list[str]:
        """Ask all workers to end; what those say that could not."""
        self._end.touch()
        for place, worker in enumerate(self.workers):
            self.go_on(place)
            try:
                if worker.wait(seconds):
                    self._failures.append(self._last_words(place, worker))
            except subprocess.TimeoutExpired:
                self._failures.append(f"worker {place} did not end")
        return self._failures

    def _last_words(self, place: int, worker: subprocess.Popen[bytes]) -> str:
        said = (self._directory / f"{self._names[place]}.errors").read_text(errors="replace").splitlines()
        return f"worker {place} ended with {worker.returncode}: {said[-1] if said else ''}"

    def entries(self) -> Iterator[list[Any]]:
        """All that was logged. The last line of a worker that was killed may be cut off: it was not said."""
        for path in sorted(self._directory.glob("*.log")):
            for line in path.read_bytes().split(b"\n")[:-1]:
                yield json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()
