"""A copy of a thread that is written and pruned while it is read."""

import fakeredis
import pytest

from zerograph_redis import BackendUnavailableError, InMemorySaver, RedisSaver
from zerograph_redis.core.requests import ScanThread

NAMESPACES = 120


def at(thread, number):
    return {"configurable": {"thread_id": thread, "checkpoint_ns": f"n{number}"}}


def make(kind):
    if kind == "memory":
        return InMemorySaver(max_per_thread=1)
    return RedisSaver(fakeredis.FakeRedis(), keep_last=1)


class Busy:
    """Answers as a saver's backend does, and lets another worker write before each page that is read."""

    def __init__(self, saver, times):
        self.saver, self.inner, self.times, self.pages = saver, saver.store.backend, times, 0
        saver.store.backend = self

    def execute(self, request):
        if isinstance(request, ScanThread) and self.pages < self.times:
            self.pages += 1
            self.saver.store.backend = self.inner
            for number in range(0, NAMESPACES, 7):
                self.saver.put(at("source", number), {"id": f"b{self.pages}", "channel_values": {}}, {})
            self.saver.store.backend = self
        return self.inner.execute(request)


@pytest.fixture(params=["memory", "fakeredis"])
def saver(request):
    with make(request.param) as saver:
        for number in range(NAMESPACES):
            saver.put(at("source", number), {"id": "a", "channel_values": {}}, {})
        yield saver


def test_a_copy_has_every_namespace_although_checkpoints_of_the_source_were_pruned_meanwhile(saver):
    busy = Busy(saver, times=4)
    assert saver.copy_thread("source", "target") == NAMESPACES
    assert busy.pages == 4
    saver.store.backend = busy.inner
    assert all(saver.get_tuple(at("target", number)) for number in range(NAMESPACES))


def test_a_source_that_changes_all_the_time_is_an_error_and_no_half_copy(saver):
    busy = Busy(saver, times=10**6)
    with pytest.raises(BackendUnavailableError, match="'source' cannot be copied now"):
        saver.copy_thread("source", "target")
    saver.store.backend = busy.inner
    assert saver.list_threads(before="source") == []
    assert [info.thread_id for info in saver.list_threads()] == ["source"]
