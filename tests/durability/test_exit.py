"""A process that ends stores its queue, however it ends, unless it is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.data import at, ids
from support.ending import COUNT

import zerograph_redis
from zerograph_redis import open_saver

HERE = Path(__file__).parent.parent
PATHS = os.pathsep.join([str(HERE), str(Path(zerograph_redis.__file__).parent.parent)])

CODES = {"end": 0, "exit": 3, "error": 1, "forgotten": 0, "thread": 0, "atexit": 0, "process": 0, "child": 0}
USUAL = {"redis": {"end", "thread", "process", "child"}, "sqlite": {"exit", "error", "forgotten", "atexit"}}
CASES = [
    pytest.param(way, kind, marks=() if way in usual else pytest.mark.full)
    for kind, usual in USUAL.items()
    for way in CODES
]


@pytest.mark.parametrize(("way", "kind"), CASES)
def test_a_process_that_ends_stores_its_queue(way, kind, new_server, tmp_path):
    url = new_server().url if kind == "redis" else f"sqlite:///{tmp_path}/c.db"
    done = subprocess.run(
        [sys.executable, "-m", "support.ending", way, url],
        env={**os.environ, "PYTHONPATH": PATHS},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == CODES[way], done.stderr
    with open_saver(url) as saver:
        assert ids(saver.list(at(), limit=None)) == [f"c{number}" for number in range(COUNT - 1, -1, -1)]
        assert saver.get_pending_writes(at(id=f"c{COUNT - 1}")) == [("task", "a", COUNT - 1)]
