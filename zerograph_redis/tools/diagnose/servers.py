"""Asks every server of a Redis about itself, and judges whether checkpoints are safe there.

A cluster and the Sentinels of a primary are asked how they see their servers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter, time
from typing import Any

from redis.exceptions import ResponseError

from zerograph_redis.backends.redis.faults import DRIVER_ERRORS
from zerograph_redis.backends.redis.transport import is_cluster

from .findings import Finding, Level, merge, ok, problem, warning

_ECHOES = 15  # measured, for the median
_SETTINGS = ("save", "min-replicas-to-write", "maxmemory-policy")
_OLDEST = (7, 0)
_SLOW = 0.01  # seconds to an answer, from which on each step of a graph is slow
_APART = 1.0  # seconds that clocks may differ
_BEHIND = 5  # seconds since a replica last reported, which it does each second
_FULL = 0.9  # of maxmemory
_SLOTS = 16_384


@dataclass(slots=True)
class Node:
    """A server, and what it reports about itself. What the user may not ask for is empty."""

    name: str
    client: Any
    replica: bool = False
    error: str = ""
    """Why it does not answer."""
    latency: float = 0.0
    """Seconds to its answer: the median of several."""
    offset: float | None = None
    """How many seconds its clock is ahead of this machine's, to within half of its latency; None if unknown."""
    info: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    cluster: Mapping[str, str] = field(default_factory=dict)


def ask_nodes(client: Any) -> list[Node]:
    """Ask every server that *client* reaches, including replicas of a cluster."""
    if is_cluster(client):
        with suppress(*DRIVER_ERRORS):
            client.nodes_manager.initialize()  # the client may know an earlier state of the cluster
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
            node.error = f"answers only with an error: {error}"
        except DRIVER_ERRORS as error:
            node.error = f"does not answer: {type(error).__name__}: {error}"
    return nodes


def _ask(node: Node, *, clustered: bool) -> None:
    client = node.client
    client.echo("")  # a server with a full disk refuses PING
    times = []
    for _ in range(_ECHOES):
        begun = perf_counter()
        client.echo("")
        times.append(perf_counter() - begun)
    node.latency = median(times)
    with suppress(ResponseError):  # the user may not run TIME
        begun = time()
        seconds, microseconds = client.time()
        node.offset = int(seconds) + int(microseconds) / 1_000_000 - (begun + time()) / 2
    node.info = _ask_if_permitted(client, "INFO")
    node.settings = _ask_if_permitted(client, "CONFIG GET", *_SETTINGS)
    if clustered:
        node.cluster = _ask_if_permitted(client, "CLUSTER INFO")


def _ask_if_permitted(client: Any, *command: str) -> Mapping[str, Any]:
    try:
        reply = client.execute_command(*command)
    except ResponseError:
        return {}
    return {text_of(name): value for name, value in reply.items()} if isinstance(reply, Mapping) else {}


def text_of(value: Any) -> str:
    """Return a name that redis-py decoded, or did not."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _name_of(client: Any) -> str:
    pool = client.connection_pool
    if hasattr(pool, "get_master_address"):
        host, port = pool.get_master_address()
        return f"{host}:{port}"
    options = pool.connection_kwargs
    return options["path"] if "path" in options else f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"


def judge_nodes(nodes: Sequence[Node]) -> list[Finding]:
    """Judge all servers; what holds for several is one finding."""
    found = merge((each.name, _reachable(each)) for each in nodes)
    answering = [each for each in nodes if not each.error]
    if not answering:
        return found
    found.append(_latency(max(answering, key=lambda each: each.latency)))
    if offsets := [(each.offset, each) for each in answering if each.offset is not None]:
        found.append(_clock(offsets))
    informed = [each for each in answering if each.info]
    if not informed:
        message = "INFO is not permitted: cannot check version, persistence, memory and replicas"
        found.append(warning("info", message, "run this as a user with +info and +config|get"))
    return found + merge(
        (node.name, judge(node))
        for judge, of_replicas in _JUDGES
        for node in informed
        if of_replicas or not node.replica
    )


def _reachable(node: Node) -> Finding:
    if node.error:
        fix = "start the server, or repair the network path to it; check its log"
        return problem("reachable", node.error, fix)
    return ok("reachable", "answers")


def _latency(slowest: Node) -> Finding:
    message, nodes = f"answers in {slowest.latency * 1000:.1f} ms", [slowest.name]
    if slowest.latency < _SLOW:
        return ok("latency", message, nodes=nodes)
    fix = "bring workers and server closer together; check SLOWLOG and the load of the server"
    return warning("latency", f"{message}: each step of a graph waits several times for that", fix, nodes=nodes)


def _clock(offsets: Sequence[tuple[float, Node]]) -> Finding:
    (latest, ahead), (earliest, behind) = (pick(offsets, key=lambda each: each[0]) for pick in (max, min))
    tolerance = _APART + (ahead.latency + behind.latency) / 2
    if latest - earliest > tolerance:
        message = (
            f"clocks of servers differ by {latest - earliest:.1f} s: after a failover the order of checkpoints is right, "
            f"but ages and leases follow another clock"
        )
        return warning("clock", message, "synchronize their clocks with NTP", nodes=[behind.name, ahead.name])
    offset = max(latest, earliest, key=abs)
    if abs(offset) > tolerance:
        message = (
            f"the server's clock is {abs(offset):.1f} s {'ahead of' if offset > 0 else 'behind'} this machine's: times and "
            f"ages follow the server's"
        )
        return warning("clock", message, "synchronize both clocks with NTP", nodes=[ahead.name])
    return ok("clock", "within a second of this machine's")


def _version(node: Node) -> Finding:
    version = str(node.info.get("redis_version", ""))
    valkey = node.info.get("valkey_version")
    name = f"Valkey {valkey}, compatible with Redis {version}" if valkey else f"Redis {version}"
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < _OLDEST:
        return problem("version", f"{name} is too old", "upgrade to Redis 7.0 or newer")
    return ok("version", name)


def _role(node: Node) -> Finding:
    info = node.info
    if info.get("loading"):
        return problem("role", "is loading its data, and answers nothing else until then", "wait until it is done")
    if info.get("role") == "slave":
        primary = f"{info.get('master_host')}:{info.get('master_port')}"
        return problem("role", f"is a replica of {primary}, and refuses writes", f"connect to the primary: {primary}")
    return ok("role", "primary")


def _persistence(node: Node) -> Finding:
    info, check, fix = node.info, "persistence", "set appendonly yes"
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        message = "the last snapshot failed; by default, Redis then refuses writes"
        return problem(check, message, "see the server's log: usually its disk is full, or it cannot fork")
    if info.get("aof_enabled"):
        if info.get("aof_last_write_status", "ok") != "ok" or info.get("aof_last_bgrewrite_status", "ok") != "ok":
            message = "the append-only file cannot be written"
            return problem(check, message, "see the server's log: usually its disk is full")
        return ok(check, "append-only file")
    if not node.settings:
        message = "no append-only file; cannot check for snapshots, since CONFIG GET is not permitted"
        return warning(check, message, f"{fix}, or run this as a user with +config|get")
    if not node.settings.get("save"):
        return warning(check, "neither an append-only file nor snapshots: a restart loses all threads", fix)
    if not info.get("connected_slaves"):
        return warning(check, "only snapshots, and no replica: a crash loses all since the last snapshot", fix)
    return ok(check, "snapshots and replicas")


def _eviction(node: Node) -> Finding:
    policy = str(node.info.get("maxmemory_policy") or node.settings.get("maxmemory-policy") or "unknown")
    evicted = int(node.info.get("evicted_keys", 0))
    if policy not in {"noeviction", "unknown"}:
        when = "when its memory is full" if node.info.get("maxmemory") else "once maxmemory is set and reached"
        message = f"maxmemory-policy is {policy}: {when}, the server removes keys, which breaks threads"
        if evicted:
            message += f"; {evicted:,} keys so far"
        fix = "set maxmemory-policy noeviction, and limit threads with ttl, keep_last or max_age"
        return problem("eviction", message, fix)
    if evicted:
        message = f"{evicted:,} keys were evicted since the server started: threads may be damaged"
        return warning("eviction", message, "delete the damaged threads below")
    return ok("eviction", f"maxmemory-policy is {policy}, and nothing was evicted")


def _memory(node: Node) -> Finding:
    used, most = int(node.info.get("used_memory", 0)), int(node.info.get("maxmemory", 0))
    if not most:
        return ok("memory", "no maxmemory is set")
    fix = "raise maxmemory, or remove threads: see `stats`, `prune`, `delete`"
    if used >= most:
        return problem("memory", "all of maxmemory is used, so writes are refused", fix)
    if used >= _FULL * most:
        return warning("memory", f"{used / most:.0%} of maxmemory is used; at 100% writes are refused", fix)
    return ok("memory", f"less than {_FULL:.0%} of maxmemory is used")


def _replicas(node: Node) -> Finding:
    info, check, fix = node.info, "replicas", "start the missing replicas"
    if info.get("role") == "slave":
        return ok(check, "not checked on a replica")
    known = int(info.get("connected_slaves", 0))
    needed = int(node.settings.get("min-replicas-to-write") or 0)
    good = int(info.get("min_slaves_good_slaves", known))
    if good < needed:
        message = f"writes are refused: min-replicas-to-write is {needed}, and {good} replicas keep up"
        return problem(check, message, fix)
    replicas = [info.get(f"slave{number}", {}) for number in range(known)]
    late = [f"{each.get('ip')}:{each.get('port')} ({_lateness(each)})" for each in replicas if _lateness(each)]
    if late:
        message = f"{len(late)} of {known} replicas fall behind: {', '.join(late)}"
        return warning(check, message, "check their logs, and the network to them")
    if not known and info.get("repl_backlog_active"):
        return warning(check, "had replicas, and has none now: no other server has its data", fix)
    return ok(check, f"{known}, all keep up" if known else "none")


def _lateness(replica: Any) -> str:
    """How a replica falls behind; empty if it keeps up."""
    if replica and replica.get("state") != "online":
        return str(replica.get("state"))
    lag = int(replica.get("lag", 0))
    return f"silent for {lag} s" if lag > _BEHIND else ""


_JUDGES: Sequence[tuple[Callable[[Node], Finding], bool]] = (
    (_version, True),
    (_role, False),
    (_persistence, False),
    (_eviction, True),
    (_memory, True),
    (_replicas, False),
)
"""What is judged of each server that INFO describes, and whether of the replicas of a cluster too."""


def judge_cluster(nodes: Sequence[Node]) -> list[Finding]:
    """Judge whether every slot of a cluster has a primary that answers, and every primary a replica."""
    answering = [each for each in nodes if each.cluster]
    if not answering and any(not each.error for each in nodes):
        message = "CLUSTER INFO is not permitted: cannot check whether every slot has a node"
        return [warning("cluster", message, "run this as a user with +cluster|info and +cluster|nodes")]
    found = [(each.name, _cluster_state(each)) for each in answering]
    members = _cluster_members(answering)
    for name, member in members.items():
        failure = "failed" if "fail" in member["flags"] else "unreachable" if "fail?" in member["flags"] else ""
        if failure:
            role, level = ("replica", Level.WARNING) if "slave" in member["flags"] else ("primary", Level.PROBLEM)
            message = f"the cluster considers a {role} {failure}"
            found.append((name, Finding("cluster", level, message, "start it, or remove it with CLUSTER FORGET")))
    for name in _primaries_without_replica(members):
        message = "a primary has no replica to take over"
        found.append((name, warning("cluster", message, "add a replica, or start the missing one")))
    return merge(found)


def _cluster_state(node: Node) -> Finding:
    state, assigned, served = (
        node.cluster.get(name) for name in ("cluster_state", "cluster_slots_assigned", "cluster_slots_ok")
    )
    if state == "ok" and int(served or 0) == _SLOTS:
        return ok("cluster", "all slots are served")
    message = f"state {state}: of {_SLOTS:,} slots {assigned} are assigned to nodes, {served} to nodes that answer"
    return problem("cluster", message, "run `redis-cli --cluster check`, and start the missing nodes")


def _cluster_members(nodes: Sequence[Node]) -> Mapping[str, Any]:
    for node in nodes:
        with suppress(*DRIVER_ERRORS):
            members = node.client.execute_command("CLUSTER NODES")
            split = {name: {**each, "flags": set(each["flags"].split(","))} for name, each in members.items()}
            return {name: each for name, each in split.items() if "noaddr" not in each["flags"]}
    return {}


def _primaries_without_replica(members: Mapping[str, Any]) -> list[str]:
    """Primaries with slots and no replica, if any primary has a replica."""
    alive = {name: each for name, each in members.items() if not each["flags"] & {"fail", "fail?"}}
    followed = {each["master_id"] for each in alive.values() if "slave" in each["flags"]}
    return [
        name
        for name, each in alive.items()
        if followed and "master" in each["flags"] and each["slots"] and each["node_id"] not in followed
    ]


def ask_sentinels(client: Any, primary: Node | None) -> list[Finding]:
    """Ask the Sentinels through which *client* finds its primary; nothing if there are none."""
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    sentinels = [] if manager is None else manager.sentinels
    return merge(
        (_name_of(each), _judge_sentinel(each, client.connection_pool.service_name, primary)) for each in sentinels
    )


def _judge_sentinel(sentinel: Any, service: str, primary: Node | None) -> Finding:
    try:
        reply = sentinel.execute_command("SENTINEL MASTER", service)
    except DRIVER_ERRORS as error:
        return warning("sentinel", f"does not answer: {error}", "start it, or name other Sentinels in the URL")
    try:
        sentinel.execute_command("SENTINEL CKQUORUM", service)
    except DRIVER_ERRORS as error:
        return problem("sentinel", f"no failover is possible: {error}", "start the missing Sentinels")
    if not isinstance(reply, Mapping):  # as some versions of redis-py return it
        reply = dict(zip(reply[::2], reply[1::2], strict=True))
    facts = {text_of(name): text_of(value) for name, value in reply.items()}
    known = int(facts.get("num-slaves", 0))
    connected = known if primary is None else int(primary.info.get("connected_slaves", known))
    if connected < known:
        message = f"knows {known} replicas, but the primary has {connected}"
        return warning("sentinel", message, "start the missing replicas, or run SENTINEL RESET")
    others = int(facts.get("num-other-sentinels", 0))
    return ok("sentinel", f"Sentinels: {others + 1}, replicas: {known}, quorum: {facts.get('quorum')}")
