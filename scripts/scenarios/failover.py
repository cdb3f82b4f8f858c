"""A primary that is killed under load, again and again, while Sentinels promote its replicas."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import redis
from support.polling import until
from support.servers import RedisServer

from zerograph_redis import RedisSaver

from .crew import Crew
from .outcome import Outcome
from .writing import judge_writing

__all__ = ("SETTINGS", "kill_primaries")

SETTINGS: list[dict[str, Any]] = [{}, {"wait_replicas": 1}, {"wait_replicas": 2}]
"""Options of savers that the scenario is run under."""

SERVICE = "zerograph"
REPLICAS = 2
SENTINELS = 3
GONE_FOR = 20.0  # seconds in which a failover must be over


class Site:
    """One primary, its replicas and their Sentinels, on loopback."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        """Start everything, and wait until the Sentinels know it; *stack* ends it."""
        options = ("--repl-diskless-sync-delay", "0", "--repl-timeout", "10")
        self.servers: dict[int, RedisServer] = {}
        self.sentinels: list[RedisServer] = []
        self._followed: list[str] = []
        for number in range(1 + REPLICAS):
            server = RedisServer(directory / f"redis-{number}", *options)
            self.servers[server.port] = server
            if number:
                server.options += self._followed
            else:
                self._followed = ["--replicaof", f"127.0.0.1 {server.port}"]
            stack.enter_context(server)
        self._first = next(iter(self.servers))
        until(self.in_step, seconds=20)
        self.sentinels = [
            stack.enter_context(
                RedisServer(directory / f"sentinel-{number}", "--sentinel", config=_sentinel(self._first))
            )
            for number in range(SENTINELS)
        ]
        until(self._known, seconds=20)

    @property
    def url(self) -> str:
        """What a saver opens."""
        return f"redis+sentinel://{','.join(f'127.0.0.1:{each.port}' for each in self.sentinels)}/{SERVICE}"

    def primary(self) -> int:
        """The port of the server that most Sentinels call the primary; 0 if they do not agree."""
        if not self.sentinels:
            return self._first
        votes = Counter(self._said(each, "get-master-addr-by-name", SERVICE)[1] for each in self.sentinels)
        port, count = votes.most_common(1)[0]
        return int(port) if count == SENTINELS else 0

    def fail_over(self) -> None:
        """Kill the primary, wait for another, and bring the dead one back as its replica."""
        before = until(self.primary, seconds=GONE_FOR)
        self.servers[before].stop()
        now = until(lambda: (port := self.primary()) not in {0, before} and port, seconds=GONE_FOR, pause=0.02)
        dead = self.servers[before]
        dead.options = [*dead.options[:4], "--replicaof", f"127.0.0.1 {now}"]
        dead.start()

    def in_step(self) -> bool:
        """Tell whether every replica is connected to the primary and has nearly all of it."""
        primary = self.primary()
        for port, server in self.servers.items():
            with server.client() as client:
                try:
                    told = client.info("replication")
                except redis.RedisError:
                    return False
            if port == primary:
                ready = told["role"] == "master" and told["connected_slaves"] == REPLICAS
            else:
                ready = told.get("master_link_status") == "up" and told["master_port"] == primary
            if not ready:
                return False
        return True

    def _known(self) -> bool:
        told = [self._said(each, "master", SERVICE) for each in self.sentinels]
        facts = [dict(zip(each[::2], each[1::2], strict=True)) for each in told]
        return all(
            each[b"num-slaves"] == b"2" and each[b"num-other-sentinels"] == b"2" and each[b"flags"] == b"master"
            for each in facts
        )

    @staticmethod
    def _said(sentinel: RedisServer, *words: str) -> Any:
        with sentinel.client(protocol=2) as client:
            # Not the method of this name: what it makes of the reply differs between versions of redis-py.
            pool = client.connection_pool
            connection = pool.get_connection()
            try:
                connection.send_command("SENTINEL", *words)
                return connection.read_response()
            finally:
                pool.release(connection)


def _sentinel(port: int) -> str:
    return "\n".join(
        (
            f"sentinel monitor {SERVICE} 127.0.0.1 {port} 2",
            f"sentinel down-after-milliseconds {SERVICE} 1000",
            f"sentinel failover-timeout {SERVICE} 4000",
            f"sentinel parallel-syncs {SERVICE} {REPLICAS}",
            "",
        )
    )


def kill_primaries(
    directory: Path, seconds: float, settings: dict[str, Any], *, workers: int = 4, kills: int | None = None
) -> Outcome:
    """Kill the primary as often as there is time for, or *kills* times, while workers write."""
    spelled = ", ".join(f"{name}={value}" for name, value in settings.items())
    outcome = Outcome(f"sentinel {spelled}".strip())
    with ExitStack() as stack:
        site = Site(directory, stack)
        task = {"kind": "write", "url": site.url, "prefix": "p", "options": settings}
        crew = stack.enter_context(Crew(directory / "crew", workers, **task))
        outcome.promise("workers begin", kept=crew.working())
        end = time.monotonic() + seconds
        going = True
        while going and (outcome.injected < kills if kills is not None else time.monotonic() < end):
            time.sleep(0.5)
            site.fail_over()
            outcome.injected += 1
            until(site.in_step, seconds=GONE_FOR, pause=0.05)
            going = _waited(crew, time.time())
        for failure in crew.dismiss():
            outcome.promise(failure, kept=False)
        entries = list(crew.entries())
        with RedisSaver.from_url(site.url, prefix="p") as saver:
            wrong = judge_writing(outcome, saver, entries)
    failed = Counter(each[3].partition(":")[0] for each in entries if each[0] == "failed")
    pause = _longest_pause(entries)
    if unconfirmed := sum(each[0] == "unconfirmed" for each in entries):
        failed["unconfirmed"] = unconfirmed
    said = ", ".join(f"{count} {name}" for name, count in failed.items()) or "no errors"
    outcome.notes.append(f"{said}; longest pause {pause:.1f} s")
    outcome.promise("workers go on by themselves", kept=going)
    outcome.promise("what is there is as it was written", kept=wrong == 0)
    if settings.get("wait_replicas", 0) >= REPLICAS:
        outcome.promise("nothing acknowledged is lost", kept=outcome.lost == 0)
    return outcome


def _waited(crew: Crew, moment: float) -> bool:
    """Whether all workers stored something since *moment*, before long."""
    end = time.monotonic() + GONE_FOR
    while not (done := crew.stored_since(moment)) and time.monotonic() < end:
        time.sleep(0.05)
    return done


def _longest_pause(entries: list[list[Any]]) -> float:
    """The longest time in seconds that a worker stored nothing."""
    stored: dict[str, list[float]] = {}
    for each in entries:
        if each[0] == "stored":
            stored.setdefault(each[-2], []).append(each[-1])
    return max((later - earlier for times in stored.values() for earlier, later in pairwise(times)), default=0.0)
