"""Attack encrypted threads in both kinds of stores, and count what readers took for true: ``scripts/forge --seconds N``."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from support.forging import forge
from support.servers import RedisServer
from support.stored_thread import AttackedRedis, AttackedSqlite


def main() -> int:
    """Return 1 if anything was read that never was there."""
    parser = argparse.ArgumentParser(prog="scripts/forge", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for both stores together")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as name, RedisServer(Path(name) / "redis") as server:
        for target in (AttackedRedis(server.client()), AttackedSqlite(Path(name))):
            found = forge(target, options.seed, seconds=options.seconds / 2)
            wrong += sum(found.wrong.values())
            print(f"{type(target).__name__}: {found.rounds} rounds of seed {options.seed}, {found.read} reads")
            for attack, count in found.made.most_common():
                print(f"  {count:5} times {attack.replace('_', ' ')}: {found.succeeded[attack]} by itself unseen")
            for (attacks, what), count in found.wrong.most_common(12):
                print(f"  {count:5} times {what}, by {attacks}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
