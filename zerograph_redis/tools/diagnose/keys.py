"""The keys that a Redis has under a prefix, told apart by their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from zerograph_redis.ids import read_name

from .examination import Names

PAGE = 1000  # entries

_KIND = r"(?:thread|index|checkpoints|writes|log:0|log:1)"
_THREAD = re.compile(rf"\{{([^{{}}]+)\}}:{_KIND}")
_STAGED = re.compile(rf"\{{([^{{}}]+)\}}:copy:([^:{{}}]+):{_KIND}")
_LISTS = (re.compile("threads|deadlines"), re.compile(r"threads:\{\d+\}"))
_OTHER = re.compile(rf"(.+?):(?:\{{[^{{}}]+\}}:(?:copy:[^:{{}}]+:)?{_KIND}|threads|deadlines|threads:\{{\d+\}})")


def sort_keys(
    keys: Iterable[bytes | str], prefix: str, names: Names, looked: Callable[[], None], *, clustered: bool
) -> None:
    """Note in *names* what each of *keys*, all of which begin with *prefix* and a colon, is part of."""
    lists = _LISTS[clustered]
    for key in keys:
        looked()
        name = key if isinstance(key, str) else key.decode("utf-8", "backslashreplace")
        rest = name[len(prefix) + 1 :]
        if found := _THREAD.fullmatch(rest):
            note_thread(found[1], names.stored, names.strays, name)
        elif found := _STAGED.fullmatch(rest):
            staged: set[str] = set()
            note_thread(found[1], staged, names.strays, name)
            names.staged.update((thread, found[2]) for thread in staged)
        elif lists.fullmatch(rest):
            continue
        elif found := _OTHER.fullmatch(rest):
            names.others.add(f"{prefix}:{found[1]}")
        else:
            names.strays.append(name)


def note_thread(spelled: bytes | str, threads: set[str], strays: list[str], shown: str = "") -> None:
    """Note the thread that a store spells so, or, in *strays*, what no saver spelled."""
    try:
        threads.add(read_name(spelled))
    except ValueError:
        text = spelled if isinstance(spelled, str) else spelled.decode("utf-8", "backslashreplace")
        strays.append(shown or text)


def expiring(client: Any, prefix: str) -> Iterator[bytes | str]:
    """Read which threads of a single server are noted to expire, in short steps, as they are spelled there."""
    low, start = "-inf", 0
    while True:
        page = client.zrangebyscore(f"{prefix}:deadlines", low, "+inf", start, PAGE, withscores=True)
        for name, _ in page:
            yield name
        if len(page) < PAGE:
            return
        last = page[-1][1]
        # Those of the same moment are told apart by how many there were.
        same = sum(score == last for _, score in page)
        low, start = last, same + (start if low == last else 0)
