"""Corrupt one thread among sound ones, and call every method and every command.

Each round restores a store, corrupts one place of the thread ``bad``, and calls every method and every third command. No
call may take long, or raise an error that is not the package's, and the other threads must stay unchanged, readable and
listed. The seed alone decides what a round does.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from importlib import metadata
from io import BytesIO, TextIOWrapper
from itertools import product
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from typer.main import get_command

from support.data import at, everything, state, thread_ids
from support.fuzz_stores import NAMESPACES, SOUND, FuzzedRedis, FuzzedSqlite, FuzzedStore, serializer
from support.servers import RedisServer
from zerograph_redis import CheckpointError
from zerograph_redis.cli.app import app
from zerograph_redis.core.drive import run
from zerograph_redis.tools.inspect.watching import Watch

MEMORY = 400 * 1024  # KiB by which a round may raise the peak
OPTIONS: tuple[dict[str, Any], ...] = ({}, {"compression": "zstd"}, {"serializer": serializer})


class Finding(NamedTuple):
    """A call that did what it must not."""

    seed: int
    mutation: str
    call: str
    what: str
    detail: str = ""


class TooLongError(BaseException):
    """A call took too long."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Interrupt a block after so many seconds."""

    def end(*_: Any) -> None:
        raise TooLongError

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


Call = Callable[[Any], Any]

READS: dict[str, Call] = {
    "get_tuple": lambda saver: saver.get_tuple(at("bad")),
    "get_tuple of a namespace": lambda saver: saver.get_tuple(at("bad", "sub")),
    "get_tuple by id": lambda saver: saver.get_tuple(at("bad", id="c1")),
    "get": lambda saver: saver.get(at("bad")),
    "get_by_id": lambda saver: saver.get_by_id("subc1", "bad"),
    "get_by_id of all": lambda saver: saver.get_by_id("c2"),
    "get_by_id of none": lambda saver: saver.get_by_id("nowhere"),
    "get_pending_writes": lambda saver: saver.get_pending_writes(at("bad", id="c2")),
    "list": lambda saver: saver.list(at("bad"), limit=None),
    "list before": lambda saver: saver.list(at("bad"), before=at("bad", id="c2")),
    "list filtered": lambda saver: saver.list(at("bad"), filter={"step": 0}),
    "list_threads": lambda saver: saver.list_threads(limit=None),
    "list_threads one by one": lambda saver: _pages(saver),
    "list_threads before": lambda saver: saver.list_threads(before="bad"),
    "watch": lambda saver: _watch(saver, None),
    "watch one": lambda saver: _watch(saver, "bad"),
}
WRITES: dict[str, Call] = {
    "put": lambda saver: saver.put(at("bad", id="c2"), state("new", texts=["some words of a chat " * 50] * 3), {}),
    "put again": lambda saver: saver.put(at("bad"), state("c1", again=True), {}),
    "put_writes": lambda saver: saver.put_writes(at("bad", id="c2"), [("t", "new", 1), ("t", "channel", 2)], "t"),
    "lease": lambda saver: _lease(saver),
    "break_lease": lambda saver: saver.break_lease("bad"),
    "prune": lambda saver: saver.prune("bad", 1),
    "prune to nothing": lambda saver: saver.prune("bad", 0),
    "copy_thread": lambda saver: saver.copy_thread("bad", "copy"),
    "copy_thread to": lambda saver: saver.copy_thread(SOUND[0], "bad"),
    "delete_thread": lambda saver: saver.delete_thread("bad"),
}
READ_COMMANDS: tuple[tuple[str, ...], ...] = (
    ("threads",),
    ("threads", "--json", "--limit", "2"),
    ("threads", "--match", "b"),
    ("history", "bad"),
    ("history", "bad", "--all", "--json"),
    ("show", "bad"),
    ("show", "bad", "c", "--json"),
    ("show", "bad", "@1", "--namespace", "sub"),
    ("diff", "bad"),
    ("diff", "bad", "c0", "c2", "--json"),
    ("stats", "--json"),
    ("stats",),
    ("doctor",),
    ("doctor", "--quick", "--json"),
    ("unlock", "bad"),
    ("prune", "--all", "--keep", "1"),
    ("prune", "bad", "--keep", "1", "--json"),
    ("delete", "--match", "b", "--json"),
    ("delete", "--idle", "1s"),
    ("export", "{directory}/out.zgt", "--json"),
    ("migrate", "{url}", "sqlite:///{directory}/other.db", "--json"),
)
WRITE_COMMANDS: tuple[tuple[str, ...], ...] = (
    ("doctor", "--fix"),
    ("unlock", "bad", "--yes"),
    ("prune", "--all", "--keep", "2", "--yes"),
    ("copy", "bad", "copied"),
    ("import", "{directory}/base.zgt", "--update", "--yes"),
    ("delete", "bad", "--yes"),
)
ROBUST = {("threads",), ("stats",), ("stats", "--json"), ("doctor", "--quick", "--json")}
"""Commands that succeed in spite of a bad thread; the doctor has an exit code for problems."""


def _pages(saver: Any) -> Any:
    before, found = None, 0
    while page := saver.list_threads(limit=1, before=before):
        before = page[-1]
        found += 1
        assert found < 10_000, "the pages never end"
    return found


def _watch(saver: Any, thread: str | None) -> None:
    watch = Watch(saver.store.settings, thread)
    for _ in range(2):
        run(watch.poll(), saver.store.backend)


def _lease(saver: Any) -> None:
    with saver.lease("bad", ttl=60) as lease:
        saver.put(lease.config(), state("under a lease"), {})


class Fuzz:
    """Rounds on one store."""

    def __init__(self, store: FuzzedStore, directory: Path, seconds: float) -> None:
        self.store = store
        self.directory = directory
        self.seconds = seconds
        self.findings: list[Finding] = []
        self.calls = 0
        self.errors: Counter[str] = Counter()
        self._commands = get_command(app)
        store.prepare()
        self._command("export", "{directory}/base.zgt")

    def run_round(self, seed: int) -> list[Finding]:
        """Run the round of a seed; returns its findings."""
        rng = Random(seed)
        store = self.store
        before = len(self.findings)
        store.snapshot = store.base
        store.restore()
        self._seed, self._mutation = seed, "; ".join(store.corrupt(rng) for _ in range(rng.choice((1, 1, 1, 2))))
        store.take_snapshot()
        size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        saver = store.open()
        for name, call in READS.items():
            self._attempt(name, lambda call=call: call(saver))
        for arguments in READ_COMMANDS[seed // 6 % 3 :: 3]:
            self._run_command(arguments)
        self._check_sound("reads", saver)
        for name, call in WRITES.items():
            store.restore()
            other = store.open()
            self._attempt(name, lambda call=call, other=other: call(other))
            self._check_sound(name, saver)
        for arguments in WRITE_COMMANDS[seed // 6 % 3 :: 3]:
            store.restore()
            self._run_command(arguments)
            if arguments[0] != "prune":
                self._check_sound(" ".join(arguments), saver)
        for script in store.slow_scripts():
            self._find("the server", "slow script", script)
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - size > MEMORY:
            self._find("the round", "memory")
        return self.findings[before:]

    def _attempt(self, name: str, call: Callable[[], Any]) -> Any:
        self.calls += 1
        try:
            with limited(self.seconds):
                return call()
        except CheckpointError as error:
            self.errors[type(error).__name__] += 1
            if type(error).__name__ == "BackendUnavailableError":
                self._find(name, "BackendUnavailableError", str(error)[:300])
        except TooLongError:
            self._find(name, f"longer than {self.seconds} s", traceback.format_exc())
        except Exception as error:  # noqa: BLE001 - it is a finding
            self._find(name, type(error).__name__, traceback.format_exc())
        return None

    def _run_command(self, arguments: Sequence[str]) -> None:
        for made in ("out.zgt", "out.zgt.part", "other.db", "other.db-wal", "other.db-shm"):
            (self.directory / made).unlink(missing_ok=True)
        name = " ".join(arguments)
        code = self._attempt(name, lambda: self._command(*arguments))
        if code not in {None, 0, 1, 4, 5, 6, 2}:
            self._find(name, f"exit code {code}")
        if tuple(arguments) in ROBUST and code not in ({0, 1} if arguments[0] == "doctor" else {0}):
            self._find(name, f"exit code {code} for another thread's damage")

    def _command(self, *arguments: str) -> int:
        given = [each.format(directory=self.directory, url=self.store.url) for each in arguments]
        url = () if arguments[0] == "migrate" else ("--url", self.store.url)
        types = ("--types", "support.fuzz_stores") if self.store.encrypts else ()
        out, err = (TextIOWrapper(BytesIO(), "utf-8") for _ in range(2))
        with redirect_stdout(out), redirect_stderr(err):
            code = self._commands.main([*url, *types, "--debug", *given], standalone_mode=False)
        return code or 0

    def _check_sound(self, after: str, saver: Any) -> None:
        for thread, stored in self.store.sound.items():
            found = self._attempt(
                f"{thread} after {after}", lambda thread=thread: everything(saver, thread, *NAMESPACES)
            )
            if found != stored:
                self._find(f"{thread} after {after}", "a sound thread has changed")
        listed = self._attempt(f"list_threads after {after}", lambda: thread_ids(saver, limit=None))
        if not set(SOUND) <= set(listed or ()):
            self._find(f"list_threads after {after}", "a sound thread is not listed")

    def _find(self, call: str, what: str, detail: str = "") -> None:
        self.findings.append(Finding(self._seed, self._mutation, call, what, detail))


@contextmanager
def fuzzes(directory: Path, kinds: Sequence[str], seconds: float) -> Iterator[list[Fuzz]]:
    """Make a fuzz of each kind of store with each of `OPTIONS`."""
    made: list[Fuzz] = []
    servers = []
    os.environ.setdefault("XDG_STATE_HOME", str(directory / "state"))
    logging.getLogger("zerograph_redis").addHandler(logging.NullHandler())
    logging.getLogger("zerograph_redis").propagate = False
    try:
        for number, (kind, options) in enumerate(product(kinds, OPTIONS)):
            home = directory / f"{kind}-{number}"
            home.mkdir()
            if kind == "redis":
                servers.append(RedisServer(home / "server"))
                store: FuzzedStore = FuzzedRedis(options, servers[-1].start())
            else:
                store = FuzzedSqlite(options, home)
            made.append(Fuzz(store, home, seconds))
        yield made
    finally:
        logging.getLogger("zerograph_redis").propagate = True
        for each in made:
            each.store.close()
        for server in servers:
            server.stop()


def main() -> int:
    """Run rounds on all kinds of stores in turn, and count the findings."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000, help="how many rounds over all stores (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the first round; it grows by one a round")
    parser.add_argument("--only", default="redis,sqlite", help="redis or sqlite (default both)")
    parser.add_argument("--limit", type=float, default=2.0, help="seconds that a call may take (default 2)")
    parser.add_argument("--show", type=int, default=2, help="how many findings of a round to print (default 2)")
    given = parser.parse_args()
    metadata.version = cache(metadata.version)  # redis-py calls it for every connection
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    directory = Path(tempfile.mkdtemp(prefix="fuzz-"))
    start = time.monotonic()
    try:
        with fuzzes(directory, given.only.split(","), given.limit) as made:
            for number in range(given.rounds):
                found = made[number % len(made)].run_round(given.seed + number)
                for finding in found[: given.show]:
                    _print(f"\n--seed {finding.seed}: {finding.mutation}\n{finding.call}: {finding.what}")
                    _print(finding.detail[-2500:])
                if number % 100 == 99:
                    count = sum(len(each.findings) for each in made)
                    _print(f"{number + 1:,} rounds, {time.monotonic() - start:.0f} s, {count:,} findings")
            return _print_summary(made, given, time.monotonic() - start)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _print_summary(made: list[Fuzz], given: argparse.Namespace, seconds: float) -> int:
    findings = [(each.store.name, finding) for each in made for finding in each.findings]
    calls, errors = sum(each.calls for each in made), sum((each.errors for each in made), Counter[str]())
    _print(f"\n{given.rounds:,} rounds from seed {given.seed}, {calls:,} calls, {seconds:.0f} s")
    _print(f"errors of the package: {dict(errors)}")
    _print(f"{len(findings):,} findings in {len({finding.seed for _, finding in findings}):,} rounds")
    for (kind, what), count in Counter((kind, finding.what) for kind, finding in findings).most_common():
        _print(f"{count:7,}  {kind:7} {what}")
    return 1 if findings else 0


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
