"""Workers that put with ``durability="async"`` and are killed: what is found is the beginning of what they put."""

from __future__ import annotations

import random
from contextlib import ExitStack
from pathlib import Path

from support.servers import RedisServer
from support.sites import run_kills

from .outcome import Outcome

__all__ = ("STORES", "kill_writers")

STORES = ("redis", "sqlite")
AT_MOST = 200


def kill_writers(directory: Path, kind: str, count: int) -> Outcome:
    """Kill so many workers, one after the other, 200 at the most."""
    outcome = Outcome(f"durability, {kind}")
    directory.mkdir()
    seed = random.randrange(2**31)
    with ExitStack() as stack:
        url = f"sqlite:///{directory}/c.db"
        if kind == "redis":
            url = stack.enter_context(RedisServer(directory / "redis")).url
        found = run_kills(url, min(count, AT_MOST), seed)
    seen = found["seen"]
    outcome.injected = seen.get("killed", 0)
    outcome.operations = outcome.acknowledged = seen.get("acknowledged", 0)
    outcome.found, outcome.lost = seen.get("found", 0), seen.get("lost", 0)
    outcome.notes.append(f"seed {seed}; what is lost was acknowledged early, and never before what is found")
    for each in found["broken"]:
        outcome.promise(each, kept=False)
    return outcome
