"""What servers said of themselves, judged: whether checkpoints are safe there. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .findings import Finding, Level, merged
from .nodes import Node

_OLDEST = (7, 0)
_SLOW = 0.01  # seconds to an answer, from which on a graph feels it in each step
_APART = 1.0  # seconds that clocks may differ
_BEHIND = 5  # seconds since a replica last said how far it is, which it does each second
_FULL = 0.9  # of maxmemory
_HURT = "threads may have lost parts, and cannot be read then"


def judge_nodes(nodes: Sequence[Node]) -> list[Finding]:
    """Judge all servers together: what holds for several is said once."""
    found = [_reachable(each) for each in nodes]
    answering = [each for each in nodes if not each.error]
    if not answering:
        return found
    found.append(_latency(answering))
    found += _clock([(each.offset, each) for each in answering if each.offset is not None])
    told = [each for each in answering if each.info]
    if not told:
        return [
            *merged(found),
            Finding(
                "insight",
                Level.WARNING,
                "INFO is not permitted: version, persistence, memory and replicas cannot be seen",
                "look with a user that has +info and +config|get",
            ),
        ]
    judges: list[tuple[Callable[[Node], Finding], bool]] = [
        (_version, True),
        (_role, False),
        (_persistence, False),
        (_eviction, True),
        (_memory, True),
        (_replicas, False),
    ]
    for judge, of_replicas in judges:
        for node in told:
            if of_replicas or not node.replica:
                finding = judge(node)
                finding.nodes = [node.name]
                found.append(finding)
    return merged(found)


def _reachable(node: Node) -> Finding:
    if node.error:
        return Finding(
            "reachable",
            Level.PROBLEM,
            f"it does not answer: {node.error}",
            "start it, or mend the way to it",
            [node.name],
        )
    return Finding("reachable", Level.OK, "it answers", nodes=[node.name])


def _latency(nodes: Sequence[Node]) -> Finding:
    slowest = max(nodes, key=lambda each: each.latency)
    told = f"{slowest.latency * 1000:.1f} ms to an answer"
    if slowest.latency < _SLOW:
        return Finding("latency", Level.OK, told, nodes=[slowest.name])
    mend = "bring workers and server closer together; look at SLOWLOG and at the load of the server"
    return Finding("latency", Level.WARNING, f"{told}: each step of a graph takes several", mend, [slowest.name])


def _clock(told: Sequence[tuple[float, Node]]) -> list[Finding]:
    if not told:
        return []
    (latest, ahead), (earliest, behind) = (pick(told, key=lambda each: each[0]) for pick in (max, min))
    doubt = (ahead.latency + behind.latency) / 2
    if latest - earliest > _APART + doubt:
        what = (
            f"clocks of servers differ by {latest - earliest:.1f} s: after a failover the order of what was stored holds, "
            f"but ages and leases go by another clock"
        )
        return [Finding("clock", Level.WARNING, what, "keep their clocks with NTP", [behind.name, ahead.name])]
    offset = max(latest, earliest, key=abs)
    if abs(offset) > _APART + doubt:
        what = (
            f"the server's clock is {abs(offset):.1f} s {'ahead of' if offset > 0 else 'behind'} this machine's: times and "
            f"ages are the server's"
        )
        return [Finding("clock", Level.WARNING, what, "keep the clocks of both with NTP", [ahead.name])]
    return [Finding("clock", Level.OK, "as this machine's, to within a second")]


def _version(node: Node) -> Finding:
    version = str(node.info.get("redis_version", ""))
    valkey = node.info.get("valkey_version")
    told = f"Valkey {valkey}, as Redis {version}" if valkey else f"Redis {version}"
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < _OLDEST:
        return Finding("version", Level.PROBLEM, f"{told} is too old", "Redis 7.0 or newer is needed")
    return Finding("version", Level.OK, told)


def _role(node: Node) -> Finding:
    info = node.info
    if info.get("loading"):
        return Finding("role", Level.PROBLEM, "it is loading its data and answers nothing else", "wait until it has")
    if info.get("role") == "slave":
        of = f"{info.get('master_host')}:{info.get('master_port')}"
        return Finding(
            "role", Level.PROBLEM, f"it is a replica, of {of}, and takes no writes", f"name the primary: {of}"
        )
    return Finding("role", Level.OK, "primary")


def _persistence(node: Node) -> Finding:
    info = node.info
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        return Finding(
            "persistence",
            Level.PROBLEM,
            "its last snapshot failed; unless told otherwise, Redis refuses writes then",
            "see the server's log: most often its disk is full, or it may not fork",
        )
    if info.get("aof_enabled"):
        if info.get("aof_last_write_status", "ok") != "ok" or info.get("aof_last_bgrewrite_status", "ok") != "ok":
            mend = "see the server's log: most often its disk is full"
            return Finding("persistence", Level.PROBLEM, "its append-only file cannot be written", mend)
        return Finding("persistence", Level.OK, "append-only file")
    mend = "set appendonly yes"
    if not node.settings:
        told = "no append-only file; whether there are snapshots cannot be seen, since CONFIG GET is not permitted"
        return Finding("persistence", Level.WARNING, told, f"{mend}, or look with a user that has +config|get")
    if not node.settings.get("save"):
        told = "neither an append-only file nor snapshots: a restart loses all threads"
        return Finding("persistence", Level.WARNING, told, mend)
    if not info.get("connected_slaves"):
        told = "snapshots alone, and no replica: a crash loses what came since the last snapshot"
        return Finding("persistence", Level.WARNING, told, mend)
    return Finding("persistence", Level.OK, "snapshots, and replicas")


def _eviction(node: Node) -> Finding:
    policy = str(node.info.get("maxmemory_policy") or node.settings.get("maxmemory-policy") or "unknown")
    evicted = int(node.info.get("evicted_keys", 0))
    mend = "set maxmemory-policy noeviction, and let threads go by ttl, keep_last or max_age"
    if policy not in {"noeviction", "unknown"}:
        when = "when its memory is full" if node.info.get("maxmemory") else "once maxmemory is set and reached"
        told = f"maxmemory-policy is {policy}: {when}, it removes keys, and with them parts of threads"
        return Finding("eviction", Level.PROBLEM, told + (f"; {evicted:,} so far" if evicted else ""), mend)
    if evicted:
        told = f"it evicted {evicted:,} keys since it started: {_HURT}"
        return Finding("eviction", Level.WARNING, told, "look for broken threads below, and delete them")
    return Finding("eviction", Level.OK, f"maxmemory-policy is {policy}, and nothing was evicted")


def _memory(node: Node) -> Finding:
    used, most = int(node.info.get("used_memory", 0)), int(node.info.get("maxmemory", 0))
    if not most:
        return Finding("memory", Level.OK, "no maxmemory is set")
    mend = "raise maxmemory, or let go of threads: see `stats`, `prune`, `delete`"
    if used >= most:
        return Finding("memory", Level.PROBLEM, "it has used up its maxmemory, and refuses writes", mend)
    if used >= _FULL * most:
        return Finding(
            "memory", Level.WARNING, f"{used / most:.0%} of its maxmemory is used: full, it refuses writes", mend
        )
    return Finding("memory", Level.OK, f"less than {_FULL:.0%} of maxmemory is used")


def _replicas(node: Node) -> Finding:
    info = node.info
    if info.get("role") == "slave":
        return Finding("replicas", Level.OK, "those of a replica play no part")
    known = int(info.get("connected_slaves", 0))
    replicas = [info.get(f"slave{number}", {}) for number in range(known)]
    needed = int(node.settings.get("min-replicas-to-write") or 0)
    good = int(info.get("min_slaves_good_slaves", known))
    if good < needed:
        told = f"{good} replicas are in step, and min-replicas-to-write is {needed}: writes are refused"
        return Finding("replicas", Level.PROBLEM, told, "start the replicas that are missing")
    late = [each for each in replicas if _is_late(each)]
    if late:
        names = ", ".join(f"{each.get('ip')}:{each.get('port')} ({_state(each)})" for each in late)
        told = f"of {known} replicas {len(late)} cannot follow: {names}"
        return Finding("replicas", Level.WARNING, told, "look at their logs, and at the network between")
    if not known and info.get("repl_backlog_active"):
        told = "it had replicas, and has none now: it alone has what is stored"
        return Finding("replicas", Level.WARNING, told, "start the replicas that are missing")
    if not known:
        return Finding("replicas", Level.OK, "none")
    return Finding("replicas", Level.OK, f"{known}, in step")


def _is_late(replica: Any) -> bool:
    return bool(replica) and (replica.get("state") != "online" or int(replica.get("lag", 0)) > _BEHIND)


def _state(replica: Any) -> str:
    return f"silent for {replica.get('lag')} s" if replica.get("state") == "online" else str(replica.get("state"))
