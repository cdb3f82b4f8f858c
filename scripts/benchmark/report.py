"""Tables on the terminal, or in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .aims import Aim
from .telemetry import KINDS
from .units import count, micros, ratio, size

__all__ = ("show",)

WIDTH = 100
Figures = dict[str, Any]

TIMES = {
    "put": "put",
    "put/async": "put, awaited",
    "put_writes": "put_writes",
    "newest/another": "get newest, another worker",
    "newest/same": "get newest, the same worker",
    "newest/same/async": "the same, awaited",
    "by_id/another": "get by id, another worker",
    "by_id/same": "get by id, the same worker",
    "list_10/another": "list(10), another worker",
    "list_10/same": "list(10), the same worker",
    "list_100/another": "list(100), another worker",
    "list_100/same": "list(100), the same worker",
    "first_put": "put, whole",
}
COUNTS: dict[str, tuple[str, Callable[[float], str]]] = {
    "memory": ("memory, or file", size),
    "sent_put": ("sent per put", size),
    "sent_step": ("sent per step", size),
    "cpu_step": ("server CPU per step", micros),
    "script_step": ("of it in scripts", micros),
    "delete": ("delete_thread", micros),
    "keys": ("keys of a thread", count),
}


def show(found: Figures, aims: Sequence[Aim], *, quick: bool) -> None:
    """Print the numbers in detail, then the aims."""
    console = Console(highlight=False)
    if not console.is_terminal or console.width < WIDTH:
        console = Console(highlight=False, width=WIDTH)
    workloads = found["workloads"]
    for name, figures in workloads.items():
        if "stores" in figures:
            console.print(stepped(name, figures))
    if "sizes" in workloads:
        for name, figures in workloads["sizes"].items():
            console.print(compared(f"a state of {name}, by one EVALSHA of as many bytes", figures, ("redis", "raw")))
    if "long" in workloads:
        figures = workloads["long"]
        console.print(
            compared(f"long: {count(figures['checkpoints'])} checkpoints, by 100", figures, ("long", "short"))
        )
        console.print(f"  prune(keep=10) took {figures['prune_seconds']} s.\n")
    if "workers" in workloads:
        console.print(crowds(workloads["workers"]))
    if "telemetry" in workloads:
        for name, figures in workloads["telemetry"].items():
            console.print(observed(name, figures))
    if aims:
        console.print(judged(aims, quick=quick))
    for name, what in found["peers"].items():
        console.print(f"  {name}: {what}", style="dim")
    machine = found["machine"]
    console.print(f"  {', '.join(f'{name} {value}' for name, value in machine.items())}", style="dim")


def stepped(name: str, figures: Figures) -> Table:
    """All figures of a workload of steps, a column for each store."""
    stores = figures["stores"]
    state = figures["state_bytes"]
    table = _table(
        f"{name}: {figures['about']}\n{count(figures['checkpoints'])} checkpoints; states of {size(state['mean'])} on "
        f"average, {size(state['last'])} at the end; medians"
    )
    table.add_column("", no_wrap=True)
    others = [store for store in stores if store not in ("redis", "raw")]
    for column in ("redis", "raw", "redis/raw", *others):
        table.add_column(column, justify="right", style="bold" if column == "redis" else "")
    for label, cells in _rows(stores):
        ours, raw = cells.get("redis"), cells.get("raw")
        shown = [cells.get(store, ("", None))[0] for store in ("redis", "raw", *others)]
        factor = (ours[1] if ours else None) or (raw and ours and _by(ours[2], raw[2]))
        table.add_row(label, *shown[:2], ratio(factor), *shown[2:])
    return table


def compared(title: str, figures: Figures, columns: tuple[str, str]) -> Table:
    """Times of two columns, and the ratio of the first by the second."""
    table = _table(title)
    for column in ("", *columns, "ratio"):
        table.add_column(column, justify="right" if column else "left")
    for what, label in TIMES.items():
        if what in figures:
            one, two = (figures[what][column] for column in columns)
            table.add_row(label, micros(one["p50"]), micros(two["p50"]), ratio(one["ratio"]))
    return table


def crowds(figures: Figures) -> Table:
    """Puts a second of many processes."""
    table = _table("workers: puts a second of small states, each process on threads of its own")
    for column in ("processes", "redis", "raw", "redis/raw"):
        table.add_column(column, justify="right")
    for number, each in figures.items():
        ours, raw = each["redis"], each["raw"]
        table.add_row(number, count(ours["puts_s"]), count(raw["puts_s"]), ratio(ours["ratio"]))
    return table


def observed(name: str, figures: Figures) -> Table:
    """Times of each kind of telemetry, and their ratios by none at all."""
    table = _table(f"telemetry: states of {name}; by the clock, and the worker's own CPU time")
    for column in ("", "put", "ratio", "CPU", "ratio", "get newest", "ratio", "CPU", "ratio"):
        table.add_column(column, justify="right" if column else "left")
    for kind, about in KINDS.items():
        each = [figures[what][clock][kind] for what in ("put", "newest/same") for clock in ("waited", "computed")]
        cells = [cell for one in each for cell in (micros(one["p50"]), ratio(one.get("ratio")))]
        table.add_row(f"{kind}: {about}", *cells)
    return table


def judged(aims: Sequence[Aim], *, quick: bool) -> Table:
    """The aims, reached or not."""
    table = _table("Aims" + (" (a quick run is too short to judge them: the marks are a hint)" if quick else ""))
    table.add_column("", no_wrap=True)
    for column in ("value", "baseline", "ratio", "aim"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for each in aims:
        mark = Text("reached", "green") if each.reached else Text("not reached", "bold red")
        table.add_row(each.figure, each.value, each.baseline, each.ratio, each.aim, mark if each.aim else "")
    return table


def _rows(stores: Figures) -> Iterator[tuple[str, dict[str, tuple[str, Any, float]]]]:
    """Each row's label, and by store: how the value is shown, its ratio if one was measured, the value."""
    for what, (label, shown) in COUNTS.items():
        yield label, {n: (shown(each[what]), None, each[what]) for n, each in stores.items() if what in each}
        if what == "sent_step":
            for limit in ("10", "100"):
                received = {n: each["received_list"][limit] for n, each in stores.items() if "received_list" in each}
                yield f"received by list({limit})", {n: (size(value), None, value) for n, value in received.items()}
    for what, label in TIMES.items():
        cells = {n: each[what] for n, each in stores.items() if what in each}
        if cells:
            yield label, {n: (micros(each["p50"]), each.get("ratio"), each["p50"]) for n, each in cells.items()}


def _by(ours: float, raw: float) -> float | None:
    return ours / raw if raw else None


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
