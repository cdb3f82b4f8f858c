"""What a store held when it was counted last, remembered between calls in the user's own state directory."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from xxhash import xxh3_64_hexdigest


class Snapshot(NamedTuple):
    """A store in four numbers; ``taken`` by its own clock, in µs."""

    taken: int
    threads: int
    checkpoints: int
    bytes: int


def exchange(store: str, now: Snapshot) -> Snapshot | None:
    """Remember *now*, and return what was remembered.

    Args:
        store: What tells the store from others: never with a password.
        now: What it holds.

    Returns:
        None if there is nothing yet, or nothing that can be read.

    Raises:
        OSError: It could not be remembered.
    """
    path = _directory() / f"stats-{xxh3_64_hexdigest(store.encode())}.json"
    before = _read(path, store)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Whole at any time, whoever else counts at the same one.
    draft = path.with_suffix(f".{os.getpid()}")
    try:
        draft.write_text(json.dumps({"store": store, **now._asdict()}), "utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return before


def _directory() -> Path:
    given = os.environ.get("XDG_STATE_HOME", "")
    home = Path(given) if given.startswith("/") else Path.home() / ".local" / "state"
    return home / "zerograph-redis"


def _read(path: Path, store: str) -> Snapshot | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads(path.read_text("utf-8"))
        if found["store"] == store:
            return Snapshot(*(int(found[name]) for name in Snapshot._fields))
    return None
