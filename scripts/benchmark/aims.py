"""What the numbers should be, and whether they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from .units import count, micros, ratio, size

__all__ = ("Aim", "aims")

Figures = dict[str, Any]


class Aim(NamedTuple):
    """A figure beside its baseline and its aim."""

    figure: str
    value: str
    baseline: str
    ratio: str
    aim: str
    reached: bool


def aims(workloads: Figures) -> Iterator[Aim]:
    """The aims of all workloads that were measured."""
    for name, judge in _JUDGES:
        if name in workloads:
            yield from judge(workloads[name])


def _most(figure: str, ours: float, raw: float, limit: float, show: Callable[[float], str], spoken: str = "") -> Aim:
    return Aim(figure, show(ours), show(raw), ratio(ours / raw), f"≤ {spoken or show(limit)}", ours <= limit)


def _factor(figure: str, ours: float, raw: float, factor: float, limit: float, show: Callable[[float], str]) -> Aim:
    return Aim(figure, show(ours), show(raw), ratio(factor), f"≤ {limit}x", factor <= limit)


def _timed(figure: str, ours: Figures, raw: Figures, limit: float) -> Aim:
    return _factor(figure, ours["p50"], raw["p50"], ours["ratio"], limit, micros)


def _chat(found: Figures) -> Iterator[Aim]:
    ours, raw, state = found["stores"]["redis"], found["stores"]["raw"], found["state_bytes"]["last"]
    yield from _memory("chat", 1e6)(found)
    yield _most("chat: bytes sent per put", ours["sent_put"], raw["sent_put"], 1000, size)
    yield _timed("chat: put", ours["put"], raw["put"], 0.35)
    yield _timed("chat: get newest, another worker", ours["newest/another"], raw["newest/another"], 0.9)
    yield _timed("chat: get newest, the same worker", ours["newest/same"], raw["newest/same"], 0.5)
    for limit in ("10", "100"):
        what = f"list_{limit}/another"
        yield _timed(f"chat: list({limit}), another worker", ours[what], raw[what], 0.5)
    for limit in ("10", "100"):
        received = [each["received_list"][limit] for each in (ours, raw)]
        yield _most(f"chat: bytes received by list({limit})", *received, 3 * state, size, "3 states")
    yield _most("chat: server CPU per step", ours["cpu_step"], raw["cpu_step"], 80, micros)


def _memory(name: str, limit: float) -> Callable[[Figures], Iterator[Aim]]:
    def judge(found: Figures) -> Iterator[Aim]:
        ours, raw = (found["stores"][store]["memory"] for store in ("redis", "raw"))
        yield _most(f"{name}: server memory", ours, raw, limit, size)

    return judge


def _relative(name: str, put: float, memory: float) -> Callable[[Figures], Iterator[Aim]]:
    def judge(found: Figures) -> Iterator[Aim]:
        ours, raw = found["stores"]["redis"], found["stores"]["raw"]
        yield _timed(f"{name}: put", ours["put"], raw["put"], put)
        sizes = ours["memory"], raw["memory"]
        yield _factor(f"{name}: server memory", *sizes, round(sizes[0] / sizes[1], 3), memory, size)

    return judge


def _workers(found: Figures) -> Iterator[Aim]:
    ours, raw = found["8"]["redis"], found["8"]["raw"]
    factor = ours["ratio"]
    rates = (f"{count(each['puts_s'])}/s" for each in (ours, raw))
    yield Aim("workers: puts by 8 processes", *rates, ratio(factor), "≥ 0.9x", factor >= 0.9)


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


def _sizes(found: Figures) -> Iterator[Aim]:
    for name, each in found.items():
        for what, spoken in (("put", "put"), ("newest/another", "get newest")):
            ours, raw = each[what]["redis"], each[what]["raw"]
            aim = _timed(f"{name}: {spoken}, by EVALSHA alone", ours, raw, 1.4)
            yield aim if name == "2 KB" else aim._replace(aim="", reached=True)


def _bounded(found: Figures) -> Iterator[Aim]:
    factor = found["last_half_by_first"]
    first, last = map(size, found["peaks"])
    yield Aim("bounded: peak of last half, by the first", last, first, ratio(factor), "≤ 1.1x", factor <= 1.1)


def _telemetry(found: Figures) -> Iterator[Aim]:
    for name, each in found.items():
        for what, spoken in (("put", "put"), ("newest/same", "get newest")):
            times = each[what]["computed"]
            yield _timed(f"telemetry off, {name}: CPU of {spoken}", times["off"], times["direct"], 1.02)


_JUDGES: tuple[tuple[str, Callable[[Figures], Iterator[Aim]]], ...] = (
    ("chat", _chat),
    ("chat-root", _memory("chat-root", 1.2e6)),
    ("edit", _memory("edit", 2.5e6)),
    ("window", _memory("window", 1e6)),
    ("random", _relative("random", 1.15, 1.1)),
    ("small", _relative("small", 1.2, 0.8)),
    ("workers", _workers),
    ("long", _long),
    ("bounded", _bounded),
    ("sizes", _sizes),
    ("telemetry", _telemetry),
)
