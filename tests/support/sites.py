"""Servers of each kind, and processes that interrupt calls or kill workers on them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import zerograph_redis
from support.clusters import Cluster
from support.polling import until
from support.servers import RedisServer

WRONG_RESULTS = ("foreign config", "foreign state", "lost", "refused, and returned as stored")


def open_site(setting: str, directory: Path, stack: ExitStack) -> tuple[str, list[tuple[str, int]]]:
    """Start the servers of a setting; returns a URL, and the addresses of the servers that are no Sentinels."""
    if setting.startswith("cluster"):
        cluster = Cluster.start(directory / "cluster", primaries=3, replicas=0)
        stack.callback(cluster.stop)
        return cluster.url, cluster.nodes
    server = stack.enter_context(RedisServer(directory / "redis"))
    if setting != "sentinel":
        return server.url, [("127.0.0.1", server.port)]
    config = f"sentinel monitor service 127.0.0.1 {server.port} 1\n"
    sentinel = stack.enter_context(RedisServer(directory / "sentinel", "--sentinel", config=config))
    with sentinel.client(protocol=2) as client:
        until(lambda: client.sentinel_masters())
    return f"redis+sentinel://127.0.0.1:{sentinel.port}/service", [("127.0.0.1", server.port)]


def run_interrupts(
    mode: str, setting: str, site: tuple[str, list[tuple[str, int]]], count: int, seed: int, seconds: float = 900
) -> dict[str, Any]:
    """Interrupt calls in a new process; returns what it counted, and what is wrong."""
    url, addresses = site
    arguments = (mode, setting, url, json.dumps(addresses), str(count), str(seed))
    found = _run("support.interrupted_calls", arguments, seconds)
    if "seen" not in found:
        return {**found, "interrupts": 0}
    seen = found["seen"]
    broken = [f"{seen[each]} {each}" for each in WRONG_RESULTS if seen.get(each)]
    broken += [f"{count} times {each}" for each, count in seen.items() if each.startswith("error")]
    broken += found["pools"]
    if found["hanging"]:
        broken.append(f"{found['hanging']} OS threads hang")
    if found["connections"]["after close"]:
        broken.append(f"connections: {found['connections']}")
    return {**found, "broken": broken}


def run_kills(url: str, count: int, seed: int, seconds: float = 900) -> dict[str, Any]:
    """Kill workers from a new process; returns what it counted, and what is wrong."""
    return {"seen": {}, **_run("support.killed", (url, str(count), str(seed)), seconds)}


def _run(module: str, arguments: Sequence[str], seconds: float) -> dict[str, Any]:
    """Run a module of the tests as a process; returns what it printed, or why it did not finish."""
    here = Path(__file__).parent.parent
    paths = (str(here), str(Path(zerograph_redis.__file__).parent.parent))
    try:
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-m", module, *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=seconds,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
    except subprocess.TimeoutExpired:
        return {"broken": [f"the process did not end within {seconds} s"]}
    if done.returncode:
        return {"broken": [f"the process ended with {done.returncode}: {done.stderr[-1500:]}"]}
    found: dict[str, Any] = json.loads(done.stdout)
    return found
