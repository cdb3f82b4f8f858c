"""The command: runs the chosen workloads on private servers, and shows the results."""

from __future__ import annotations

import argparse
import json
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from .aims import aims
from .backends import OurRedis
from .baselines import RawStore
from .calls import awaited, blocking, files, queued, serving
from .curves import bounded, curves
from .distance import distance
from .long import long
from .measure import Progress, Server
from .peers import local_stores, peers, states
from .plot import draw
from .profiling import PROFILES, profile
from .report import fill, show
from .stepping import measure
from .telemetry import telemetry
from .workers import workers
from .workloads import QUICK, WORKLOADS, Scale

PROJECT = Path(__file__).resolve().parents[2]
Runner = Callable[[Scale, Progress], Any]
CALLS: dict[str, Runner] = {
    "blocking": blocking,
    "workers": workers,
    "serving": serving,
    "queued": queued,
    "awaited": awaited,
    "files": files,
    "distance": distance,
    "peers": peers,
}
NAMES = (*CALLS, *WORKLOADS, "long", "bounded", "telemetry")


def main() -> None:
    """Parse the arguments, run and show."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure the savers.")
    parser.add_argument("--quick", action="store_true", help="fewer of everything, in about a minute")
    parser.add_argument(
        "--only",
        type=parse_names,
        default=NAMES,
        metavar="NAMES",
        help=f"a comma-separated list of {','.join(NAMES)}; calls are all up to peers",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results to FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw memory by step into FILE (.svg, .png)")
    parser.add_argument(
        "--docs", action="store_true", help="write results, picture and tables into README.md and docs/"
    )
    parser.add_argument(
        "--from",
        type=Path,
        metavar="FILE",
        dest="earlier",
        help="show what --json wrote; run nothing",
    )
    parser.add_argument("--profile", choices=tuple(PROFILES), help="only show where the time of this call goes")
    options = parser.parse_args()
    if options.docs and (options.quick or options.only != NAMES):
        parser.error("--docs needs a whole run")
    # SIGTERM stops the private servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    scale = QUICK if options.quick else Scale()
    if options.profile:
        profile(options.profile, scale)
        return
    if options.earlier:
        found = json.loads(options.earlier.read_text("utf-8"))
    else:
        begin = time.monotonic()
        with ExitStack() as stack:
            found = run(options.only, scale, stack)
        found["seconds"] = round(time.monotonic() - begin)
    judged = list(aims(found["workloads"]))
    found["aims"] = [each._asdict() for each in judged]
    show(found, judged)
    if options.docs:
        options.json, options.plot = PROJECT / "docs/bench.json", PROJECT / "docs/bench.svg"
        for page in (PROJECT / "README.md", PROJECT / "docs/performance.md"):
            page.write_text(fill(page.read_text("utf-8"), found, judged), "utf-8")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    if options.plot and not draw(found["workloads"], options.plot):
        sys.exit("There is nothing to draw without chat or bounded.")


def parse_names(text: str) -> tuple[str, ...]:
    """Names of workloads, in the order of `NAMES`."""
    names = [name for each in text.split(",") for name in (CALLS if each == "calls" else [each])]
    if unknown := sorted(set(names) - set(NAMES)):
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not among {', '.join(NAMES)}")
    return tuple(name for name in NAMES if name in names)


def run(names: Iterable[str], scale: Scale, stack: ExitStack) -> dict[str, Any]:
    """Run the workloads of *names*; *stack* closes the servers."""
    servers = [stack.enter_context(closing(Server())) for _ in range(2)]
    raw, ours = RawStore(servers[0]), OurRedis(servers[1])
    stack.callback(raw.close)
    stack.callback(ours.close)
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
    found: dict[str, Any] = {}
    special: dict[str, Runner] = CALLS | {
        "long": lambda scale, progress: long(ours, scale, progress),
        "bounded": lambda scale, _: bounded(ours.server, scale),
        "telemetry": lambda scale, progress: telemetry(ours, scale, progress),
    }
    for name in names:
        progress = progress_of(name)
        progress("starts")
        if name in special:
            found[name] = special[name](scale, progress)
        else:
            with ExitStack() as files:
                (directory / name).mkdir()
                local = local_stores(directory / name)
                for store in local:
                    files.callback(store.close)
                found[name] = measure(WORKLOADS[name], (raw, ours), local, scale, progress)
        if name == "chat":
            progress("memory by step")
            found["curves"] = curves((raw, ours), scale)
    return {"machine": machine(servers[0]), "scale": asdict(scale), "peers": states(), "workloads": found}


def progress_of(name: str) -> Progress:
    """Report progress on standard error."""
    return lambda what: print(f"{name}: {what} …", file=sys.stderr, flush=True)


def machine(server: Server) -> dict[str, str]:
    """The machine and the versions."""
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
