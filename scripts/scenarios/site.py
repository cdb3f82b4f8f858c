"""A primary, two replicas and three Sentinels, on loopback, and what may befall the primary."""

from __future__ import annotations

import signal
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import redis
from support.polling import until
from support.servers import RedisServer

from .patience import PATIENCE

__all__ = ("REPLICAS", "Site")

SERVICE = "zerograph"
REPLICAS = 2
SENTINELS = 3


class Site:
    """The servers, of which some are always up, and their Sentinels."""

    def __init__(self, directory: Path, stack: ExitStack, *options: str) -> None:
        """Start everything, servers with these *options*, and wait until the Sentinels know it; *stack* ends it."""
        self._options = ("--repl-diskless-sync-delay", "0", "--repl-timeout", "10", *options)
        self.servers: dict[int, RedisServer] = {}
        self.sentinels: list[RedisServer] = []
        for number in range(1 + REPLICAS):
            server = RedisServer(directory / f"redis-{number}")
            self.servers[server.port] = server
        self._first = next(iter(self.servers))
        for port, server in self.servers.items():
            stack.callback(server.stop)
            self._start(server, following=None if port == self._first else self._first)
        until(self._replicated, seconds=PATIENCE, pause=0.02)
        config = "\n".join(
            (
                f"sentinel monitor {SERVICE} 127.0.0.1 {self._first} 2",
                f"sentinel down-after-milliseconds {SERVICE} 2000",
                f"sentinel failover-timeout {SERVICE} 4000",
                f"sentinel parallel-syncs {SERVICE} {REPLICAS}",
                "",
            )
        )
        self.sentinels = [
            stack.enter_context(RedisServer(directory / f"sentinel-{number}", "--sentinel", config=config))
            for number in range(SENTINELS)
        ]
        self.settle()

    @property
    def url(self) -> str:
        """What a saver opens."""
        return f"redis+sentinel://{','.join(f'127.0.0.1:{each.port}' for each in self.sentinels)}/{SERVICE}"

    def kill(self) -> None:
        """Kill the primary, wait for another, and bring the dead one back, with nothing in it, as its replica."""
        before = until(self.primary, seconds=PATIENCE)
        dead = self.servers[before]
        dead.stop()
        now = until(lambda: (port := self.primary()) not in {0, before} and port, seconds=PATIENCE, pause=0.02)
        self._start(dead, following=now)

    def restart(self) -> None:
        """Kill the primary, and have it back as the primary at once, before any Sentinel calls it down."""
        server = self.servers[until(self.primary, seconds=PATIENCE)]
        server.stop()
        self._start(server, following=None)

    def stall(self) -> None:
        """Have the primary stand still, and go on just when another was promoted: the worst moment there is."""
        before = until(self.primary, seconds=PATIENCE)
        process = self.servers[before].process
        process.send_signal(signal.SIGSTOP)
        others = [server for port, server in self.servers.items() if port != before]
        until(lambda: any(_told(each).get("role") == "master" for each in others), seconds=PATIENCE)
        process.send_signal(signal.SIGCONT)

    def settle(self) -> None:
        """Wait until there is one primary, all replicas follow it, and the Sentinels see that it is so."""
        until(lambda: self._agreed() and self._replicated(), seconds=PATIENCE, pause=0.05)

    def primary(self) -> int:
        """The port of the server that all Sentinels call the primary; 0 if they do not agree."""
        if not self.sentinels:
            return self._first
        votes = Counter(_said(each, "get-master-addr-by-name", SERVICE)[1] for each in self.sentinels)
        port, count = votes.most_common(1)[0]
        return int(port) if count == SENTINELS else 0

    def failovers(self) -> int:
        """How many failovers the Sentinels told of, whatever their reason."""
        return max((each.directory / "log").read_text().count("+switch-master") for each in self.sentinels)

    def _start(self, server: RedisServer, *, following: int | None) -> None:
        server.options = [*self._options, *(["--replicaof", f"127.0.0.1 {following}"] if following else [])]
        server.start()

    def _replicated(self) -> bool:
        primary = self.primary()
        for port, server in self.servers.items():
            told = _told(server)
            if port == primary:
                ready = told.get("role") == "master" and told["connected_slaves"] == REPLICAS
            else:
                ready = told.get("master_link_status") == "up" and told["master_port"] == primary
            if not ready:
                return False
        return True

    def _agreed(self) -> bool:
        told = [_said(each, "master", SERVICE) for each in self.sentinels]
        facts = [dict(zip(each[::2], each[1::2], strict=True)) for each in told]
        return all(
            each[b"num-slaves"] == b"%d" % REPLICAS
            and each[b"num-other-sentinels"] == b"%d" % (SENTINELS - 1)
            and each[b"flags"] == b"master"
            for each in facts
        )


def _told(server: RedisServer) -> dict[str, Any]:
    """What a server says of itself; nothing if it does not answer: a Sentinel that promotes it closes all connections."""
    with server.client() as client, suppress(redis.RedisError):
        return client.info("replication")
    return {}


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
