"""Tables of all results, on the terminal and in the pages of the documentation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from .aims import Aim
from .display import count, make_console, make_table, micros, ratio, size
from .measure import Figures
from .telemetry import KINDS

WIDTH = 120

TIMES = {
    "put": "put",
    "put_writes": "put_writes",
    "newest/another": "get newest, another worker",
    "newest/same": "get newest, the same worker",
    "by_id/another": "get by id, another worker",
    "by_id/same": "get by id, the same worker",
    "list_10/another": "list(10), another worker",
    "list_10/same": "list(10), the same worker",
    "list_100/another": "list(100), another worker",
    "list_100/same": "list(100), the same worker",
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
SUMMARY = {
    "chat: server memory": "memory of the server",
    "chat: bytes sent per put": "bytes sent by a put",
    "server: CPU of a chat's step: put and put_writes": "server CPU of a step: put and put_writes",
    "chat: put: p50": "put",
    "chat: put, queued": 'put, with `durability="async"`, as the caller waits',
    "chat: get_tuple, same worker: p50": "get_tuple of the newest, the same worker",
    "chat: get_tuple, another worker: p50": "get_tuple of the newest, another worker",
    "chat: list(10), another worker: p50": "list(10), another worker",
    "2 KB: put: p50": "2 KB instead of the chat: put",
    "2 KB: get_tuple, same worker: p50": "2 KB: get_tuple of the newest, the same worker",
    "8 processes, 2 KB: puts a second": "2 KB: puts a second of 8 processes",
}
"""The rows of the README: by figure of an aim, the label."""


def show(found: Figures, aims: Sequence[Aim]) -> None:
    """Print all tables, the aims last."""
    console = make_console(WIDTH)
    for table in tables(found, aims):
        console.print(table)
    notes = [f"{name}: {what}" for name, what in found["peers"].items()]
    notes.append(", ".join(f"{name} {value}" for name, value in found["machine"].items()))
    for note in notes:
        console.print(f"  {note}", style="dim")


def tables(found: Figures, aims: Sequence[Aim]) -> Iterator[Table]:
    """All tables of a run."""
    workloads = found["workloads"]
    for name, figures in workloads.items():
        if "stores" in figures:
            yield steps_table(name, figures)
    if "long" in workloads:
        yield long_table(workloads["long"])
    for name, figures in workloads.get("telemetry", {}).items():
        yield telemetry_table(name, figures)
    if "blocking" in workloads:
        yield calls_table(workloads["blocking"])
    if "workers" in workloads:
        yield workers_table(workloads["workers"])
    if workloads.get("peers"):
        yield peers_table(workloads)
    if aims:
        yield aims_table(aims, quick=found["scale"]["quick"])


def fill(page: str, found: Figures, aims: Sequence[Aim]) -> str:
    """Replace the tables of a page that this run has numbers for; returns the new text."""
    workloads = found["workloads"]
    made = {"summary": summary_table(aims), "aims": aims_table(aims, quick=False)}
    if "blocking" in workloads:
        made["calls"] = calls_table(workloads["blocking"])
    if workloads.get("peers"):
        made["peers"] = peers_table(workloads)
    for name, table in made.items():
        begin, end = f"<!-- bench: {name} -->", "<!-- end -->"
        before, found_begin, rest = page.partition(begin)
        if found_begin:
            page = f"{before}{begin}\n\n{in_markdown(table)}\n\n{end}{rest.partition(end)[2]}"
    return page


def in_markdown(table: Table) -> str:
    """A table as Markdown."""
    columns = [[str(column.header), *map(str, column.cells)] for column in table.columns]
    head, *rows = (f"| {' | '.join(cells)} |" for cells in zip(*columns, strict=True))
    rule = "".join("|---:" if column.justify == "right" else "|---" for column in table.columns)
    return "\n".join([head, f"{rule}|", *rows])


def summary_table(aims: Sequence[Aim]) -> Table:
    """The rows of the README."""
    table = make_table("summary", "", "value", "baseline", "ratio")
    known = {each.figure: each for each in aims}
    for figure, label in SUMMARY.items():
        if each := known.get(figure):
            table.add_row(label, each.value, each.baseline, each.ratio)
    return table


def calls_table(figures: Figures) -> Table:
    """Times of the calls of the blocking saver, by both clocks."""
    title = "calls: the caller's wait and its CPU time; medians, ratios to the baseline"
    clocks = ("floor", "baseline", "ours", "ratio")
    table = make_table(title, "", *clocks, *(f"CPU {name}" for name in clocks), "with ttl")
    for row, each in figures.items():
        cells = []
        for clock in ("waited", "computed"):
            times = each[clock]
            cells += [micros(times[name]["p50"]) for name in ("floor", "raw", "redis")]
            cells.append(ratio(times["redis"]["ratio"]))
        table.add_row(row, *cells, ratio(each["ttl"]))
    return table


def peers_table(workloads: Figures) -> Table:
    """The savers of others."""
    found = workloads["peers"]
    names = [name for name in found["memory"] if name != "redis"]
    table = make_table("peers: the savers of others in the same rounds; medians", "", "redis", *names)
    for row, clocks in found["calls"].items():
        table.add_row(row, *(micros(clocks["waited"][name]["p50"]) for name in ("redis", *names)))
    table.add_row("chat: memory of the server", *(size(found["memory"][name]) for name in ("redis", *names)))
    for number, each in workloads.get("workers", {}).items():
        row = f"{number} processes, 2 KB: puts a second"
        table.add_row(row, *(count(each[name]["puts_s"]) for name in ("redis", *names)))
    return table


def steps_table(name: str, figures: Figures) -> Table:
    """All figures of a workload of steps, a column for each store."""
    stores = figures["stores"]
    state = figures["state_bytes"]
    others = [store for store in stores if store not in ("redis", "raw")]
    title = (
        f"{name}: {figures['about']}\n{count(figures['checkpoints'])} checkpoints; states of {size(state['mean'])} on "
        f"average, {size(state['last'])} at the end; medians"
    )
    table = make_table(title, "", "redis", "raw", "redis/raw", *others)
    for label, cells in _rows(stores):
        ours, raw = cells.get("redis"), cells.get("raw")
        shown = [cells.get(store, ("", None))[0] for store in ("redis", "raw", *others)]
        factor = (ours[1] if ours else None) or (raw and ours and _by(ours[2], raw[2]))
        table.add_row(label, *shown[:2], ratio(factor), *shown[2:])
    return table


def long_table(figures: Figures) -> Table:
    """Times of a long thread and of short ones."""
    long = f"long: {count(figures['checkpoints'])} checkpoints, compared with 100"
    columns = ("long", "short")
    table = make_table(f"{long}; prune(keep=10) took {figures['prune_seconds']} s", "", *columns, "ratio")
    for what, label in TIMES.items():
        if what in figures:
            one, two = (figures[what][column] for column in columns)
            table.add_row(label, micros(one["p50"]), micros(two["p50"]), ratio(one["ratio"]))
    return table


def workers_table(figures: Figures) -> Table:
    """Puts a second of many processes."""
    names = [name for name in next(iter(figures.values())) if name not in ("redis", "raw")]
    ratios = ("redis/raw", *(f"{name}/raw" for name in names))
    title = "workers: puts per second of 2 KB, each process on its own threads"
    table = make_table(title, "processes", "redis", "raw", *names, *ratios)
    for number, each in figures.items():
        rates = (count(each[name]["puts_s"]) for name in ("redis", "raw", *names))
        table.add_row(number, *rates, *(ratio(each[name]["ratio"]) for name in ("redis", *names)))
    return table


def telemetry_table(name: str, figures: Figures) -> Table:
    """Times of each kind of telemetry, and their ratios by none at all."""
    columns = ("", "put", "ratio", "CPU", "ratio", "get newest", "ratio", "CPU", "ratio")
    table = make_table(f"telemetry: states of {name}; wall time, and CPU time of the worker", *columns)
    for kind, about in KINDS.items():
        each = [figures[what][clock][kind] for what in ("put", "newest/same") for clock in ("waited", "computed")]
        cells = [cell for one in each for cell in (micros(one["p50"]), ratio(one.get("ratio")))]
        table.add_row(f"{kind}: {about}", *cells)
    return table


def aims_table(aims: Sequence[Aim], *, quick: bool) -> Table:
    """The aims, and whether each is reached."""
    title = "Aims" + (" (a quick run is too short to judge them)" if quick else "")
    table = make_table(title, "", "value", "floor", "baseline", "ratio", "aim", "")
    for each in aims:
        mark = Text("reached", "green") if each.reached else Text("missed", "bold red")
        cells = each.value, each.floor, each.baseline, each.ratio, each.aim
        table.add_row(each.figure, *cells, mark if each.aim else "")
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
