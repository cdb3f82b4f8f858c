"""Waiting for replicas: WAIT counts for the connection that wrote, so both commands go to one node on one connection.

A cluster client routes each command by itself, and knows no connection. So the node of a thread's slot is asked for, and
redirections, which the client would follow, are followed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from redis import exceptions
from redis.asyncio.cluster import PipelineCommand

from .clients import DRIVER_ERRORS
from .commands import Command
from .faults import is_left_behind

__all__ = ("Confirmation", "asend_to_node", "send_to_node")


_ASKING: Command = ("execute_command", ("ASKING",), {})
_PASSING = (
    exceptions.ClusterError,
    exceptions.ConnectionError,
    exceptions.RedisClusterException,
    exceptions.TimeoutError,
    exceptions.TryAgainError,
)


class Confirmation(NamedTuple):
    """How many replicas must confirm a write, and for how many ms to wait for them."""

    replicas: int
    timeout: int

    @property
    def command(self) -> Command:
        """What follows the write."""
        return ("execute_command", ("WAIT", self.replicas, self.timeout), {})


def send_to_node(client: Any, key: bytes, commands: Sequence[Command]) -> list[Any]:
    """Send *commands* on one connection to the node that has *key*; raises what is worth another try."""
    try:
        replies = _send(client, client.get_node_from_key(key), commands)
        asked = _asked(client, replies)
        if asked is not None:
            replies = _send(client, asked, [_ASKING, *commands])[1:]
        return _checked(replies)
    except _PASSING:
        with suppress(*DRIVER_ERRORS):
            client.nodes_manager.initialize()
        raise


async def asend_to_node(client: Any, key: bytes, commands: Sequence[Command]) -> list[Any]:
    """Await `send_to_node`."""
    await client.initialize()
    try:
        replies = await _asend(client.get_node_from_key(key), commands)
        asked = _asked(client, replies)
        if asked is not None:
            replies = (await _asend(asked, [_ASKING, *commands]))[1:]
        return _checked(replies)
    except _PASSING:
        with suppress(*DRIVER_ERRORS):
            await client.nodes_manager.initialize()
        raise


def _send(client: Any, node: Any, commands: Sequence[Command]) -> list[Any]:
    with client.get_redis_connection(node).pipeline(transaction=False) as pipeline:
        for name, arguments, options in commands:
            getattr(pipeline, name)(*arguments, **options)
        replies: list[Any] = pipeline.execute(raise_on_error=False)
        return replies


async def _asend(node: Any, commands: Sequence[Command]) -> list[Any]:
    sent = [PipelineCommand(place, *arguments, **options) for place, (_, arguments, options) in enumerate(commands)]
    await node.execute_pipeline(sent)
    return [each.result for each in sent]


def _asked(client: Any, replies: Sequence[Any]) -> Any:
    """Return the node that a slot moves to, if the thread is there already."""
    first = replies[0]
    return client.get_node(first.host, first.port) if type(first) is exceptions.AskError else None


def _checked(replies: list[Any]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, exceptions.AskError) or is_left_behind(reply):  # the first is also MovedError
            raise exceptions.TryAgainError(str(reply))
        if isinstance(reply, _PASSING):
            raise reply
    return replies
