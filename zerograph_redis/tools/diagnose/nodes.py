"""What each server of a Redis says of itself: asked here, judged in `servers`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter, time
from typing import Any

from redis.exceptions import RedisClusterException, RedisError, ResponseError

from zerograph_redis.backends.redis.wires import is_cluster

FAILURES = (RedisError, RedisClusterException, OSError)
"""What a client raises."""

ECHOES = 15
_SETTINGS = ("save", "min-replicas-to-write", "maxmemory-policy")


@dataclass(slots=True)
class Node:
    """A server, and what it said."""

    name: str
    client: Any
    replica: bool = False
    error: str = ""
    """Why it did not answer."""
    latency: float = 0.0
    """Seconds to its answer, and back: the median of some."""
    offset: float | None = None
    """How many seconds its clock is ahead of this machine's, to within half of its latency; None if it does not tell."""
    info: Mapping[str, Any] = field(default_factory=dict)
    """What INFO says; nothing if that is not permitted."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What CONFIG GET says; nothing if that is not permitted."""
    cluster: Mapping[str, str] = field(default_factory=dict)
    """What CLUSTER INFO says."""


def ask_nodes(client: Any) -> list[Node]:
    """Ask every server that *client* reaches, replicas of a cluster among them."""
    if is_cluster(client):
        with suppress(*FAILURES):
            client.nodes_manager.initialize()  # as they are now
        nodes = [
            Node(each.name, client.get_redis_connection(each), each.server_type == "replica")
            for each in sorted(client.get_nodes(), key=lambda each: each.name)
        ]
    else:
        nodes = [Node(_name_of(client), client)]
    for node in nodes:
        try:
            _ask(node, clustered=is_cluster(client))
        except ResponseError as error:
            node.error = f"it answers nothing but: {error}"
        except FAILURES as error:
            node.error = f"it does not answer: {type(error).__name__}: {error}"
    return nodes


def _ask(node: Node, *, clustered: bool) -> None:
    client = node.client
    client.echo("")  # PING is refused by a server whose disk is full
    times = []
    for _ in range(ECHOES):
        begun = perf_counter()
        client.echo("")
        times.append(perf_counter() - begun)
    node.latency = median(times)
    with suppress(ResponseError):  # not everyone may ask
        begun = time()
        seconds, microseconds = client.time()
        node.offset = int(seconds) + int(microseconds) / 1_000_000 - (begun + time()) / 2
    node.info = _permitted(client, "INFO")
    node.settings = _permitted(client, "CONFIG GET", *_SETTINGS)
    if clustered:
        node.cluster = _permitted(client, "CLUSTER INFO")


def _permitted(client: Any, *command: str) -> Mapping[str, Any]:
    """Ask what not everyone may ask, and not every service answers."""
    try:
        found = client.execute_command(*command)
    except ResponseError:
        return {}
    return {_text(name): value for name, value in found.items()} if isinstance(found, Mapping) else {}


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()


def _name_of(client: Any) -> str:
    pool = client.connection_pool
    if hasattr(pool, "get_master_address"):
        host, port = pool.get_master_address()
        return f"{host}:{port}"
    given = pool.connection_kwargs
    return given["path"] if "path" in given else f"{given.get('host', 'localhost')}:{given.get('port', 6379)}"
