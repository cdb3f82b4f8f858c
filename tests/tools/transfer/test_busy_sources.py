"""Threads that are written, pruned and deleted while they are read."""

import pytest
from support.data import at, fill, ids, state, thread_ids
from support.moves import ignore, migrate, store_of
from support.stores import fixture_of, make_store

from zerograph_redis import InMemorySaver
from zerograph_redis.core.requests import DescribeThreads, ListThreads, PublishThread, ScanThread, StageThread
from zerograph_redis.tools.transfer.moves import MoveOutcome, list_source, move_threads

NAMESPACES = ("", "a", "b")


class Meddling:
    """A backend; before each request of one kind, something else happens."""

    def __init__(self, inner, kind, happens, times=10**9):
        self.inner, self.kind, self.happens, self.times, self.asked = inner, kind, happens, times, 0

    def execute(self, request):
        if isinstance(request, self.kind) and self.asked < self.times:
            self.asked += 1
            self.happens(self.asked)
        return self.inner.execute(request)


def meddle(end, kind, happens, times=10**9):
    end.backend = Meddling(end.backend, kind, happens, times)
    return end.backend


store = fixture_of("redis-sync", "sqlite-sync", "memory-sync")


@pytest.fixture
def source(store):
    saver = store.open()
    for namespace in NAMESPACES:
        fill(saver, 60, ns=namespace)
    return saver


@pytest.fixture
def target():
    with InMemorySaver(max_per_thread=None) as saver:
        yield saver


def forget(end, drops):
    """Have the store drop staged pages, if *drops* returns True for a page and the number dropped so far."""
    inner = end.backend
    dropped = []

    class Forgetting:
        def execute(self, request):
            if isinstance(request, StageThread) and drops(request.page, len(dropped)):
                dropped.append(request)
                return None
            return inner.execute(request)

    end.backend = Forgetting()
    return dropped


def moved(end, target):
    return move_threads(end, store_of(target), ["thread"], ignore)


def append(saver):
    """Another step in each namespace, with writes for the step before and for the step itself."""

    def happens(number):
        for namespace in NAMESPACES:
            newest = saver.get_tuple(at(ns=namespace))
            saver.put_writes(newest.config, [("t", "c", number)], "")
            config = saver.put(newest.config, state(f"new{number}"), {})
            saver.put_writes(config, [("t", "c", number)], "")

    return happens


def test_a_thread_that_rests_for_a_moment_is_moved_as_it_is_then(source, target):
    end = store_of(source)
    meddler = meddle(end, ScanThread, append(source), times=2)
    assert moved(end, target).outcomes == {MoveOutcome.MOVED: 1}
    assert meddler.asked == 2
    for namespace in NAMESPACES:
        assert target.list(at(ns=namespace), limit=None) == source.list(at(ns=namespace), limit=None)


def test_a_thread_that_never_rests_is_moved_as_it_was_at_one_moment(source, target):
    end = store_of(source)
    meddler = meddle(end, ScanThread, append(source))
    assert moved(end, target).outcomes == {MoveOutcome.MOVED: 1}
    assert meddler.asked > 10
    ends = []
    for namespace in NAMESPACES:
        found = target.list(at(ns=namespace), limit=None)
        there = source.list(at(ns=namespace), limit=None)
        assert ids(found) == ids(there)[-len(found) :]
        assert 60 < len(found) < len(there)
        ends.append(found[0].checkpoint["id"])
    assert len(set(ends)) == 1, "the namespaces are of one moment"
    # No write is stored without its checkpoint.
    for number in range(meddler.asked + 1):
        if f"new{number}" not in ids(target.list(at(), limit=None)):
            assert target.get_pending_writes(at(id=f"new{number}")) == []


def test_a_thread_that_keeps_replacing_checkpoints_is_reported_and_not_half_moved(source, target):
    end = store_of(source)
    meddle(end, ScanThread, lambda number: source.put(at(), state("c0", n=number), {}))
    report = moved(end, target)
    assert report.outcomes == {MoveOutcome.BUSY: 1}
    assert "changes faster than it is read" in report.problems[0].message
    assert thread_ids(target) == []


def test_a_thread_that_is_deleted_while_it_is_read_is_missing(source, target):
    end = store_of(source)
    meddle(end, ScanThread, lambda number: number == 2 and source.delete_thread("thread"))
    assert moved(end, target).outcomes == {MoveOutcome.MISSING: 1}
    assert thread_ids(target) == []


def test_a_thread_that_is_deleted_and_started_again_while_it_is_read_is_one_or_the_other(source, target):
    def happens(number):
        if number == 3:
            source.delete_thread("thread")
            fill(source, 2, start=500)

    end = store_of(source)
    meddle(end, ScanThread, happens)
    assert moved(end, target).outcomes == {MoveOutcome.MOVED: 1}
    assert ids(target.list(at())) == ["c501", "c500"]


def test_pruning_while_it_is_read_leaves_no_hole(source, target):
    end = store_of(source)
    meddle(end, ScanThread, lambda number: number == 3 and source.prune("thread", 10))
    assert moved(end, target).outcomes == {MoveOutcome.MOVED: 1}
    for namespace in NAMESPACES:
        assert target.list(at(ns=namespace), limit=None) == source.list(at(ns=namespace), limit=None)


def test_threads_that_are_written_while_they_are_listed_are_not_missed(store, target, monkeypatch):
    monkeypatch.setattr("zerograph_redis.tools.transfer.reading.PAGE", 5)
    source = store.open()
    for number in range(40):
        fill(source, 1, f"t{number:02}")
    end = store_of(source)
    # Threads that are still to be listed move to the front, which was listed already.
    meddle(end, ListThreads, lambda asked: asked < 6 and fill(source, 1, f"t{asked:02}", start=asked))
    assert sorted(list_source(end)) == [f"t{number:02}" for number in range(40)]


def test_a_thread_that_a_worker_starts_at_the_destination_meanwhile_is_a_conflict(source, target):
    end = store_of(target)
    meddle(end, PublishThread, lambda _: fill(target, 1, start=99), times=1)
    report = migrate(source, end)
    assert report.outcomes == {MoveOutcome.CONFLICT: 1}
    assert ids(target.list(at())) == ["c99"]


def test_a_thread_that_a_worker_continues_as_soon_as_it_is_stored_was_moved(source, target):
    end = store_of(target)
    published = []
    meddle(end, PublishThread, published.append)
    meddle(end, DescribeThreads, lambda _: published and fill(target, 1, start=99))
    report = migrate(source, end)
    assert report.outcomes == {MoveOutcome.CONTINUED: 1}
    assert report.equal
    assert report.target.checkpoints == 180


def test_a_thread_that_is_deleted_as_soon_as_it_is_stored_is_missing(source, target):
    end = store_of(target)
    published = []
    meddle(end, PublishThread, published.append)
    meddle(end, DescribeThreads, lambda _: published and target.delete_thread("thread"))
    assert migrate(source, end).outcomes == {MoveOutcome.MISSING: 1}


def test_a_thread_that_is_not_read_back_as_it_was_stored_is_a_mismatch(source, target):
    end = store_of(target)
    inner = end.backend

    class Losing:
        def execute(self, request):
            if isinstance(request, StageThread) and request.page.rows and request.page.rows[0][1].record is not None:
                request.page.rows[0] = request.page.rows[1]
            if isinstance(request, PublishThread):
                request.checkpoints = 176
            return inner.execute(request)

    end.backend = Losing()
    report = migrate(source, end)
    assert report.outcomes == {MoveOutcome.MISMATCH: 1}
    assert not report.equal


def test_pages_that_the_store_drops_are_staged_again(source, target):
    end = store_of(target)
    dropped = forget(end, lambda _, dropped: dropped < 2)
    assert migrate(source, end).outcomes == {MoveOutcome.MOVED: 1}
    assert len(dropped) == 2


@pytest.mark.parametrize("kind", ["redis-sync", "sqlite-sync"])
def test_writes_that_the_store_drops_are_staged_again(request, target, kind):
    store = make_store(kind, request)
    source, target = target, store.open()
    config = source.put(at(), state("c0"), {})
    source.put_writes(config, [("t", "c", 1)], "")
    end = store_of(target)
    dropped = forget(end, lambda page, dropped: not dropped and page.rows[0][1].record is None)
    assert migrate(source, end).outcomes == {MoveOutcome.MOVED: 1}
    assert dropped
    assert target.get_pending_writes(at(id="c0")) == [("t", "c", 1)]
    store.close()
