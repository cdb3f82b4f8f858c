"""A SQLite saver that a real timer interrupts at random moments, while OS threads and a process use the same store."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from support.data import at, state
from support.interrupts import alarms, interrupt_after
from support.polling import until
from zerograph_redis import LeaseHeldError

OTHER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)
connection.execute("CREATE TABLE IF NOT EXISTS other (number)")
for line in sys.stdin:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO other VALUES (?)", (line,))
    connection.execute("COMMIT")
    print("written", flush=True)
"""


class OtherProcess:
    """Another process that writes to the same file."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", OTHER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def writes(self) -> bool:
        """Whether it can write within 20 seconds."""
        with suppress(BrokenPipeError):
            self._process.stdin.write("1\n")
            self._process.stdin.flush()
        return self._process.stdout.readline() == "written\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(BrokenPipeError):
            self._process.communicate()


class InterruptedSaver:
    """A saver under interrupts. All acknowledged checkpoints must be stored, and each whole."""

    def __init__(self, saver: Any, dice: random.Random) -> None:
        self.saver = saver
        self._dice = dice
        self._known: dict[str, Any] = {}
        self._acknowledged: set[str] = set()
        self._usual = 0.001  # seconds that an operation takes
        self.operations = self.interrupts = self.acknowledged = 0
        self.broken: list[str] = []

    def round(self) -> None:
        """Run an operation that may be interrupted, and check what is stored."""
        name = self._dice.choice(("put", "put", "put", "get", "put_writes", "list", "prune", "delete", "lease"))
        call = getattr(self, f"_{name}")()
        start = time.perf_counter()
        done = False

        def run() -> None:
            nonlocal done
            call()
            done = True

        hit = interrupt_after(self._dice.uniform(1e-6, 4 * self._usual), run)
        self._usual = 0.95 * self._usual + 0.05 * min(time.perf_counter() - start, 0.02)
        self.operations += 1
        self.interrupts += hit
        if name in {"prune", "delete"}:
            self._acknowledged.clear()
        elif name == "put" and done:
            self._acknowledged.add(f"c{len(self._known) - 1}")
            self.acknowledged += 1
        self._check()

    def _check(self) -> None:
        found = {each.checkpoint["id"]: each.checkpoint for each in self.saver.list(at(), limit=None)}
        if lost := self._acknowledged - set(found):
            self.broken.append(f"lost: {sorted(lost)}")
        if changed := [name for name, each in found.items() if each != self._known[name]]:
            self.broken.append(f"not as they were put: {changed}")
        self._acknowledged = set(found)

    def _put(self) -> Callable[[], None]:
        made = state(f"c{len(self._known)}", text="x" * self._dice.randrange(3000), n=self._dice.random())
        self._known[made["id"]] = made
        return lambda: self.saver.put(at(), made, {})

    def _get(self) -> Callable[[], None]:
        return lambda: self.saver.get_tuple(at())

    def _put_writes(self) -> Callable[[], None]:
        return lambda: self.saver.put_writes(at(id="c0"), [("t", "a", "y" * 500), ("t", "b", 2)], "")

    def _list(self) -> Callable[[], None]:
        return lambda: self.saver.list(at(), limit=3)

    def _prune(self) -> Callable[[], None]:
        return lambda: self.saver.prune("thread", 3)

    def _delete(self) -> Callable[[], None]:
        return lambda: self.saver.delete_thread("thread") if self._dice.random() < 0.2 else None

    def _lease(self) -> Callable[[], None]:
        def hold() -> None:
            with suppress(LeaseHeldError), self.saver.lease("leased", ttl=60):
                self.saver.put(at("leased"), state("c"), {})

        return hold

    def works_in_a_child(self) -> bool:
        """Whether a child process, forked now, can use the store."""
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                self.saver.put(at("forked"), state("c0"), {})
                code = 0 if self.saver.get(at("forked"))["id"] == "c0" else 1
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def interrupt_sqlite(saver: Any, path: Path | None, rounds: int, seed: int) -> InterruptedSaver:
    """Interrupt *rounds* operations of a saver in the main thread; *path* is its file, None for memory."""
    seen = InterruptedSaver(saver, random.Random(seed))
    stop = threading.Event()
    turns = [0, 0]

    def use(number: int) -> None:
        while not stop.is_set():
            try:
                saver.put(at(f"busy {number}"), state("c", n=turns[number]), {})
                if saver.get(at(f"busy {number}"))["channel_values"]["n"] != turns[number]:
                    raise AssertionError("a thread read what it did not write")  # noqa: TRY301
            except BaseException as error:  # noqa: BLE001 - all are reported
                seen.broken.append(f"in another OS thread: {error!r}")
                return
            turns[number] += 1
            time.sleep(0.001)

    busy = [threading.Thread(target=use, args=(number,), daemon=True) for number in (0, 1)]
    other = OtherProcess(path) if path is not None else None
    for each in busy:
        each.start()
    with alarms():
        for number in range(rounds):
            seen.round()
            if number % 25 == 0:
                if other is not None and not other.writes():
                    seen.broken.append("the file was locked for another process")
                before = list(turns)
                until(lambda before=before: seen.broken or all(map(int.__gt__, turns, before)), seconds=60)
            if number % 100 == 99 and not seen.works_in_a_child():
                seen.broken.append("a forked child could not use the store")
            if seen.broken:
                break
    stop.set()
    for each in busy:
        each.join(60)
    if other is not None:
        with other:
            pass
        with sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
    return seen
