"""Run the scenarios one after the other, and print how many acknowledged writes were found in the end."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from .failover import KILLS, RESTARTS, STALLS, fail_over
from .faults import drop_connections
from .interrupts import divide, interrupt_calls, interrupt_leases, interrupt_savers, kill_writers
from .leases import take_turns
from .outcome import Outcome

FAILOVERS = {"sentinel": KILLS, "stalls": STALLS, "restarts": RESTARTS}
NAMES = ("leases", *FAILOVERS, "faults", "interrupts", "sqlite-interrupts", "lease-interrupts", "durability")


def plan(name: str, seconds: float, kills: int | None, count: int) -> list[Callable[[Path], Outcome]]:
    """The runs of a scenario, each of which takes a directory."""
    match name:
        case "leases":
            return [partial(take_turns, seconds=seconds, leased=leased) for leased in (True, False)]
        case "faults":
            return [partial(drop_connections, seconds=seconds)]
        case "interrupts":
            return [
                partial(interrupt_calls, mode=mode, setting=setting, count=each)
                for mode, setting, each in divide(count)
            ]
        case "sqlite-interrupts":
            return [partial(interrupt_savers, kind=kind, count=count) for kind in ("sqlite", "memory")]
        case "lease-interrupts":
            kinds = ("sqlite", "memory", "fakeredis", "redis")
            return [partial(interrupt_leases, kind=kind, count=count) for kind in kinds]
        case "durability":
            return [partial(kill_writers, kind=kind, count=count) for kind in ("redis", "sqlite")]
        case _:
            return [partial(fail_over, seconds=seconds, setting=each, times=kills) for each in FAILOVERS[name]]


def make_table(outcomes: list[Outcome]) -> Table:
    """The table of all outcomes."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("scenario", style="cyan", no_wrap=True)
    for name in ("operations", "faults injected", "acknowledged", "found", "lost", "forks"):
        table.add_column(name, justify="right")
    table.add_column("notes")
    table.add_column("promises")
    for each in outcomes:
        counts = (each.operations, each.injected, each.acknowledged, each.found, each.lost, each.forks)
        verdict = "[red]broken: " + "; ".join(each.broken) if each.broken else "[green]kept"
        table.add_row(each.scenario, *(f"{count:,}" for count in counts), "; ".join(each.notes), verdict)
    return table


def main() -> int:
    """Run the chosen scenarios; returns 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long each scenario is under load (default 60)")
    parser.add_argument("--only", default=",".join(NAMES), help=f"a comma-separated list of {', '.join(NAMES)}")
    parser.add_argument("--kills", type=int, help="how many failures of the primary, instead of --seconds")
    parser.add_argument(
        "--count",
        type=int,
        default=2000,
        help="how many calls to interrupt or cancel (default 2000), and how many writers to kill (at most 200)",
    )
    given = parser.parse_args()
    names = given.only.split(",")
    if unknown := set(names) - set(NAMES):
        parser.error(f"unknown scenario: {', '.join(sorted(unknown))}")
    runs = [run for name in NAMES if name in names for run in plan(name, given.seconds, given.kills, given.count)]
    with tempfile.TemporaryDirectory(prefix="zerograph-chaos-") as directory:
        outcomes = [run(Path(directory) / str(number)) for number, run in enumerate(runs)]
    console = Console(highlight=False)
    # A file has no width of its own, and cells must not be truncated.
    (console if console.is_terminal else Console(highlight=False, width=150)).print(make_table(outcomes))
    return int(any(each.broken for each in outcomes))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
