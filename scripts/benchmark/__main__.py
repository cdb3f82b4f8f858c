"""The command: chooses what to run, runs it on private servers, and shows what was found."""

from __future__ import annotations

import argparse
import json
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from .aims import aims
from .backends import OurRedis
from .baselines import RawStore
from .curves import bounded, curves
from .long import long
from .measure import Server
from .peers import local_stores, peers
from .plot import draw
from .report import show
from .sizes import sizes
from .stepping import measure
from .telemetry import telemetry
from .workers import workers
from .workloads import QUICK, WORKLOADS, Scale

SPECIAL = ("workers", "long", "bounded", "sizes", "telemetry")
NAMES = (*WORKLOADS, *SPECIAL)


def main() -> None:
    """Read the arguments, and do it."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure the savers.")
    parser.add_argument("--quick", action="store_true", help="fewer of everything, in under a minute")
    parser.add_argument("--only", type=chosen, default=NAMES, metavar="NAMES", help=f"some of {','.join(NAMES)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw memory by step there (.svg, .png)")
    options = parser.parse_args()
    # Whoever ends this process ends its servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    scale = QUICK if options.quick else Scale()
    begin = time.monotonic()
    with ExitStack() as stack:
        found = run(options.only, scale, stack)
    judged = list(aims(found["workloads"]))
    found["seconds"] = round(time.monotonic() - begin)
    found["aims"] = [each._asdict() for each in judged]
    show(found, judged, quick=scale.quick)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    if options.plot and not draw(found["workloads"], options.plot):
        sys.exit("There is nothing to draw without chat or bounded.")


def chosen(text: str) -> tuple[str, ...]:
    """Names of workloads, in the order of `NAMES`."""
    names = text.split(",")
    if unknown := sorted(set(names) - set(NAMES)):
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not among {', '.join(NAMES)}")
    return tuple(name for name in NAMES if name in names)


def run(names: Iterable[str], scale: Scale, stack: ExitStack) -> dict[str, Any]:
    """Run the workloads of *names*; what must be closed goes on *stack*."""
    servers = [stack.enter_context(Server()) for _ in range(2)]
    raw, ours = RawStore(servers[0]), OurRedis(servers[1])
    stack.callback(raw.close)
    stack.callback(ours.close)
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
    found: dict[str, Any] = {}
    special: dict[str, Callable[[Callable[[str], None]], Any]] = {
        "workers": lambda say: workers((raw, ours), scale, say),
        "long": lambda say: long(ours, scale, say),
        "bounded": lambda _: bounded(ours.server, scale),
        "sizes": lambda _: sizes(raw, ours, scale),
        "telemetry": lambda say: telemetry(ours, scale, say),
    }
    for name in names:
        say = speaker(name)
        say("begins")
        if name in special:
            found[name] = special[name](say)
        else:
            with ExitStack() as files:
                (directory / name).mkdir()
                local = local_stores(directory / name)
                for store in local:
                    files.callback(store.close)
                found[name] = measure(WORKLOADS[name], (raw, ours), local, scale, say)
        if name == "chat":
            say("memory by step")
            found["curves"] = curves((raw, ours), scale)
    return {"machine": machine(servers[0]), "scale": asdict(scale), "peers": peers(), "workloads": found}


def speaker(name: str) -> Callable[[str], None]:
    """Say on standard error what is going on."""
    return lambda what: print(f"{name}: {what} …", file=sys.stderr, flush=True)


def machine(server: Server) -> dict[str, str]:
    """What the numbers were measured on."""
    info = server.client.info("server")
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    return {
        "cpu": cpu,
        "cores": str(psutil.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "load": f"{psutil.getloadavg()[0]:.1f}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "redis": str(info["redis_version"]),
        **{name: metadata.version(name) for name in ("hiredis", "msgpack", "zerograph")},
        "redis-py": metadata.version("redis"),
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text("utf-8").splitlines()
    except OSError:
        return []


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
