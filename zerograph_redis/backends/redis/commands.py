"""What is sent to a client of redis-py: a method and its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ("Command", "by_source", "routed", "run")

Command = tuple[str, tuple[Any, ...], dict[str, Any]]
"""A method of a redis-py pipeline, and its arguments."""


def run(verb: str, script: str, keys: Sequence[bytes], arguments: Sequence[Any]) -> Command:
    """Run a script by its hash (``EVALSHA``) or by its source (``EVAL``)."""
    return ("execute_command", (verb, script, len(keys), *keys, *arguments), {"NEVER_DECODE": True})


def routed(command: Command, client: Any) -> Command:
    """Say which node a script in a pipeline goes to: a cluster's client would ask a server for the keys of each."""
    name, arguments, options = command
    if arguments[0] not in {"EVAL", "EVALSHA"}:
        return command
    return (name, arguments, {**options, "target_nodes": client.get_node_from_key(arguments[3])})


def by_source(command: Command, sources: dict[str, str]) -> Command:
    """Send the source of a script that a server does not have by its hash; any other command stays as it is."""
    name, arguments, options = command
    if arguments[0] != "EVALSHA":
        return command
    return (name, ("EVAL", sources[arguments[1]], *arguments[2:]), options)
