"""Files that cannot be opened, are damaged, full or shared: SQLite savers raise, and change nothing."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import zerograph
from support.calls import CALLS, check
from support.data import at, fill, ids, state, thread_ids

import zerograph_redis
from zerograph_redis import BackendUnavailableError, CheckpointError, SqliteSaver


def test_a_file_that_is_not_a_database_is_refused(tmp_path):
    path = tmp_path / "not.db"
    path.write_bytes(b"this is no database" * 1000)
    with pytest.raises(CheckpointError, match=r"not\.db") as caught:
        SqliteSaver(path)
    assert isinstance(caught.value.__cause__, sqlite3.DatabaseError)
    assert path.read_bytes() == b"this is no database" * 1000


def test_a_path_that_cannot_be_opened_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "checkpoints.db", tmp_path / "missing" / "checkpoints.db", tmp_path):
        with pytest.raises(BackendUnavailableError) as caught:
            SqliteSaver(path)
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
        assert str(path) in str(caught.value)


def test_tables_that_were_dropped_are_an_error(tmp_path):
    with SqliteSaver(tmp_path / "c.db") as saver:
        fill(saver, 1)
        other = sqlite3.connect(tmp_path / "c.db")
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'zerograph_%'"
        for (name,) in other.execute(query).fetchall():
            other.execute(f'DROP TABLE "{name}"')
        other.commit()
        other.close()
        for name in ("get_tuple", "put", "put_writes", "list"):
            with pytest.raises(CheckpointError) as caught:
                CALLS[name](saver)
            check(caught.value, sqlite3.Error)


def test_a_saver_that_was_closed_refuses(tmp_path):
    for saver in (SqliteSaver(tmp_path / "c.db"), zerograph_redis.InMemorySaver()):
        saver.put(at(), state("c0"), {})
        saver.close()
        with pytest.raises(BackendUnavailableError, match="closed"):
            saver.get_tuple(at())
        with pytest.raises(BackendUnavailableError, match="closed"):
            saver.put(at(), state("c1"), {})
        saver.close()


FULL = """
import resource, signal, sys
from zerograph_redis import BackendUnavailableError, SqliteSaver
config = {"configurable": {"thread_id": "thread"}}
saver = SqliteSaver(sys.argv[1])
saver.put(config, {"id": "c0"}, {})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
try:
    saver.put(config, {"id": "c1", "text": "x" * 5_000_000}, {})
except BackendUnavailableError as error:
    print(type(error.__cause__).__name__, "'thread'" in str(error))
print([each.checkpoint["id"] for each in saver.list(config)])
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
saver.put(config, {"id": "c2"}, {})
print([each.checkpoint["id"] for each in saver.list(config)])
"""


def test_a_file_that_cannot_grow_is_an_error_and_nothing_is_half_stored(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(zerograph_redis.__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "full.db")],
        capture_output=True, text=True, env=environment, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["OperationalError True", "['c0']", "['c2', 'c0']"], done.stderr


def test_a_file_of_the_engines_own_saver_stays_intact_beside_our_tables(tmp_path):
    path = tmp_path / "shared.db"
    with zerograph.SqliteSaver(str(path)) as own:
        config = own.put(at(), state("own", n=1), {"source": "loop"})
        own.put_writes(config, [("t", "a", 1)], "")
        before = own.list(at())
    with SqliteSaver(path) as saver:
        assert saver.get_tuple(at()) is None
        assert thread_ids(saver) == []
        fill(saver, 3)
        saver.put_writes(at(id="c0"), [("t", "a", 2)], "")
        saver.prune("thread", 1)
        saver.copy_thread("thread", "copy")
        saver.delete_thread("thread")
    with zerograph.SqliteSaver(str(path)) as own:
        assert own.list(at()) == before
        own.put(at(), state("own too"), {})
    with SqliteSaver(path) as saver:
        assert ids(saver.list(at("copy"))) == ["c2"]


def test_both_savers_may_use_one_file_at_the_same_time(tmp_path):
    path = tmp_path / "shared.db"
    with SqliteSaver(path) as ours, zerograph.SqliteSaver(str(path)) as own:
        for number in range(20):
            ours.put(at(), state(f"ours{number}"), {})
            own.put(at(), state(f"own{number}") | {"ts": f"2024-01-01T00:00:{number:02}"}, {})
        assert ours.get(at())["id"] == "ours19"
        assert own.get(at())["id"] == "own19"
