"""Moves in other processes that are killed in the middle, and run again."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.commands import options_of, prefix_of
from support.data import at, ids, thread_ids
from support.moves import export, grow, load, migrate
from support.polling import until
from support.stores import fixture_of
from zerograph.checkpoint.sqlite import SqliteSaver as EngineSaver

from zerograph_redis import InMemorySaver

MOVER = Path(__file__).parents[2] / "support" / "mover.py"
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join((str(MOVER.parent.parent), *sys.path))}
KILLED = -9
THREADS = 8


def mover(*arguments):
    return [sys.executable, str(MOVER), *map(str, arguments)]


def run(*arguments):
    """Run the process to its end; returns its exit code."""
    return subprocess.run(mover(*arguments), check=False, env=ENVIRONMENT).returncode


store = fixture_of("redis-sync", "sqlite-sync")


@pytest.fixture
def saver(store):
    return store.open()


@pytest.fixture
def engine_file(tmp_path):
    path = tmp_path / "engine.db"
    with EngineSaver(path) as engine:
        for number in range(THREADS):
            config = grow(engine, f"thread {number}", steps=3)
            engine.put_writes(config, [("t", "c", number)], "")
    return path


def place_of(store):
    url = options_of(store)[1]
    return url, getattr(store, "prefix", "zerograph")


DEATHS = [
    ("StageThread", 1, "after"),
    pytest.param(("StageThread", 8, "before"), marks=pytest.mark.full),
    ("PublishThread", 3, "before"),
    pytest.param(("PublishThread", 3, "after"), marks=pytest.mark.full),
    ("ScanThread", 9, "after"),
    pytest.param(("DescribeThreads", 6, "after"), marks=pytest.mark.full),
]


@pytest.mark.parametrize("death", DEATHS, ids=lambda death: " ".join(map(str, death)))
def test_a_migration_leaves_whole_threads_wherever_it_is_killed_and_is_completed(store, saver, engine_file, death):
    assert run("migrate", engine_file, *place_of(store), *death) == KILLED
    with EngineSaver(engine_file) as engine:
        for thread in thread_ids(saver):
            assert [tuple(each) for each in saver.list(at(thread))] == [tuple(each) for each in engine.list(at(thread))]
        assert len(thread_ids(saver)) < THREADS
        assert run("migrate", engine_file, *place_of(store)) == 0
        assert len(thread_ids(saver)) == THREADS
        for thread in thread_ids(saver):
            assert [tuple(each) for each in saver.list(at(thread))] == [tuple(each) for each in engine.list(at(thread))]


@pytest.mark.parametrize("death", DEATHS[1:4], ids=lambda death: " ".join(map(str, death)))
def test_an_import_leaves_whole_threads_wherever_it_is_killed_and_is_completed(store, saver, tmp_path, death):
    path = tmp_path / "threads.db"
    with InMemorySaver(max_per_thread=None) as source:
        for number in range(THREADS):
            config = grow(source, f"thread {number}", steps=3)
            source.put_writes(config, [("t", "c", number)], "")
        export(source, path)
        assert run("import", path, *place_of(store), *death) == KILLED
        for thread in thread_ids(saver):
            assert saver.list(at(thread)) == source.list(at(thread))
        assert len(thread_ids(saver)) < THREADS
        assert run("import", path, *place_of(store)) == 0
        assert migrate(source, saver).outcomes == {"same": THREADS}


EXPORT_DEATHS = [
    (0, "source", "ScanThread", 12, "after"),
    (0, "file", "StageThread", 8, "before"),
    (0, "file", "PublishThread", 3, "before"),
    (3, "file", "PublishThread", 3, "after"),
    (0, "sync", 1),
    (3, "sync", 2),
]


@pytest.mark.parametrize("death", EXPORT_DEATHS, ids=lambda death: " ".join(map(str, death)))
def test_a_killed_export_leaves_no_file_and_is_completed(store, saver, tmp_path, death):
    path = tmp_path / "threads.db"
    for each in range(THREADS):
        saver.put_writes(grow(saver, f"thread {each}", steps=3), [("t", "c", each)], "")
    assert run("export", path, *place_of(store), *death) == KILLED
    assert not path.exists()
    grow(saver, "thread 0", start=3, steps=1)
    assert run("export", path, *place_of(store), death[0]) == 0
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith("threads")] == [path.name]
    with InMemorySaver(max_per_thread=None) as other:
        load(path, other)
        assert migrate(saver, other).outcomes == {"same": THREADS}


@contextmanager
def working(store):
    """A worker that writes to the store meanwhile."""
    command = mover("work", *place_of(store))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT) as process:
        try:
            assert process.stdout.read(1) == b"."
            yield
            process.stdin.close()
            assert process.stdout.read().count(b".") > 10
            assert process.wait() == 0
        finally:
            process.kill()


@pytest.mark.full
def test_a_migration_beside_a_worker_that_is_killed_twice_ends_with_equal_digests(real_store, tmp_path):
    path, count = tmp_path / "engine.db", 150
    with EngineSaver(path) as engine:
        for number in range(count):
            grow(engine, f"thread {number}", steps=4)
    saver = real_store.open()
    command = [sys.executable, "-m", "zerograph_redis.cli", *prefix_of(real_store)]
    command += ["migrate", f"zerograph:///{path}", real_store.url, "--json"]
    with working(real_store):
        for portion in (count // 5, count // 2):
            with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL) as process:
                until(lambda portion=portion: len(thread_ids(saver, limit=None)) > portion, seconds=60)
                process.kill()
                assert process.wait() == KILLED
        until(lambda: ids(saver.list(at("thread 0")))[0].startswith("work"))
        done = subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True)
    report = json.loads(done.stdout)
    assert report["equal"]
    assert report["source"] == report["target"]
    assert report["source"]["threads"] + report["continued_beyond"] == count
    assert report["outcomes"]["moved"] > 0
    assert report["outcomes"]["same"] > 0
    assert report["outcomes"]["continued"] > 0
    with EngineSaver(path) as engine:
        for number in range(count):
            found = saver.list(at(f"thread {number}"), limit=None)
            wanted = engine.list(at(f"thread {number}"), limit=100)
            assert [tuple(each) for each in found][-len(wanted) :] == [tuple(each) for each in wanted]
    assert "own1" in ids(saver.list(at("own"), limit=None))
