"""Threads from the files of ZeroGraph's own saver."""

import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from support.data import at, place, state
from support.moves import NAMESPACES, grow, migrate, store_of
from support.stores import make_store
from zerograph.checkpoint.sqlite import SqliteSaver as EngineSaver
from zerograph.types import Interrupt

from zerograph_redis import (
    BackendUnavailableError,
    ConfigError,
    CorruptCheckpointError,
    EncryptedSerializer,
    SqliteSaver,
)
from zerograph_redis.tools.transfer.moves import MoveOutcome
from zerograph_redis.tools.transfer.zerograph_files import EngineFile


@pytest.fixture
def path(tmp_path):
    return tmp_path / "engine ?#%.db"


@pytest.fixture
def engine(path):
    with EngineSaver(path) as saver:
        yield saver


@pytest.fixture(params=["redis-sync", "sqlite-sync", "cluster-sync"])
def target(request):
    store = make_store(request.param, request)
    yield store.open()
    store.close()


@pytest.fixture
def opened(path, engine, target):
    source = EngineFile(path, store_of(target).settings)
    yield source
    source.close()


def listed(saver, thread, namespace=""):
    """Everything that a saver lists."""
    return [tuple(each) for each in saver.list(at(thread, namespace), limit=10_000)]


VALUES = {
    "tuple": (1, ("a", [2])),
    "set": {"a", "b", "c", "d"},
    "frozenset": frozenset({1, 2}),
    "bytes": bytes(range(256)),
    "datetime": datetime(2024, 5, 1, 12, 30, 15, 123456, tzinfo=UTC),
    "timedelta": timedelta(days=2, microseconds=5),
    "float": 0.1,
    "int": 2**70,
    "none": None,
    "text": "ä\ud800 '\"\x00",
    "deep": {"a": [{"b": ({"c": {1, 2}},)}]},
    "long": "x" * 5000,
}


def test_everything_is_as_zerograph_returns_it(engine, opened, target):
    for namespace in NAMESPACES:
        config = grow(engine, "chat", namespace)
        engine.put_writes(config, [("task", "b", 1), ("task", "a", (2,))], "")
        engine.put_writes(config, [("other", "__interrupt__", Interrupt(value={"ask": ("me",)}, id="i"))], "")
    engine.put(at("values", id="parent of nobody"), state("v", **VALUES), {"source": "loop", "step": -1})
    engine.put_writes(at("writes only", id="to come"), [("t", "c", VALUES)], "")
    report = migrate(opened, target)
    assert report.outcomes == {MoveOutcome.MOVED: 3}
    assert report.equal
    for namespace in NAMESPACES:
        assert listed(target, "chat", namespace) == listed(engine, "chat", namespace)
        assert target.get_tuple(at("chat", namespace)) == engine.get_tuple(at("chat", namespace))
    assert listed(target, "values") == listed(engine, "values")
    written = at("writes only", id="to come")
    assert target.get_pending_writes(written) == engine.get_pending_writes(written)


def test_a_second_run_finds_everything_stored(path, engine, target, opened):
    for number in range(5):
        grow(engine, f"thread {number}")
    first = migrate(opened, target)
    second = migrate(opened, target)
    assert second.outcomes == {MoveOutcome.SAME: 5}
    assert second.target == first.target


def test_checkpoints_of_one_moment_keep_the_order_that_zerograph_lists(engine, opened, target):
    for number in range(6):
        engine.put(at(), state(f"{number * 7 % 5}{number}"), {})
    engine.put(at(), state("00"), {"again": True})
    engine.put(at(), state("earlier") | {"ts": "2020-01-01T00:00:00Z"}, {})
    engine.put(at(), state("no moment") | {"ts": "yesterday"}, {})
    engine.put(at(), state("far") | {"ts": "9999-12-31T23:59:59"}, {})
    engine.put(at(), state("later") | {"ts": "2024-05-01T14:00:00+02:00"}, {})
    migrate(opened, target)
    assert listed(target, "thread") == listed(engine, "thread")
    target.put(at(), state("new"), {})
    assert target.get(at())["id"] == "new"


def test_workers_continue_a_moved_thread(engine, opened, target):
    grow(engine, "chat")
    migrate(opened, target)
    grow(target, "chat", start=5)
    assert [each.checkpoint["id"] for each in target.list(at("chat"))] == [f"c{n}" for n in reversed(range(10))]
    assert migrate(opened, target).outcomes == {MoveOutcome.CONTINUED: 1}


def test_a_moved_thread_takes_about_as_much_room_as_one_that_was_written_there(engine, opened, target):
    grow(engine, "chat", steps=30)
    migrate(opened, target)
    grow(target, "own", steps=30)
    moved, own = (each.bytes for each in sorted(target.list_threads(), key=lambda info: info.thread_id))
    assert moved < 1.2 * own


def test_a_moved_thread_can_be_encrypted(path, engine, request):
    store = make_store("redis-sync", request)
    target = store.open(serializer=EncryptedSerializer({"k": b"1" * 32}))
    grow(engine, "chat")
    source = EngineFile(path, store_of(target).settings)
    assert migrate(source, target).outcomes == {MoveOutcome.MOVED: 1}
    assert migrate(source, target).outcomes == {MoveOutcome.SAME: 1}
    assert listed(target, "chat") == listed(engine, "chat")
    source.close()
    store.close()


def test_the_file_is_not_written(path, engine, target, opened):
    grow(engine, "chat")
    engine.close()
    before = path.read_bytes()
    migrate(opened, target)
    opened.close()
    assert path.read_bytes() == before


def test_a_zerograph_may_go_on_writing_and_each_thread_is_moved_whole(path, engine, target, opened):
    for number in range(20):
        grow(engine, f"thread {number}", steps=2)
    ended = threading.Event()

    def write():
        with EngineSaver(path) as mine:
            step = 2
            while not ended.is_set():
                for number in range(20):
                    grow(mine, f"thread {number}", start=step, steps=1)
                step += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        report = migrate(opened, target)
    finally:
        ended.set()
        writer.join()
    assert report.outcomes == {MoveOutcome.MOVED: 20}
    assert report.equal
    for number in range(20):
        found = listed(target, f"thread {number}")
        assert found == listed(engine, f"thread {number}")[-len(found) :]
    assert set(migrate(opened, target).outcomes) <= {MoveOutcome.BEHIND, MoveOutcome.SAME}


def test_a_thread_that_is_deleted_while_it_is_read_is_whole(engine, opened, target):
    grow(engine, "chat")
    wanted = listed(engine, "chat")
    read = opened._saver.get_tuple

    def meddle(config):
        if place(config)[2] == "c2":
            engine.delete_thread("chat")
        return read(config)

    opened._saver.get_tuple = meddle
    assert migrate(opened, target).outcomes == {MoveOutcome.MOVED: 1}
    assert listed(target, "chat") == wanted
    assert listed(engine, "chat") == []


def test_a_thread_that_zerograph_could_not_read_is_reported_and_others_are_moved(path, engine, opened, target):
    for thread in ("good", "odd", "unhashable", "other"):
        grow(engine, thread)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "UPDATE checkpoints SET checkpoint = '{\"a' WHERE thread_id = 'odd' AND checkpoint_id = 'c3'"
        )
        connection.execute(
            "UPDATE checkpoints SET metadata = ? WHERE thread_id = 'unhashable' AND checkpoint_id = 'c1'",
            ('{"s": {"__zg_v1_type__": "set", "__zg_v1_v__": 1, "data": [[1]]}}',),
        )
        connection.commit()
    report = migrate(opened, target)
    assert report.outcomes == {MoveOutcome.MOVED: 2, MoveOutcome.DAMAGED: 2}
    assert sorted(each.thread for each in report.problems) == ["odd", "unhashable"]
    assert any("'c3' of thread 'odd'" in each.message for each in report.problems)
    assert sorted(each.thread_id for each in target.list_threads()) == ["good", "other"]


def test_ids_that_no_store_takes_are_reported(path, engine, opened, target):
    engine.put(at(""), state("c"), {})
    engine.put(at("good"), state("c"), {})
    report = migrate(opened, target)
    assert report.outcomes == {MoveOutcome.MOVED: 1, MoveOutcome.DAMAGED: 1}
    assert "must be a text that is not empty" in report.problems[0].message
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE checkpoints SET thread_id = x'ff' WHERE thread_id = ''")
        connection.commit()
    with pytest.raises(ConfigError, match="whose id is no text"):
        migrate(opened, target)
    assert migrate(opened, target, "go").outcomes == {MoveOutcome.SAME: 1}


def test_our_own_tables_may_stand_in_the_same_file(path, engine):
    grow(engine, "chat")
    with SqliteSaver(path) as ours:
        source = EngineFile(path, store_of(ours).settings)
        assert migrate(source, ours).outcomes == {MoveOutcome.MOVED: 1}
        assert listed(ours, "chat") == listed(engine, "chat")
        source.close()


def test_a_file_that_is_none_of_zerographs_is_refused(tmp_path, target):
    settings = store_of(target).settings
    with pytest.raises(BackendUnavailableError, match="there is no SQLite database"):
        EngineFile(tmp_path / "none.db", settings)
    assert not list(tmp_path.glob("none*"))
    with SqliteSaver(tmp_path / "ours.db"), pytest.raises(ConfigError, match="no tables of ZeroGraph"):
        EngineFile(tmp_path / "ours.db", settings)
    (tmp_path / "text").write_text("no database at all " * 100)
    with pytest.raises(CorruptCheckpointError, match="text cannot be read: file is not a database"):
        EngineFile(tmp_path / "text", settings)
