"""A primary, two replicas and three Sentinels on loopback, and failures of the primary."""

from __future__ import annotations

import signal
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import redis
from support.polling import LONG, until
from support.servers import RedisServer

SERVICE = "zerograph"
REPLICAS = 2
SENTINELS = 3


class Deployment:
    """The servers and their Sentinels."""

    def __init__(self, directory: Path, stack: ExitStack, *options: str) -> None:
        """Start the servers, with these *options*, and the Sentinels; wait until they agree. *stack* stops them."""
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
        until(self._replicated, seconds=LONG, pause=0.02)
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
        """The URL for a saver."""
        return f"redis+sentinel://{','.join(f'127.0.0.1:{each.port}' for each in self.sentinels)}/{SERVICE}"

    def kill(self) -> None:
        """Kill the primary, wait until another is promoted, and restart the old one, empty, as its replica."""
        before = until(self.primary, seconds=LONG)
        dead = self.servers[before]
        dead.stop()
        now = until(lambda: (port := self.primary()) not in {0, before} and port, seconds=LONG, pause=0.02)
        self._start(dead, following=now)

    def restart(self) -> None:
        """Kill the primary and restart it as the primary, before the Sentinels notice."""
        server = self.servers[until(self.primary, seconds=LONG)]
        server.stop()
        self._start(server, following=None)

    def stall(self) -> None:
        """Stop the primary, and continue it when another has just been promoted: the worst moment."""
        before = until(self.primary, seconds=LONG)
        process = self.servers[before].process
        process.send_signal(signal.SIGSTOP)
        others = [server for port, server in self.servers.items() if port != before]
        until(lambda: any(_replication(each).get("role") == "master" for each in others), seconds=LONG)
        process.send_signal(signal.SIGCONT)

    def settle(self) -> None:
        """Wait until all replicas follow one primary, and all Sentinels have noticed."""
        until(lambda: self._agreed() and self._replicated(), seconds=LONG, pause=0.05)

    def primary(self) -> int:
        """The port of the primary that all Sentinels name; 0 if they do not agree."""
        if not self.sentinels:
            return self._first
        votes = Counter(_ask_sentinel(each, "get-master-addr-by-name", SERVICE)[1] for each in self.sentinels)
        port, count = votes.most_common(1)[0]
        return int(port) if count == SENTINELS else 0

    def failovers(self) -> int:
        """How many failovers the Sentinels logged."""
        return max((each.directory / "log").read_text().count("+switch-master") for each in self.sentinels)

    def _start(self, server: RedisServer, *, following: int | None) -> None:
        server.options = [*self._options, *(["--replicaof", f"127.0.0.1 {following}"] if following else [])]
        server.start()

    def _replicated(self) -> bool:
        primary = self.primary()
        for port, server in self.servers.items():
            info = _replication(server)
            if port == primary:
                ready = info.get("role") == "master" and info["connected_slaves"] == REPLICAS
            else:
                ready = info.get("master_link_status") == "up" and info["master_port"] == primary
            if not ready:
                return False
        return True

    def _agreed(self) -> bool:
        replies = [_ask_sentinel(each, "master", SERVICE) for each in self.sentinels]
        facts = [dict(zip(each[::2], each[1::2], strict=True)) for each in replies]
        return all(
            each[b"num-slaves"] == b"%d" % REPLICAS
            and each[b"num-other-sentinels"] == b"%d" % (SENTINELS - 1)
            and each[b"flags"] == b"master"
            for each in facts
        )


def _replication(server: RedisServer) -> dict[str, Any]:
    """INFO replication; empty if the server does not answer: a Sentinel that promotes it closes all connections."""
    with server.client() as client, suppress(redis.RedisError):
        return client.info("replication")
    return {}


def _ask_sentinel(sentinel: RedisServer, *words: str) -> Any:
    with sentinel.client(protocol=2) as client:
        # Not client.execute_command: versions of redis-py parse the reply differently.
        pool = client.connection_pool
        connection = pool.get_connection()
        try:
            connection.send_command("SENTINEL", *words)
            return connection.read_response()
        finally:
            pool.release(connection)
