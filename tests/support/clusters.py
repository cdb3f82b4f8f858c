"""A real Redis Cluster as processes of the tests' own, which all test processes of a run share."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Self

import redis
from redis.cluster import ClusterNode

from support.polling import until
from support.servers import NO_RETRY, free_port, require_redis_server

NODE_TIMEOUT = 2000  # ms


class Cluster:
    """Some nodes on free ports; they are daemons, so that any process of the tests can stop them, by their ids."""

    def __init__(self, directory: Path, ports: list[int], pids: dict[int, int]) -> None:
        self.directory = directory
        self.ports = ports
        self.pids = pids

    @classmethod
    def start(cls, directory: Path, *, primaries: int = 3, replicas: int = 1) -> Self:
        """Start a cluster, and wait until each of its nodes finds it complete."""
        made = cls(directory, [], {})
        try:
            made._start(primaries, replicas)
        except BaseException:
            made.stop()
            raise
        return made

    def _start(self, primaries: int, replicas: int) -> None:
        program = require_redis_server()
        while len(self.ports) < primaries * (1 + replicas):
            self._start_node(program, free_port())
        command = [shutil.which("redis-cli") or "redis-cli", "--cluster", "create"]
        command += [f"127.0.0.1:{port}" for port in self.ports]
        command += ["--cluster-replicas", str(replicas), "--cluster-yes"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        until(lambda: all(self._is_whole(port, replicas) for port in self.ports), seconds=40, pause=0.05)

    def _start_node(self, program: str, port: int) -> None:
        """Start a node; if another process took one of its ports first, leave it to the next call to find others."""
        home = self.directory / str(port)
        home.mkdir(parents=True)
        options = {
            "--port": port, "--bind": "127.0.0.1", "--dir": home, "--save": "", "--daemonize": "yes",
            "--pidfile": home / "pid", "--logfile": home / "log", "--cluster-enabled": "yes",
            "--cluster-node-timeout": NODE_TIMEOUT, "--repl-diskless-sync-delay": 0,
            "--cluster-replica-validity-factor": 0,
        }  # fmt: skip
        words = [str(word) for option in options.items() for word in option]
        subprocess.run([program, *words], check=True, capture_output=True)
        until(lambda: "Ready to accept" in log_of(home) or has_ended(home), seconds=20)
        if has_ended(home):
            assert "in use" in log_of(home), log_of(home)
            return
        self.pids[port] = int((home / "pid").read_text())
        self.ports.append(port)

    def _is_whole(self, port: int, replicas: int) -> bool:
        with self.node(port) as client:
            state, nodes = client.execute_command("CLUSTER INFO"), client.execute_command("CLUSTER NODES")
            is_whole = state["cluster_state"] == "ok" and len(nodes) == len(self.ports)
            followers = [each for each in nodes.values() if "slave" in each["flags"]]
            is_whole = is_whole and len(followers) == len(self.ports) // (1 + replicas) * replicas
            role = client.execute_command("ROLE")
            return is_whole and (role[0] == b"master" or role[3] == b"connected")

    def is_whole(self) -> bool:
        """Return whether every node that runs finds the cluster in order."""
        return all(self._state(port) == "ok" for port in self.pids)

    def _state(self, port: int) -> str:
        with self.node(port) as client:
            return client.execute_command("CLUSTER INFO")["cluster_state"]

    @property
    def url(self) -> str:
        return f"redis+cluster://127.0.0.1:{next(iter(self.pids))}"

    @property
    def nodes(self) -> list[tuple[str, int]]:
        return [("127.0.0.1", port) for port in self.pids]

    def node(self, port: int) -> redis.Redis:
        """A client of one node alone."""
        return redis.Redis(host="127.0.0.1", port=port, retry=NO_RETRY, socket_timeout=10)

    def client(self, **options) -> redis.RedisCluster:
        """A client that does what a cluster's clients do."""
        return redis.RedisCluster(startup_nodes=[ClusterNode(*node) for node in self.nodes], **options)

    @cached_property
    def shared_client(self) -> redis.RedisCluster:
        """A client that lives as long as the cluster does."""
        return self.client()

    def kill(self, port: int) -> None:
        """Stop a node as a machine does that loses power."""
        os.kill(self.pids.pop(port), signal.SIGKILL)

    def stop(self) -> None:
        self.close()
        for port in self.ports:
            pid = self.pids.pop(port, None)
            if pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """Close the shared client."""
        client = self.__dict__.pop("shared_client", None)
        if client is not None:
            client.close()

    def save(self, path: Path) -> None:
        path.write_text(json.dumps({"directory": str(self.directory), "pids": self.pids}))

    @classmethod
    def load(cls, path: Path) -> Self:
        kept = json.loads(path.read_text())
        pids = {int(port): pid for port, pid in kept["pids"].items()}
        return cls(Path(kept["directory"]), list(pids), pids)


def log_of(home: Path) -> str:
    """What a node in the directory *home* logged."""
    path = home / "log"
    return path.read_text() if path.exists() else ""


def has_ended(home: Path) -> bool:
    """Return whether a node in the directory *home* gave up at its start."""
    return "Failed listening" in log_of(home) or "Could not create" in log_of(home)


@contextmanager
def shared_cluster(directory: Path) -> Iterator[Cluster]:
    """Share one cluster with the other processes that use *directory*: the first starts it, the last stops it.

    A user holds a shared lock on a file, which a process loses when it dies.
    """
    require_redis_server()
    directory.mkdir(parents=True, exist_ok=True)
    state = directory / "cluster.json"
    with (directory / "mutex").open("a") as mutex, (directory / "users").open("a") as users:
        fcntl.flock(mutex, fcntl.LOCK_EX)
        try:
            if state.exists():
                cluster = Cluster.load(state)
            else:
                cluster = Cluster.start(directory / str(len(list(directory.iterdir()))))
                cluster.save(state)
            fcntl.flock(users, fcntl.LOCK_SH)
        finally:
            fcntl.flock(mutex, fcntl.LOCK_UN)
        try:
            yield cluster
        finally:
            cluster.close()
            fcntl.flock(mutex, fcntl.LOCK_EX)
            try:
                with suppress(BlockingIOError):
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    state.unlink()
                    cluster.stop()
            finally:
                fcntl.flock(mutex, fcntl.LOCK_UN)
