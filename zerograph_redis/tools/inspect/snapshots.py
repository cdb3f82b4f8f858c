"""Keeps the last counts of a store in a file, in the user's state directory."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from xxhash import xxh3_64_hexdigest


class Snapshot(NamedTuple):
    """The counts of a store; ``taken`` by its own clock, in µs."""

    taken: int
    threads: int
    checkpoints: int
    bytes: int


def exchange(store: str, now: Snapshot) -> Snapshot | None:
    """Remember *now*, and return the snapshot before it.

    Args:
        store: The name of the store. It is written to the file, so it must not have a password.
        now: What the store holds.

    Returns:
        None if there is no earlier snapshot, or none that can be read.

    Raises:
        OSError: *now* cannot be remembered.
    """
    state_home = os.environ.get("XDG_STATE_HOME", "")
    home = Path(state_home) if state_home.startswith("/") else Path.home() / ".local" / "state"
    path = home / "zerograph-redis" / f"stats-{xxh3_64_hexdigest(store.encode())}.json"
    before = _read(path, store)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Replaced as a whole: other processes may do the same now.
    draft = path.with_suffix(f".{os.getpid()}")
    try:
        draft.write_text(json.dumps({"store": store, **now._asdict()}), "utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return before


def _read(path: Path, store: str) -> Snapshot | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        document = json.loads(path.read_text("utf-8"))
        if document["store"] == store:
            return Snapshot(*(int(document[name]) for name in Snapshot._fields))
    return None
