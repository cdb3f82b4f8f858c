"""The targets of all figures, and whether they are reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from .display import count, micros, ratio, size
from .measure import Figures


class Aim(NamedTuple):
    """A figure, its baseline and its target."""

    figure: str
    value: str
    baseline: str
    ratio: str
    aim: str
    reached: bool
    floor: str = ""


def aims(workloads: Figures) -> Iterator[Aim]:
    """The figures of all workloads that were measured, with their targets."""
    for name, judge in _JUDGES:
        if name in workloads:
            yield from judge(workloads[name])


def _most(figure: str, ours: float, raw: float, limit: float, show: Callable[[float], str], spoken: str = "") -> Aim:
    return Aim(figure, show(ours), show(raw), ratio(ours / raw), f"≤ {spoken or show(limit)}", ours <= limit)


def _factor(figure: str, ours: float, raw: float, factor: float, limit: float, show: Callable[[float], str]) -> Aim:
    return Aim(figure, show(ours), show(raw), ratio(factor), f"≤ {limit}x", factor <= limit)


def _timed(figure: str, ours: Figures, raw: Figures, limit: float) -> Aim:
    return _factor(figure, ours["p50"], raw["p50"], ours["ratio"], limit, micros)


def _shown(figure: str, ours: float, base: float, factor: float, show: Callable[[float], str] = micros) -> Aim:
    """A figure without a target."""
    return Aim(figure, show(ours), show(base), ratio(factor), "", reached=True)


def _blocking(found: Figures) -> Iterator[Aim]:
    for row, (waited, computed) in _CALLS.items():
        for clock, spoken, limit in (("waited", "p50", waited), ("computed", "client CPU", computed)):
            if limit is not None:
                times = found[row][clock]
                aim = _timed(f"{row}: {spoken}", times["redis"], times["raw"], limit)
                yield aim._replace(floor=micros(times["floor"]["p50"]))
    row = "chat: put"
    for clock, spoken, factor, limit in zip(
        ("waited", "computed"), ("p50", "client CPU"), found[row]["packing"], _CALLS[row], strict=True
    ):
        ours, packing = (found[row][clock][name]["p50"] for name in ("redis", "packing"))
        yield _factor(f"{row}, if both pack: {spoken}", ours, packing, factor, limit or factor, micros)
    for row in _CALLS:
        times, factor = found[row]["waited"], found[row]["ttl"]
        yield _factor(f"{row}, ttl: by no ttl", times["ttl"]["p50"], times["redis"]["p50"], factor, 1.1, micros)


def _awaited(found: Figures) -> Iterator[Aim]:
    for row, clocks in found.items():
        yield _timed(row, clocks["waited"]["redis"], clocks["waited"]["raw"], 1.0)


def _queued(found: Figures) -> Iterator[Aim]:
    for row, limit in (("2 KB: put, queued", 0.5), ("chat: put, queued", 0.35)):
        if row in found:
            yield _timed(row, found[row]["waited"]["redis"], found[row]["waited"]["raw"], limit)
    row = "2 KB: puts in a row and a flush, each"
    if row in found:
        ours, raw = found[row]["waited"]["redis"], found[row]["waited"]["raw"]
        yield _shown(row, ours["p50"], raw["p50"], ours["ratio"])


def _serving(found: Figures) -> Iterator[Aim]:
    for (row, each), limit in zip(found.items(), (2.0, 0.3), strict=True):
        yield _factor(f"server: {row}", each["redis"], each["raw"], each["ratio"], limit, micros)


def _files(found: Figures) -> Iterator[Aim]:
    for what, limit in (("put", 0.9), ("list(1)", 1.2), ("get_tuple", None)):
        row = f"SQLite, 2 KB: {what}"
        ours, base = found[row]["waited"]["sqlite"], found[row]["waited"]["engine sqlite"]
        if limit is None:
            yield _shown(row, ours["p50"], base["p50"], ours["ratio"])
        else:
            yield _timed(row, ours, base, limit)


def _distance(found: Figures) -> Iterator[Aim]:
    sync, queued = found["sync"], found["async"]
    each = sync["trips"] / sync["calls"]
    yield Aim("20 steps, 1 ms away: trips a call", f"{each:.2f}", "", "", "≤ 1", each <= 1)
    reached = queued["waited"] <= 3
    yield Aim("20 steps, queued: trips a run waits for", str(queued["waited"]), "", "", "≤ 3", reached)
    yield _shown("20 steps, queued: a run, by sync", queued["run"], sync["run"], queued["run"] / sync["run"])


def _chat(found: Figures) -> Iterator[Aim]:
    ours, raw, state = found["stores"]["redis"], found["stores"]["raw"], found["state_bytes"]["last"]
    yield from _memory("chat", 1e6)(found)
    yield _most("chat: bytes sent per put", ours["sent_put"], raw["sent_put"], 1000, size)
    for limit in ("10", "100"):
        received = [each["received_list"][limit] for each in (ours, raw)]
        yield _most(f"chat: bytes received by list({limit})", *received, 3 * state, size, "3 states")


def _memory(name: str, limit: float = 0, factor: float | None = None) -> Callable[[Figures], Iterator[Aim]]:
    def judge(found: Figures) -> Iterator[Aim]:
        ours, raw = (found["stores"][store]["memory"] for store in ("redis", "raw"))
        figure = f"{name}: server memory"
        if factor is None:
            yield _most(figure, ours, raw, limit, size)
        else:
            yield _factor(figure, ours, raw, round(ours / raw, 3), factor, size)

    return judge


def _workers(found: Figures) -> Iterator[Aim]:
    figure, ours = "8 processes, 2 KB: puts a second", found["8"]["redis"]
    others = {"raw": ("", 0.8), "AWS Valkey": (", by AWS Valkey", 1.0)}
    for name, (spoken, least) in others.items():
        if name in found["8"]:
            other = found["8"][name]
            factor = ours["ratio"] / other["ratio"]
            rates = (count(each["puts_s"]) for each in (ours, other))
            yield Aim(f"{figure}{spoken}", *rates, ratio(factor), f"≥ {least}x", factor >= least)


def _long(found: Figures) -> Iterator[Aim]:
    number = count(found["checkpoints"])
    for what, name in (("put", "put"), ("newest/same", "get newest"), ("list_10/same", "list(10)")):
        yield _timed(f"long: {name} on {number}, by on 100", found[what]["long"], found[what]["short"], 1.2)
    for what, held in found["held"].items():
        # The baseline is the longest of as many scripts that touch no data.
        longest, machine = held["p100"], found["held_by_machine"]["p100"]
        yield Aim(f"long: longest script of {what}", micros(longest), micros(machine), "", "≤ 5 ms", longest <= 5000)
    for checkpoints, keys in found["keys"].items():
        yield Aim(f"long: keys of {count(int(checkpoints))} checkpoints", str(keys), "", "", "≤ 6", keys <= 6)


def _bounded(found: Figures) -> Iterator[Aim]:
    factor = found["last_half_by_first"]
    first, last = map(size, found["peaks"])
    yield Aim("bounded: peak of last half, by the first", last, first, ratio(factor), "≤ 1.1x", factor <= 1.1)


def _telemetry(found: Figures) -> Iterator[Aim]:
    for name, each in found.items():
        for what, spoken in (("put", "put"), ("newest/same", "get newest")):
            times = each[what]["computed"]
            yield _timed(f"telemetry off, {name}: CPU of {spoken}", times["off"], times["direct"], 1.02)


_CALLS: dict[str, tuple[float, float | None]] = {
    "2 KB: put": (1.25, 1.1),
    "2 KB: get_tuple, same worker": (1.1, 1.1),
    "put_writes, 2 of 200 bytes": (1.1, None),
    "chat: put": (0.5, 0.8),
    "chat: get_tuple, same worker": (0.6, None),
    "chat: get_tuple, another worker": (0.95, None),
    "chat: list(10), another worker": (0.4, None),
    "chat: list(100), another worker": (0.35, None),
    "random 20 KB: put": (1.15, None),
}
"""By call, the targets of its time and of its CPU time, as ratios to the baseline."""

_JUDGES: tuple[tuple[str, Callable[[Figures], Iterator[Aim]]], ...] = (
    ("blocking", _blocking),
    ("workers", _workers),
    ("serving", _serving),
    ("queued", _queued),
    ("awaited", _awaited),
    ("files", _files),
    ("distance", _distance),
    ("chat", _chat),
    ("chat-root", _memory("chat-root", 1.2e6)),
    ("edit", _memory("edit", 2.5e6)),
    ("window", _memory("window", 1e6)),
    ("random", _memory("random", factor=1.1)),
    ("small", _memory("small", factor=0.8)),
    ("long", _long),
    ("bounded", _bounded),
    ("telemetry", _telemetry),
)
