"""What happens to threads is found by polling."""

from __future__ import annotations

import pytest
from support import graphs
from support.data import at, fill, state
from support.polling import until
from zerograph import Command

from zerograph_redis.core.drive import run
from zerograph_redis.core.requests import GetCheckpoint, ListCheckpoints
from zerograph_redis.tools.inspect import watching
from zerograph_redis.tools.inspect.watching import Watch


class Watcher:
    """A watch, the requests that it makes, and how many bytes of state logs it fetched."""

    def __init__(self, saver, thread=None):
        self.saver = saver
        self.requests = []
        self.fetched = 0
        self.watch = Watch(saver.store.settings, thread)
        assert self.poll() == []

    def execute(self, request):
        self.requests.append(request)
        reply = self.saver.store.backend.execute(request)
        self.fetched += sum(len(each.data) for each in getattr(reply, "ranges", ()))
        return reply

    def poll(self):
        events = run(self.watch.poll(), self)
        return [
            (each.kind, each.thread, each.lease and each.lease.owner)
            if each.kind in {"lease", "removed"}
            else (each.kind, each.thread, each.entry.namespace, each.entry.checkpoint_id)
            for each in events
        ]


@pytest.fixture(params=[None, "thread"])
def watched(request):
    """All threads, or one."""
    return request.param


def test_new_checkpoints_are_reported_once_in_the_order_stored(store, watched):
    saver = store.open_bare()
    fill(saver, 2)
    watcher = Watcher(saver, watched)
    assert watcher.poll() == []
    fill(saver, 3, start=2)
    saver.put(at(ns="inner"), state("i0"), {})
    assert watcher.poll() == [
        ("checkpoint", "thread", "", "c2"),
        ("checkpoint", "thread", "", "c3"),
        ("checkpoint", "thread", "", "c4"),
        ("checkpoint", "thread", "inner", "i0"),
    ]
    assert watcher.poll() == []


def test_changes_are_relative_to_the_checkpoint_before(store, watched):
    saver = store.open_bare()
    saver.put(at(), state("a", log=["x" * 600]), {})
    watcher = Watcher(saver, watched)
    saver.put(at(id="a"), state("b", log=["x" * 600, "y"]), {})
    (event,) = run(watcher.watch.poll(), saver.store.backend)
    assert [tuple(each) for each in event.entry.changes] == [("log", "appended", 1)]


def test_a_new_thread_is_reported_from_its_first_checkpoint(store, watched):
    saver = store.open_bare()
    fill(saver, 2, "other")
    watcher = Watcher(saver, watched)
    fill(saver, 2)
    assert watcher.poll() == [("checkpoint", "thread", "", "c0"), ("checkpoint", "thread", "", "c1")]


def test_a_watch_of_one_thread_reports_no_other(store):
    saver = store.open_bare()
    watcher = Watcher(saver, "thread")
    fill(saver, 2, "other")
    assert watcher.poll() == []


def test_an_interrupt_is_reported_after_its_checkpoint(store, watched):
    saver = store.open_bare()
    fill(saver, 1, "other")
    watcher = Watcher(saver, watched)
    app = graphs.approval(checkpointer=saver)
    app.invoke({"log": []}, at())
    waiting = saver.get_tuple(at()).checkpoint["id"]
    seen = watcher.poll()
    assert [each[0] for each in seen] == ["checkpoint"] * 3 + ["interrupt"]
    assert seen[-1] == ("interrupt", "thread", "", waiting)
    app.invoke(Command(resume="yes"), at())
    assert [each[0] for each in watcher.poll()] == ["checkpoint"] * 3


def test_an_interrupt_stored_after_its_checkpoint_is_reported(store, watched):
    saver = store.open_bare()
    fill(saver, 1)
    watcher = Watcher(saver, watched)
    fill(saver, 1, start=1)
    assert watcher.poll() == [("checkpoint", "thread", "", "c1")]
    saver.put_writes(at(id="c1"), [("t", "__interrupt__", "sure?")], "")
    assert watcher.poll() == [("interrupt", "thread", "", "c1")]
    saver.put_writes(at(id="c1"), [("t", "channel", 1)], "")
    assert watcher.poll() == []


def test_a_lease_is_reported_when_it_is_taken_and_when_it_ends(store, watched):
    saver = store.open_bare()
    fill(saver, 1)
    watcher = Watcher(saver, watched)
    with saver.lease("thread", ttl=60, owner="one"):
        assert watcher.poll() == [("lease", "thread", "one")]
        assert watcher.poll() == []
        saver.break_lease("thread")
        assert watcher.poll() == [("lease", "thread", None)]
        with saver.lease("thread", ttl=60, owner="two"):
            assert watcher.poll() == [("lease", "thread", "two")]
    assert watcher.poll() == [("lease", "thread", None)]


def test_the_lease_of_a_thread_that_is_not_stored_yet_is_reported(store):
    saver = store.open_bare()
    watcher = Watcher(saver, "thread")
    with saver.lease("thread", ttl=60, owner="one"):
        assert watcher.poll() == [("lease", "thread", "one")]
        fill(saver, 1)
        assert watcher.poll() == [("checkpoint", "thread", "", "c0")]
    assert watcher.poll() == [("lease", "thread", None)]


def test_a_deleted_thread_is_reported_and_may_be_stored_again(store, watched):
    saver = store.open_bare()
    fill(saver, 1)
    watcher = Watcher(saver, watched)
    saver.delete_thread("thread")
    assert watcher.poll() == [("removed", "thread", None)]
    assert watcher.poll() == []
    fill(saver, 1)
    assert watcher.poll() == [("checkpoint", "thread", "", "c0")]


def test_an_expired_thread_is_reported_as_removed(store, watched):
    saver = store.open_bare()
    saver.put(at(ttl=0.3), state("c0"), {})
    watcher = Watcher(saver, watched)
    seen = []
    until(lambda: seen.extend(watcher.poll()) or seen)
    assert seen == [("removed", "thread", None)]


def test_a_poll_of_a_quiet_store_makes_two_requests_and_reads_no_checkpoint(store):
    saver = store.open_bare()
    for number in range(120):
        fill(saver, 1, f"thread-{number}")
    watcher = Watcher(saver)
    watcher.requests.clear()
    watcher.poll()
    assert len(watcher.requests) == 2
    assert not any(isinstance(each, GetCheckpoint | ListCheckpoints) for each in watcher.requests)


def test_only_the_new_checkpoints_of_a_long_thread_are_read(store):
    saver = store.open_bare()
    fill(saver, 60)
    watcher = Watcher(saver)
    watcher.requests.clear()
    fill(saver, 1, start=60)
    assert watcher.poll() == [("checkpoint", "thread", "", "c60")]
    assert sum(each.limit for each in watcher.requests if isinstance(each, ListCheckpoints)) <= 8


def test_only_the_new_bytes_of_a_state_log_are_read(store):
    saver = store.open_bare()
    config, messages = at(), []
    for number in range(20):
        messages.append(f"{number:04}" * 250)
        config = saver.put(config, state(f"c{number}", messages=messages), {})
    watcher = Watcher(saver)
    for number in range(20, 23):
        messages.append(f"{number:04}" * 250)
        config = saver.put(config, state(f"c{number}", messages=messages), {})
        watcher.fetched = 0
        assert watcher.poll() == [("checkpoint", "thread", "", f"c{number}")]
    assert 1000 < watcher.fetched < 3000


def test_more_threads_than_a_page_are_all_reported(store, monkeypatch):
    monkeypatch.setattr(watching, "_PAGE", 3)
    monkeypatch.setattr(watching, "WATCHED", 4)
    monkeypatch.setattr(watching, "REMEMBERED", 6)
    saver = store.open_bare()
    fill(saver, 1, "old")
    watcher = Watcher(saver)
    for number in range(10):
        fill(saver, 1, f"t{number}")
    assert [each[:2] for each in watcher.poll()] == [("checkpoint", f"t{number}") for number in range(10)]
    for number in range(10):
        fill(saver, 1, f"t{number}", start=1)
    assert sorted(each[1] for each in watcher.poll()) == [f"t{number}" for number in range(10)]
    assert watcher.poll() == []


def test_an_empty_store_is_watched_from_its_beginning(store):
    saver = store.open_bare()
    watcher = Watcher(saver)
    fill(saver, 1)
    assert watcher.poll() == [("checkpoint", "thread", "", "c0")]
