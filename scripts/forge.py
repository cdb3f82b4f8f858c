"""Attack encrypted threads in Redis and SQLite, and count the forgeries that readers accepted."""

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
    """Returns 1 if anything was read that was never stored."""
    parser = argparse.ArgumentParser(prog="scripts/forge", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for both stores together")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as directory, RedisServer(Path(directory) / "redis") as server:
        for store in (AttackedRedis(server.client()), AttackedSqlite(Path(directory))):
            found = forge(store, options.seed, seconds=options.seconds / 2)
            wrong += sum(found.wrong.values())
            name = type(store).__name__.removeprefix("Attacked")
            print(f"{name}: {found.rounds} rounds of seed {options.seed}, {found.read} successful reads")
            for attack, count in found.made.most_common():
                print(f"  {count:5} times {attack.replace('_', ' ')}: {found.succeeded[attack]} undetected")
            for (attacks, what), count in found.wrong.most_common(12):
                print(f"  {count:5} times {what}, by {attacks}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
