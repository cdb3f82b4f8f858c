"""Servers that stand still for longer than clients wait, and then do all that was asked of them meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait

import pytest
import redis
from support.data import at, ids, state
from support.operations import CASES, Case, prepared, reference
from support.polling import until
from support.proxy import DELAY
from support.servers import NO_RETRY

from zerograph_redis import BackendUnavailableError, RedisSaver


def test_a_slow_server_is_an_error_in_time_and_none_with_retries(rig):
    prefix = rig.seeded("small")
    url = f"redis://127.0.0.1:{rig.proxy.port}/0?socket_timeout=0.3"
    client = redis.Redis.from_url(url, retry=NO_RETRY)
    rig.proxy.arm(1, DELAY)
    with pytest.raises(BackendUnavailableError) as caught:
        RedisSaver(client, prefix=prefix).get_tuple(at())
    assert isinstance(caught.value.__cause__, redis.TimeoutError)
    # The late reply is dropped: the next request gets its own.
    assert [each.thread_id for each in RedisSaver(client, prefix=prefix).list_threads()] == ["other", "thread"]
    client.close()


def in_line(*calls):
    """Call one after the other; what was asked for the first, and given up, must not be done after the second."""
    return Case(lambda saver: [call(saver) for call in calls])


ALL = {
    **CASES,
    "delete, put": in_line(
        lambda saver: saver.delete_thread("thread"),
        lambda saver: saver.put(at(), state("again"), {}),
        lambda saver: ids(saver.list(at())),
    ),
    "put, put": in_line(
        lambda saver: saver.put(at(), state("c2", turn=1), {}),
        lambda saver: saver.put(at(), state("c2", turn=2), {}),
        lambda saver: saver.get(at())["channel_values"],
    ),
    "prune, put": in_line(
        lambda saver: saver.prune("thread", 0),
        lambda saver: saver.put(at(), state("again"), {}),
        lambda saver: ids(saver.list(at())),
    ),
}


@pytest.fixture
def stalled(rig, opened):
    """Make every call, each by another worker, while the server stands still; return what each got and left."""

    def call(*, retries, woken):
        references = {name: reference(rig, opened, case) for name, case in ALL.items()}
        workers = {name: prepared(rig, opened, case, retries=retries, patience=0.3) for name, case in ALL.items()}
        with ThreadPoolExecutor(len(ALL)) as pool:
            with rig.server.standing_still():
                opened_before = rig.proxy.connections
                calls = {name: pool.submit(case.call, workers[name][1]) for name, case in ALL.items()}
                until(lambda: woken(calls, rig.proxy.connections - opened_before))
            wait(calls.values())
        # The server answers what arrived meanwhile before it answers this.
        rig.client.ping()
        return {name: (calls[name], rig.contents(workers[name][0]), *references[name]) for name in ALL}

    return call


def test_with_retries_workers_wait_for_a_server_that_stands_still_and_all_is_done_once(stalled):
    # Each has given up its connection, and asks again on another.
    outcome = stalled(retries=True, woken=lambda calls, connections: connections >= len(ALL))
    for name, (called, found, answer, _, after, _) in outcome.items():
        assert called.result() == answer, name
        assert found == after, name


def test_without_retries_a_server_that_stands_still_is_an_error(stalled):
    outcome = stalled(retries=False, woken=lambda calls, _: all(each.done() for each in calls.values()))
    for name, (called, found, _, before, after, count) in outcome.items():
        assert isinstance(called.exception(), BackendUnavailableError), name
        assert isinstance(called.exception().__cause__, redis.TimeoutError), name
        # What one request does is done in the end, although its worker gave up.
        if name in CASES and CASES[name].whole:
            assert found == (after if count == 1 else before), name
