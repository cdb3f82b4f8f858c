"""Real Redis servers as processes of the tests' own."""

from __future__ import annotations

import random
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from support.polling import until

NO_RETRY = Retry(NoBackoff(), 0)
BUS_OFFSET = 10_000  # from the port of a cluster's node to that of its bus


def require_redis_server() -> str:
    """Find the program; without it a test is skipped."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not on PATH")
    return program


def free_port() -> int:
    """Find a port of the loopback interface that nobody listens on, and whose bus port for a cluster is free too.

    Both lie below the ports that outgoing connections get: none of those takes one before a server does, or while a
    server restarts.
    """
    while True:
        port = random.randrange(10_240, 32_768 - BUS_OFFSET)
        with suppress(OSError), socket.socket() as data, socket.socket() as bus:
            data.bind(("127.0.0.1", port))
            bus.bind(("127.0.0.1", port + BUS_OFFSET))
            return port


class RedisServer:
    """One `redis-server`, on a free port, in a directory of its own."""

    def __init__(self, directory: Path, *options: str, password: str | None = None, config: str | None = None) -> None:
        self.program = require_redis_server()
        self.directory = directory
        self.port = free_port()
        self.password = password
        self.options = [*options, *(("--requirepass", password) if password else ())]
        self.config = config
        self.process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        secret = f":{self.password}@" if self.password else ""
        return f"redis://{secret}127.0.0.1:{self.port}/0"

    def client(self, **options) -> redis.Redis:
        """Make a client that does not retry."""
        given = {"retry": NO_RETRY, "password": self.password, "socket_timeout": 10, **options}
        return redis.Redis(host="127.0.0.1", port=self.port, **given)

    def start(self) -> Self:
        command = [self.program]
        if self.config is not None:
            path = self.directory / "server.conf"
            path.write_text(self.config)
            command.append(str(path))
        command += ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        if "--save" not in self.options and self.config is None:
            command += ["--save", ""]
        with (self.directory / "log").open("ab") as log:
            # It ignores SIGXFSZ, as this process does: a file that a test keeps from growing is then an error to it.
            self.process = subprocess.Popen([*command, *self.options], stdout=log, stderr=log, restore_signals=False)
        until(self._answers, seconds=20)
        return self

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.directory / "log").read_text()
        client = self.client()
        try:
            client.ping()
        except redis.ConnectionError as error:
            return "SSL" in str(error)
        finally:
            client.close()
        return True

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self) -> None:
        """Stop as a machine does that loses power, and start on the same port."""
        self.stop()
        self.start()

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Have it do nothing, until the block ends."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def take_all_slots(self) -> None:
        """Make it a cluster of one node."""
        with self.client() as client:
            client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            until(lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")

    def follow(self, primary: RedisServer) -> None:
        """Make it a replica in step with *primary*."""
        with self.client() as here, primary.client() as there:
            here.replicaof("127.0.0.1", primary.port)
            until(lambda: there.wait(1, 100) == 1)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()
