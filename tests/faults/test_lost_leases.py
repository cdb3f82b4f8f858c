"""Lease blocks that lose connections: one execution, and no thread is held for longer than its ttl."""

from __future__ import annotations

from support.data import at, ids, state
from support.proxy import AFTER, WAYS

from zerograph_redis import RedisSaver


def test_a_lease_block_is_held_once_and_given_back_whichever_request_is_lost(rig):
    for way in WAYS:
        for number in (1, 2, 3):
            prefix = rig.seeded("small")
            with RedisSaver.from_url(
                f"redis://127.0.0.1:{rig.proxy.port}/0?socket_timeout=0.3", prefix=prefix
            ) as saver:
                rig.proxy.arm(number, way)
                with saver.lease("thread", ttl=30) as lease:
                    saver.put(lease.config(checkpoint_id="c2"), state("new"), {})
                assert rig.proxy.faults[way] == 1
                assert ids(saver.list(at())) == ["new", "c2", "c1", "c0"]
                with saver.lease("thread", ttl=30) as later:
                    assert later.token > 0


def test_a_lease_is_kept_while_the_replies_to_its_renewals_are_lost(rig):
    prefix = rig.seeded("small")
    with RedisSaver.from_url(f"redis://127.0.0.1:{rig.proxy.port}/0", prefix=prefix) as saver:
        with saver.lease("thread", ttl=3) as lease:
            rig.proxy.watch(None)
            for _ in range(2):
                rig.proxy.arm(1, AFTER)
                while rig.proxy.requests < 2:
                    assert not lease._ended.wait(0.01)
            saver.put(lease.config(), state("new"), {})
        assert saver.get(at())["id"] == "new"
