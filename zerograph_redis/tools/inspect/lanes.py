"""Checkpoints drawn as a tree in lines of text: one a line, newest first, branches side by side until they meet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Line(NamedTuple):
    """The lanes before a node; ``joins`` is the line above it that joins branches, None if none meet there."""

    joins: str | None
    lanes: str


def draw(nodes: Iterable[tuple[str, str | None]]) -> list[Line]:
    """Draw nodes, given newest first as (id, id of the parent): filled with a parent, hollow without one.

    Only a parent that comes later in *nodes* is connected.
    """
    listed = list(nodes)
    places = {name: place for place, (name, _) in enumerate(listed)}
    awaited: list[str | None] = []  # the parent that each lane leads to, None for a free lane
    lines = []
    for place, (name, parent) in enumerate(listed):
        meeting = [lane for lane, each in enumerate(awaited) if each == name]
        joins = _join(awaited, meeting) if len(meeting) > 1 else None
        for lane in meeting[1:]:
            awaited[lane] = None
        if meeting:
            own = meeting[0]
        else:
            own = awaited.index(None) if None in awaited else len(awaited)
            awaited[own : own + 1] = [name]
        lanes = [" " if each is None else "│" for each in awaited]
        lanes[own] = "○" if parent is None else "●"
        lines.append(Line(joins, " ".join(lanes).rstrip()))
        awaited[own] = parent if parent is not None and places.get(parent, -1) > place else None
        while awaited and awaited[-1] is None:
            awaited.pop()
    return lines


def _join(awaited: list[str | None], meeting: list[int]) -> str:
    first, last = meeting[0], meeting[-1]
    drawn = []
    for lane, each in enumerate(awaited):
        if lane == first:
            drawn.append("├")
        elif lane == last:
            drawn.append("╯")
        elif first < lane < last:
            drawn.append("┴" if lane in meeting else "─" if each is None else "┼")
        else:
            drawn.append(" " if each is None else "│")
        drawn.append("─" if first <= lane < last else " ")
    return "".join(drawn).rstrip()
