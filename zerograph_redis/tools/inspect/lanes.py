"""A tree of checkpoints in lines of text: one node a line, newest first, and branches side by side until they meet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Line(NamedTuple):
    """What stands before a node: its lanes, and before them, if branches meet in it, how they do."""

    joins: str | None
    lanes: str


def draw(nodes: Iterable[tuple[str, str | None]]) -> list[Line]:
    """Draw the nodes given as (id, id of the parent), newest first.

    A filled circle has a parent, an empty one has none. No line leads to a parent that does not follow.
    """
    given = list(nodes)
    places = {name: place for place, (name, _) in enumerate(given)}
    waiting: list[str | None] = []  # for whom each lane waits
    lines = []
    for place, (name, parent) in enumerate(given):
        mine = [lane for lane, awaited in enumerate(waiting) if awaited == name]
        joins = _join(waiting, mine) if len(mine) > 1 else None
        for lane in mine[1:]:
            waiting[lane] = None
        if mine:
            own = mine[0]
        else:
            own = waiting.index(None) if None in waiting else len(waiting)
            waiting[own : own + 1] = [name]
        lanes = [" " if awaited is None else "│" for awaited in waiting]
        lanes[own] = "○" if parent is None else "●"
        lines.append(Line(joins, " ".join(lanes).rstrip()))
        waiting[own] = parent if parent is not None and places.get(parent, -1) > place else None
        while waiting and waiting[-1] is None:
            waiting.pop()
    return lines


def _join(waiting: list[str | None], mine: list[int]) -> str:
    first, last = mine[0], mine[-1]
    drawn = []
    for lane, awaited in enumerate(waiting):
        if lane == first:
            drawn.append("├")
        elif lane == last:
            drawn.append("╯")
        elif first < lane < last:
            drawn.append("┴" if lane in mine else "─" if awaited is None else "┼")
        else:
            drawn.append(" " if awaited is None else "│")
        drawn.append("─" if first <= lane < last else " ")
    return "".join(drawn).rstrip()
