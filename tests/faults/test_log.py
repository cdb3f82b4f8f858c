"""What the log reports about requests that are tried again, and about leases."""

from __future__ import annotations

import logging

import pytest
from support.data import at, state
from support.polling import until
from support.proxy import AFTER, BEFORE, PATIENCE, WAYS

from zerograph_redis import BackendUnavailableError, RedisSaver
from zerograph_redis.core.requests import LeaseThread


@pytest.mark.parametrize("way", WAYS)
def test_a_repeated_request_is_logged_with_its_thread(opened, rig, log, way):
    saver = opened(rig.seeded("small"), patience=max(PATIENCE[way], 1.0))
    saver.get(at())
    assert log == []
    rig.proxy.arm(1, way)
    saver.put(at(id="c2"), state("new"), {})
    assert rig.proxy.faults[way] == 1
    (record,) = log
    assert record.levelno == logging.WARNING
    assert record.name == "zerograph_redis.core.refusals"
    assert record.getMessage().startswith("storing checkpoint 'new' of thread 'thread' failed and is tried again")
    assert record.thread_id == "thread"


def test_an_outage_warns_once_for_each_request(opened, rig, log):
    saver = opened(rig.seeded("small"), retries=True)
    saver.get(at())
    rig.proxy.disturb(1.0, [BEFORE], seed=1)
    with pytest.raises(BackendUnavailableError):
        saver.get(at())
    first, *others = log
    assert len(others) >= 5
    assert first.levelno == logging.WARNING
    assert {record.levelno for record in others} == {logging.DEBUG}
    assert {record.thread_id for record in log} == {"thread"}


def test_a_request_of_no_thread_is_logged_without_one(opened, rig, log):
    saver = opened(rig.seeded("small"), retries=True)
    saver.get(at())
    rig.proxy.arm(1, BEFORE)
    saver.list_threads()
    (record,) = log
    assert record.thread_id is None


def test_a_lease_that_cannot_be_renewed_or_released_is_logged_with_its_thread(opened, rig, log):
    saver = opened(rig.seeded("small"), retries=False)
    with saver.lease("thread", ttl=60) as lease:
        rig.proxy.disturb(1.0, [AFTER], seed=1)
        lease._hold._awake.put(None)  # renews without waiting for a third of the ttl
        until(lambda: log)
    assert {record.levelno for record in log} == {logging.WARNING}
    assert {record.name for record in log} == {"zerograph_redis.savers.leases"}
    assert {record.thread_id for record in log} == {"thread"}
    assert "could not be renewed" in log[0].getMessage()
    assert "will expire" in log[-1].getMessage()


def test_a_lost_lease_is_logged_with_its_thread(rig, log):
    with (
        RedisSaver.from_url(rig.server.url, prefix=rig.seeded("small")) as saver,
        saver.lease("thread", ttl=0.3) as lease,
    ):
        saver.store.backend.execute(LeaseThread("thread", "release", lease.token, "-", "", 0))
        until(lambda: lease.lost)
    (record,) = log
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "the lease expired or was broken"
    assert record.thread_id == "thread"
