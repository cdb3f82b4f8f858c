"""Whether the user may run every command that a saver sends, and the server accepts writes: each command is sent once.

ACL DRYRUN would answer that too, but few users may run it. The commands are for a key named like that of an unfinished
copy, which has a TTL in case this process dies. Only refusals count; the other replies and errors do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from typing import Any
from uuid import uuid4

from redis.exceptions import NoPermissionError, ResponseError

from zerograph_redis.backends.redis.faults import DRIVER_ERRORS
from zerograph_redis.backends.redis.transport import is_cluster

from .findings import Finding, merge, ok, problem
from .servers import Node, text_of

KEY, OTHER = object(), object()
_TTL = 60_000  # ms

COMMANDS: dict[str, tuple[Any, ...]] = {
    "hset": (KEY, "field", "1"),
    "pexpire": (KEY, _TTL),
    "hdel": (KEY, "other"),
    "hscan": (KEY, 0),
    **dict.fromkeys(("exists", "hlen", "pttl"), (KEY,)),
    **dict.fromkeys(("hexists", "hget", "hmget", "hstrlen"), (KEY, "field")),
    "persist": (OTHER,),
    "pexpireat": (OTHER, 1),
    # The key is a hash, so these fail, and change nothing.
    "append": (KEY, ""),
    "getrange": (KEY, 0, 0),
    "setrange": (KEY, 0, ""),
    "zadd": (KEY, 0, "member"),
    **dict.fromkeys(("strlen", "zcard"), (KEY,)),
    **dict.fromkeys(("zlexcount", "zrangebylex", "zrevrangebylex"), (KEY, "-", "+")),
    **dict.fromkeys(("zrangebyscore", "zrevrangebyscore"), (KEY, 0, 0)),
    **dict.fromkeys(("zrem", "zscore"), (KEY, "member")),
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
    primaries = [each for each in nodes if not each.error and not each.replica]
    return merge((node.name, each) for node in primaries for each in _try_rights_on(node, client, prefix))


def _try_rights_on(node: Node, client: Any, prefix: str) -> list[Finding]:
    commands = COMMANDS | (_ON_CLUSTERS if is_cluster(client) else {})
    try:
        keys = _keys_on(node, client, prefix)
        with node.client.pipeline(transaction=False) as pipeline:
            for name, arguments in commands.items():
                pipeline.execute_command(name.upper(), *(keys.get(each, each) for each in arguments))
            replies = dict(zip(commands, pipeline.execute(raise_on_error=False), strict=True))
    except DRIVER_ERRORS as error:
        return [problem("writes", f"cannot test writes: {error}")]
    user = _user(node.client)
    refused = {name: str(reply) for name, reply in replies.items() if isinstance(reply, NoPermissionError)}
    # The server checks the command first, and keys only of commands that the user may run.
    closed = [name for name, text in refused.items() if "key" in text.lower()]
    missing = [name for name in refused if name not in closed]
    if refused:
        what = [f"run {', '.join(missing)}"] * bool(missing) + [f"use keys of the prefix {prefix}"] * bool(closed)
        rights = [f"+{name}" for name in missing] + [f"~{prefix}:*"] * bool(closed)
        message = f"the user {user!r} may not {' nor '.join(what)}"
        return [problem("rights", message, f"ACL SETUSER {user} {' '.join(rights)}")]
    rights_ok = ok("rights", f"the user {user!r} may run every command that a saver sends")
    if isinstance(replies["hset"], ResponseError):
        return [rights_ok, problem("writes", f"refuses writes: {replies['hset']}")]
    return [rights_ok, ok("writes", "accepts writes")]


def _keys_on(node: Node, client: Any, prefix: str) -> dict[Any, str]:
    """Names of keys that *node* has the slot of."""
    token = uuid4().hex
    for number in count():
        stem = f"{prefix}:{{checkup {number}}}:copy:{token}:"
        if not is_cluster(client) or client.get_node_from_key(stem).name == node.name:
            return {KEY: stem + "thread", OTHER: stem + "index"}
    raise AssertionError


def _user(client: Any) -> str:
    name = client.connection_pool.connection_kwargs.get("username") or "default"
    with suppress(*DRIVER_ERRORS):  # the user may not run it
        name = client.execute_command("ACL WHOAMI")
    return text_of(name)
