"""What a cluster, or Sentinels, say of the servers that they keep together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .findings import Finding, Level, merged
from .nodes import FAILURES, Node

_SLOTS = 16_384


def judge_cluster(nodes: Sequence[Node]) -> list[Finding]:
    """Judge whether the nodes of a cluster see it whole, and each slot has a primary and a replica."""
    answering = [each for each in nodes if each.cluster]
    if not answering and any(not each.error for each in nodes):
        told = "CLUSTER INFO is not permitted: whether every slot has a node cannot be seen"
        return [Finding("cluster", Level.WARNING, told, "look with a user that has +cluster|info and +cluster|nodes")]
    found = [_state(each) for each in answering]
    members = _members(answering)
    for name, member in members.items():
        flags = member["flags"].split(",")
        if "fail" in flags or "fail?" in flags:
            role = "replica" if "slave" in flags else "primary"
            level = Level.PROBLEM if role == "primary" else Level.WARNING
            told = f"the cluster takes a {role} for {'dead' if 'fail' in flags else 'gone, perhaps'}"
            found.append(Finding("cluster", level, told, "start it, or have the cluster forget it", [name]))
    alone = _alone(members)
    if alone:
        told = "a primary has no replica that could take its place"
        found.append(Finding("cluster", Level.WARNING, told, "add one, or start the one that is missing", alone))
    return merged(found)


def _state(node: Node) -> Finding:
    state, assigned, good = (
        node.cluster.get(name) for name in ("cluster_state", "cluster_slots_assigned", "cluster_slots_ok")
    )
    if state == "ok" and int(good or 0) == _SLOTS:
        return Finding("cluster", Level.OK, "whole", nodes=[node.name])
    told = f"its state is {state}: of {_SLOTS:,} slots {assigned} are given to nodes, {good} to nodes that answer"
    return Finding(
        "cluster", Level.PROBLEM, told, "see `redis-cli --cluster check`, and start what is missing", [node.name]
    )


def _members(nodes: Sequence[Node]) -> Mapping[str, Any]:
    for node in nodes:
        try:
            found = node.client.execute_command("CLUSTER NODES")
        except FAILURES:
            continue
        # redis-py leaves out what the bus of a node has besides its address.
        return {name.partition("@")[0]: member for name, member in found.items() if "noaddr" not in member["flags"]}
    return {}


def _alone(members: Mapping[str, Any]) -> list[str]:
    """Primaries with slots, if any primary has replicas, that have none themselves."""
    followed = {
        each["master_id"] for each in members.values() if "slave" in each["flags"] and "fail" not in each["flags"]
    }
    if not followed:
        return []
    return [
        name
        for name, each in members.items()
        if "master" in each["flags"]
        and "fail" not in each["flags"]
        and each["slots"]
        and each["node_id"] not in followed
    ]


def ask_sentinels(client: Any, primary: Node | None) -> list[Finding]:
    """Ask the Sentinels that *client* finds its primary through; nothing without any."""
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    if manager is None:
        return []
    service = client.connection_pool.service_name
    found = []
    for sentinel in manager.sentinels:
        given = sentinel.connection_pool.connection_kwargs
        finding = _ask(sentinel, service, primary)
        finding.nodes = [f"{given['host']}:{given['port']}"]
        found.append(finding)
    return merged(found)


def _ask(sentinel: Any, service: str, primary: Node | None) -> Finding:
    try:
        told = _pairs(sentinel.execute_command("SENTINEL MASTER", service))
    except FAILURES as error:
        return Finding("sentinel", Level.WARNING, f"it does not answer: {error}", "start it, or name others in the url")
    try:
        sentinel.execute_command("SENTINEL CKQUORUM", service)
    except FAILURES as error:
        return Finding(
            "sentinel", Level.PROBLEM, f"no failover is possible: {error}", "start the Sentinels that are missing"
        )
    known = int(told.get("num-slaves", 0))
    connected = known if primary is None else int(primary.info.get("connected_slaves", known))
    if connected < known:
        what = f"it knows {known} replicas, and the primary has {connected}"
        return Finding("sentinel", Level.WARNING, what, "start the replicas that are missing, or SENTINEL RESET")
    others = int(told.get("num-other-sentinels", 0))
    return Finding(
        "sentinel", Level.OK, f"{others + 1} Sentinels, {known} replicas, and a quorum of {told.get('quorum')}"
    )


def _pairs(told: Any) -> Mapping[str, Any]:
    """What versions of redis-py make of the reply differs."""
    if not isinstance(told, Mapping):
        told = dict(zip(told[::2], told[1::2], strict=True))
    return {_text(name): _text(value) for name, value in told.items()}


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
