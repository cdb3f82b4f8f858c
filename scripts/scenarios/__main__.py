"""Run the scenarios one after the other, and print one table of what became of what was acknowledged."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from .durability import STORES, kill_writers
from .failover import KILLS, RESTARTS, STALLS, fail_over
from .faults import drop_connections
from .interrupted_calls import interrupt_calls, shares
from .interrupts import interrupt_leases, interrupt_stores
from .leases import take_turns
from .outcome import Outcome

SETTINGS = {"sentinel": KILLS, "stalls": STALLS, "restarts": RESTARTS}
NAMES = ("leases", *SETTINGS, "faults", "interrupts", "sqlite-interrupts", "lease-interrupts", "durability")


def plan(names: list[str], seconds: float, kills: int | None, count: int) -> list[Callable[[Path], Outcome]]:
    """What is to run, each with its share of the time; what lasts longer are starts and counts."""
    found: list[Callable[[Path], Outcome]] = []
    if "leases" in names:
        found += [
            lambda directory: take_turns(directory, seconds, leased=True),
            lambda directory: take_turns(directory, seconds, leased=False),
        ]
    settings = [each for name, several in SETTINGS.items() if name in names for each in several]
    found += [lambda directory, each=each: fail_over(directory, seconds, each, times=kills) for each in settings]
    if "faults" in names:
        found.append(lambda directory: drop_connections(directory, seconds))
    if "interrupts" in names:
        found += [lambda directory, each=each: interrupt_calls(directory, *each) for each in shares(count)]
    if "sqlite-interrupts" in names:
        found += [
            lambda directory, kind=kind: interrupt_stores(directory, kind, count) for kind in ("sqlite", "memory")
        ]
    if "lease-interrupts" in names:
        found += [
            lambda directory, kind=kind: interrupt_leases(directory, kind, count)
            for kind in ("sqlite", "memory", "fakeredis", "redis")
        ]
    if "durability" in names:
        found += [lambda directory, kind=kind: kill_writers(directory, kind, count) for kind in STORES]
    return found


def tell(outcomes: list[Outcome]) -> Table:
    """Make the table."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("scenario", style="cyan", no_wrap=True)
    for name in ("operations", "faults injected", "acknowledged", "found", "lost", "forks"):
        table.add_column(name, justify="right")
    table.add_column("seen")
    table.add_column("promises")
    for each in outcomes:
        counts = (each.operations, each.injected, each.acknowledged, each.found, each.lost, each.forks)
        verdict = "[red]broken: " + "; ".join(each.broken) if each.broken else "[green]kept"
        table.add_row(each.scenario, *(f"{count:,}" for count in counts), "; ".join(each.notes), verdict)
    return table


def main() -> int:
    """Run what was asked for; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long each scenario is under load (default 60)")
    parser.add_argument("--only", default=",".join(NAMES), help=f"some of {', '.join(NAMES)}, with commas")
    parser.add_argument("--kills", type=int, help="harm the primary so often, however long it takes")
    parser.add_argument(
        "--count",
        type=int,
        default=2000,
        help="interrupt or cancel so many calls (default 2000), and kill so many writers, 200 at the most",
    )
    given = parser.parse_args()
    names = given.only.split(",")
    if unknown := set(names) - set(NAMES):
        parser.error(f"unknown scenario: {', '.join(sorted(unknown))}")
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="zerograph-chaos-") as directory:
        for number, run in enumerate(plan(names, given.seconds, given.kills, given.count)):
            outcomes.append(run(Path(directory) / str(number)))
    console = Console(highlight=False)
    # A file has no width of its own, and a table of words cut short tells nothing.
    (console if console.is_terminal else Console(highlight=False, width=150)).print(tell(outcomes))
    return int(any(each.broken for each in outcomes))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
