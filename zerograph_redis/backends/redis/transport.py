"""Sends commands through any client: of a server, behind Sentinels, or of a cluster.

A cluster's client knows which node has a key. Generators choose the node of each command, and follow redirections. They
yield each step, so that they serve blocking and asyncio clients.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any

import redis
import redis.asyncio
from redis import exceptions
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from zerograph_redis.core.drive import adrive, drive

from .connections import AsyncOwnConnections, OwnConnections
from .exchange import Deadlines
from .faults import CLUSTER, DRIVER_ERRORS, NEVER, PLAIN, SENTINEL, Policy, is_from_old_primary
from .pools import AsyncPoolConnections, PoolConnections, aexchange_at
from .scripts import Command, command
from .shielding import ashielded, shielded

_ASKING = command("ASKING")
_REDIRECTIONS = 5
_UNLIMITED = redis.ConnectionPool().max_connections


def is_cluster(client: Any) -> bool:
    """Whether *client* is one of redis-py's cluster clients."""
    return isinstance(client, redis.RedisCluster | redis.asyncio.RedisCluster)


def sentinels_of(client: Any) -> list[Any]:
    """The clients of the Sentinels that *client* asks for its primary; none for other clients."""
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    return [] if manager is None else list(manager.sentinels)


class _Refresh:
    """Let a cluster's client ask which node has which slots."""


_Unit = Sequence[Command]
"""Commands for one node, on one connection."""
_Step = tuple[Any, _Unit] | _Refresh
_Steps = Generator[_Step, Any, list[Any]]


def _to_nodes(client: Any, commands: Sequence[Command]) -> _Steps:
    """Send each command to its node, and follow redirections; raises the errors that are worth another try."""
    units: list[list[Command]] = []
    for each in commands:
        if each.key is None and units:
            units[-1].append(each)  # the wait for the replicas of the write before it
        else:
            units.append([each])
    at_nodes: dict[Any, list[int]] = defaultdict(list)
    for place, unit in enumerate(units):
        at_nodes[_node_of(client, unit)].append(place)
    found: list[list[Any]] = [[] for _ in units]
    for node, places in at_nodes.items():
        replies = yield node, [each for place in places for each in units[place]]
        for place in places:
            found[place], replies = replies[: len(units[place])], replies[len(units[place]) :]
    for place, unit in enumerate(units):
        found[place] = yield from _redirected(client, unit, found[place])
    for unit, replies in zip(units, found, strict=True):
        for reply in replies:
            if len(unit) > 1 and is_from_old_primary(reply):
                raise exceptions.TryAgainError(str(reply))
            if isinstance(reply, CLUSTER.errors):
                raise reply
    return [reply for each in found for reply in each]


def _to_primaries(client: Any, commands: Sequence[Command]) -> _Steps:
    replies = []
    for node in client.get_primaries():
        replies += yield node, commands
    return replies


def _redirected(client: Any, unit: _Unit, replies: list[Any]) -> _Steps:
    for _ in range(_REDIRECTIONS):
        if type(replies[0]) is exceptions.AskError:  # which is also a base of MovedError
            node = client.get_node(replies[0].host, replies[0].port)
            if node is None:
                break
            replies = (yield node, [_ASKING, *unit])[1:]
        elif isinstance(replies[0], exceptions.MovedError):
            yield _Refresh()
            replies = yield _node_of(client, unit), unit
        else:
            break
    return replies


def _node_of(client: Any, unit: _Unit) -> Any:
    key = unit[0].key
    if key is not None:
        return client.get_node_from_key(key)
    primaries = client.get_primaries()
    if not primaries:
        raise exceptions.RedisClusterException("the cluster has no primaries")
    return primaries[0]


class _Nodes:
    """Sends to the nodes of a cluster, on connections that are used for each of them."""

    def __init__(self, connections: PoolConnections | OwnConnections) -> None:
        self._connections = connections

    def follow(self, client: Any, steps: _Steps, deadline: float) -> list[Any]:
        try:
            return drive(steps, lambda step: self._do(client, step, deadline))
        except CLUSTER.errors:
            with suppress(*DRIVER_ERRORS):
                self._do(client, _Refresh(), deadline)
            raise

    def _do(self, client: Any, step: _Step, deadline: float) -> Any:
        if isinstance(step, _Refresh):
            return shielded(lambda _: client.nodes_manager.initialize(), deadline - monotonic())
        node, commands = step
        if node.redis_connection is None:
            shielded(lambda _: client.get_redis_connection(node), deadline - monotonic())
        return self._connections.send(node.redis_connection, commands, deadline)


class _AsyncNodes:
    """Sends to the nodes of a cluster, on the connections of its asyncio client."""

    def __init__(self, _: Any) -> None:
        self._deadlines = Deadlines()

    async def follow(self, client: Any, steps: _Steps, deadline: float) -> list[Any]:
        try:
            if client._initialize:  # noqa: SLF001 - a task for each request would cost more than the rest
                await ashielded(client.initialize(), deadline - monotonic())
            return await adrive(steps, lambda step: self._do(client, step, deadline))
        except CLUSTER.errors:
            with suppress(*DRIVER_ERRORS):
                await self._do(client, _Refresh(), deadline)
            raise

    async def _do(self, client: Any, step: _Step, deadline: float) -> Any:
        if isinstance(step, _Refresh):
            return await ashielded(client.nodes_manager.initialize(), deadline - monotonic())
        return await aexchange_at(*step, deadline, self._deadlines)


class _AnyTransport:
    """What blocking and asyncio transports share; the results of the latter are awaited."""

    _own: Any
    _pool: Any
    _nodes: Any
    _retry: Any
    sleep: Callable[[float], Any]
    """Pause for some seconds."""

    def __init__(self, client: Any, *, own: bool = False) -> None:
        """Use *client*. Connections are the saver's own if the client is, and else those of the client's pool."""
        self.client = client
        self.is_cluster = is_cluster(client)
        self.policy = _policy_of(client, own=own)
        pooled = not own or _is_limited(client)
        self.connections = self._pool() if pooled else self._own()
        self.send: Callable[[Sequence[Command], float], Any] = partial(self.connections.send, client)
        """Send commands once, until a deadline; returns their replies, the server's errors among them.

        On a cluster, each goes to the node of its key, and a command without a key to the node of the command before it.
        """
        self.send_everywhere: Callable[[Sequence[Command], float], Any] = self.send
        """Send commands once, on a cluster to each primary."""
        if self.is_cluster:
            follow = self._nodes(self.connections).follow
            self.send = lambda commands, deadline: follow(client, _to_nodes(client, commands), deadline)
            self.send_everywhere = lambda commands, deadline: follow(client, _to_primaries(client, commands), deadline)
        elif own and pooled:
            # The saver repeats what fails, and counts it. The nodes of a cluster's client repeat nothing anyway.
            client.connection_pool.connection_kwargs["retry"] = self._retry(NoBackoff(), 0)


class Transport(_AnyTransport):
    """To a server, or the nodes of a cluster, through a blocking client."""

    _own, _pool, _nodes, _retry, sleep = OwnConnections, PoolConnections, _Nodes, Retry, staticmethod(time.sleep)

    def node_of(self, key: bytes) -> str | None:
        """Name the node of a cluster that has a key; None if none is known, or for a client of one server."""
        if not self.is_cluster:
            return None
        with suppress(*DRIVER_ERRORS):
            name: str = self.client.get_node_from_key(key).name
            return name
        return None

    def drop_idle(self) -> None:
        """Close idle connections of a client of Sentinels, so that new ones ask them for the primary."""
        if sentinels_of(self.client):
            self.connections.drop_idle(self.client)

    def close(self) -> None:
        """Close the saver's own connections."""
        self.connections.close()

    def locks(self) -> list[Any]:
        """Locks of redis-py that a forked child must not find held."""
        if self.is_cluster:
            owner: Any = self.client.nodes_manager
        else:
            owner = getattr(self.client, "connection_pool", None)
        return [getattr(owner, name) for name in ("_initialization_lock", "_lock") if hasattr(owner, name)]


class AsyncTransport(_AnyTransport):
    """To a server, or the nodes of a cluster, through an asyncio client."""

    _own, _pool, _nodes, _retry = AsyncOwnConnections, AsyncPoolConnections, _AsyncNodes, AsyncRetry
    sleep = staticmethod(asyncio.sleep)

    async def drop_idle(self) -> None:
        """Await `Transport.drop_idle`."""
        if sentinels_of(self.client):
            await self.connections.drop_idle(self.client)

    async def aclose(self) -> None:
        """Close the saver's own connections."""
        await self.connections.aclose()


def _policy_of(client: Any, *, own: bool) -> Policy:
    if is_cluster(client):
        return CLUSTER
    if not own:
        return NEVER
    return SENTINEL if sentinels_of(client) else PLAIN


def _is_limited(client: Any) -> bool:
    """Whether the URL limits the number of connections."""
    pool = getattr(client, "connection_pool", None)
    given = client.nodes_manager.connection_kwargs.get("max_connections") if pool is None else pool.max_connections
    return given not in {None, _UNLIMITED}
