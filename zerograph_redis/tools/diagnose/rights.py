"""Whether the user may do what a saver does, and the server takes writes: tried on a key that nobody looks at.

ACL DRYRUN would tell as much, but few users may run it. Each command is sent once, for a key named like that of a copy
under way, which goes by itself should this process die; what comes back other than a refusal plays no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any
from uuid import uuid4

from redis.exceptions import NoPermissionError, ResponseError

from zerograph_redis.backends.redis.wires import is_cluster

from .findings import Finding, Level, merged
from .nodes import FAILURES, Node

KEY, OTHER = object(), object()
_KEPT = 60_000  # ms

COMMANDS: dict[str, tuple[Any, ...]] = {
    "hset": (KEY, "field", "1"),
    "pexpire": (KEY, _KEPT),
    "hdel": (KEY, "other"),
    "hexists": (KEY, "field"),
    "hget": (KEY, "field"),
    "hlen": (KEY,),
    "hmget": (KEY, "field"),
    "hscan": (KEY, 0),
    "hstrlen": (KEY, "field"),
    "exists": (KEY,),
    "persist": (OTHER,),
    "pexpireat": (OTHER, 1),
    "pttl": (KEY,),
    # A key that is a hash is in the way of these, so they change nothing.
    "append": (KEY, ""),
    "getrange": (KEY, 0, 0),
    "setrange": (KEY, 0, ""),
    "strlen": (KEY,),
    "zadd": (KEY, 0, "member"),
    "zcard": (KEY,),
    "zlexcount": (KEY, "-", "+"),
    "zrangebylex": (KEY, "-", "+"),
    "zrangebyscore": (KEY, 0, 0),
    "zrem": (KEY, "member"),
    "zrevrangebylex": (KEY, "+", "-"),
    "zrevrangebyscore": (KEY, 0, 0),
    "zscore": (KEY, "member"),
    "time": (),
    "wait": (0, 1),
    "eval": ("return 1", 1, KEY),
    "evalsha": ("0" * 40, 1, KEY),
    "rename": (OTHER, OTHER),
    "unlink": (KEY, OTHER),
}
"""What a saver sends, or its scripts run."""

_ON_CLUSTERS: dict[str, tuple[Any, ...]] = {"zrandmember": (KEY,)}


def try_rights(client: Any, nodes: Sequence[Node], prefix: str) -> list[Finding]:
    """Try every command on each primary."""
    commands = COMMANDS | (_ON_CLUSTERS if is_cluster(client) else {})
    found = []
    for node in nodes:
        if node.error or node.replica:
            continue
        try:
            findings = _tried(node, _keys(client, node, prefix), commands, prefix)
        except FAILURES as error:
            findings = [Finding("writes", Level.PROBLEM, f"it was asked to write, and: {error}")]
        for each in findings:
            each.nodes = [node.name]
        found += findings
    return merged(found)


def _tried(node: Node, keys: dict[Any, str], commands: dict[str, tuple[Any, ...]], prefix: str) -> list[Finding]:
    with node.client.pipeline(transaction=False) as pipeline:
        for name, arguments in commands.items():
            pipeline.execute_command(name.upper(), *(keys.get(each, each) for each in arguments))
        replies = dict(zip(commands, pipeline.execute(raise_on_error=False), strict=True))
    user = _user(node.client)
    refused = {name: str(reply) for name, reply in replies.items() if isinstance(reply, NoPermissionError)}
    # Of a command it says so first; keys are looked at only of commands that may be run.
    closed = [name for name, text in refused.items() if "key" in text.lower()]
    missing = [name for name in refused if name not in closed]
    rights = [f"+{name}" for name in missing] + ([f"~{prefix}:*"] if closed else [])
    if rights:
        what = [f"run {', '.join(missing)}"] * bool(missing) + [f"use keys of the prefix {prefix}"] * bool(closed)
        told = f"the user {user!r} may not {' nor '.join(what)}"
        return [Finding("rights", Level.PROBLEM, told, f"ACL SETUSER {user} {' '.join(rights)}")]
    found = [Finding("rights", Level.OK, f"the user {user!r} may do all that a saver does")]
    reply = replies["hset"]
    if isinstance(reply, ResponseError):
        return [*found, Finding("writes", Level.PROBLEM, f"it refuses writes: {reply}")]
    return [*found, Finding("writes", Level.OK, "it takes them")]


def _keys(client: Any, node: Node, prefix: str) -> dict[Any, str]:
    """Names of keys that lie on *node*."""
    token = uuid4().hex
    for number in count():
        stem = f"{prefix}:{{checkup {number}}}:copy:{token}:"
        if not is_cluster(client) or client.get_node_from_key(stem).name == node.name:
            return {KEY: stem + "thread", OTHER: stem + "index"}
    raise AssertionError


def _user(client: Any) -> str:
    try:
        name = client.execute_command("ACL WHOAMI")
    except FAILURES:
        name = client.connection_pool.connection_kwargs.get("username") or "default"
    return name if isinstance(name, str) else str(name.decode())
