"""Lease blocks that lose connections: held once, given back, and no thread is held for longer than its ttl."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest
from support.data import at, ids, state
from support.polling import until
from support.proxy import AFTER, PATIENCE, WAYS, Proxy

from zerograph_redis import BackendUnavailableError, LeaseHeldError, RedisSaver

TTL = 30.0  # seconds, of which no block takes a third, after which it would renew its lease
DONE = WAYS[WAYS.index(AFTER) :]
"""The ways in which the server has done the request before the connection is lost."""


def lease_of(rig, prefix):
    """The lease that the server knows: token, deadline, attempt, owner."""
    return rig.client.hget(f"{prefix}:{{thread}}:thread", "lease").split(b" ")


def held_for(rig, prefix):
    """For how many seconds another worker is kept from the thread; 0 if it gets it at once."""
    try:
        with RedisSaver(rig.client, prefix=prefix).lease("thread"):
            return 0
    except LeaseHeldError as error:
        return error.seconds_left


def greet(rig, saver):
    """Have the saver check the server, and the server load the scripts, so that only the block's requests follow."""
    until(lambda: succeeds(lambda: saver.get(at())))
    rig.load_scripts()


def succeeds(call):
    with suppress(BackendUnavailableError):  # where the machine is slower than the saver waits
        return call()


@pytest.mark.parametrize("way", WAYS)
def test_with_retries_a_block_is_held_once_and_given_back_whichever_request_is_lost(rig, opened, way):
    for number in (1, 2, 3):
        prefix = rig.seeded("small")
        saver = opened(prefix, patience=PATIENCE[way])
        greet(rig, saver)
        rig.proxy.arm(number, way)
        with saver.lease("thread", ttl=TTL) as lease:
            taken = lease_of(rig, prefix)
            assert int(taken[0]) == lease.token
            saver.put(lease.config(checkpoint_id="c2"), state("new"), {})
            assert lease_of(rig, prefix) == taken
        assert rig.proxy.faults[way] == 1
        # The token that was given back is the one that was given out, so there was no second.
        assert [*lease_of(rig, prefix)[:1], *lease_of(rig, prefix)[2:]] == [taken[0], *taken[2:]]
        assert held_for(rig, prefix) == 0
        assert ids(saver.list(at())) == ["new", "c2", "c1", "c0"]


def without_retries(rig, opened, number, way):
    """Lose one request of a block: its prefix, its saver, and the error that it ended with."""
    prefix = rig.seeded("small")
    saver = opened(prefix, retries=False, patience=max(PATIENCE[way], 1.0))
    greet(rig, saver)
    rig.proxy.arm(number, way)
    error = None
    try:
        with saver.lease("thread", ttl=TTL) as lease:
            saver.put(lease.config(checkpoint_id="c2"), state("new"), {})
    except BackendUnavailableError as raised:
        error = raised
    assert rig.proxy.faults[way] == 1
    until(lambda: "zerograph-redis-lease" not in {each.name for each in threading.enumerate()})
    # The put is followed by the release; a take of which nothing is known, too.
    assert rig.proxy.requests == max(number, 2 if number == 1 else 3)
    rig.proxy.calm()
    return prefix, saver, error


@pytest.mark.parametrize("way", WAYS)
def test_without_retries_a_lease_that_may_have_been_taken_is_given_back(rig, opened, way):
    prefix, saver, error = without_retries(rig, opened, 1, way)
    assert "thread 'thread'" in str(error)
    assert ids(saver.list(at())) == ["c2", "c1", "c0"]
    assert held_for(rig, prefix) == 0


@pytest.mark.parametrize("way", WAYS)
def test_without_retries_a_put_that_fails_ends_the_block_and_its_lease(rig, opened, way):
    prefix, saver, error = without_retries(rig, opened, 2, way)
    assert "(storing checkpoint 'new' of thread 'thread')" in str(error)
    assert ids(saver.list(at())) == [*(["new"] if way in DONE else []), "c2", "c1", "c0"]
    assert held_for(rig, prefix) == 0


@pytest.mark.parametrize("way", WAYS)
def test_without_retries_a_lease_that_could_not_be_given_back_expires(rig, opened, way, caplog):
    prefix, saver, error = without_retries(rig, opened, 3, way)
    assert error is None
    assert "the lease could not be released" in caplog.text
    assert ids(saver.list(at())) == ["new", "c2", "c1", "c0"]
    assert held_for(rig, prefix) <= (0 if way in DONE else TTL)


@pytest.mark.parametrize("retries", [True, False], ids=["with-retries", "without-retries"])
def test_a_lease_is_kept_though_a_renewal_is_lost(rig, opening, retries):
    ready = threading.Barrier(len(WAYS))

    def hold(proxy, way):
        prefix = rig.seeded("small")
        url = f"redis://127.0.0.1:{proxy.port}/0?socket_timeout={PATIENCE[way]}"
        saver = opening(url, retries=retries, prefix=prefix)
        ready.wait()
        with saver.lease("thread", ttl=TTL) as lease:
            taken = lease_of(rig, prefix)

            def renewed():
                lease._hold._awake.put(None)  # renews now, not after a third of the ttl
                return lease_of(rig, prefix)[1] > taken[1]

            proxy.arm(1, way)
            # The first renewal is lost, a later one is not.
            until(renewed, seconds=60, pause=0.05)
            assert proxy.faults[way] == 1
            assert held_for(rig, prefix) > 0
            assert not lease.lost
            saver.put(lease.config(checkpoint_id="c2"), state("new"), {})
        assert ids(saver.list(at())) == ["new", "c2", "c1", "c0"]
        return held_for(rig, prefix)

    with ExitStack() as stack, ThreadPoolExecutor(len(WAYS)) as pool:
        proxies = [stack.enter_context(Proxy(rig.server.port)) for _ in WAYS]
        assert list(pool.map(hold, proxies, WAYS)) == [0] * len(WAYS)
