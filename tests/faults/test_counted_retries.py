"""What telemetry counts of requests that are tried again."""

from __future__ import annotations

import pytest
import redis
from redis.backoff import NoBackoff
from redis.exceptions import ClusterDownError
from redis.retry import Retry
from support.data import at, state
from support.exporters import Exported
from support.faces import AsyncFace, SyncFace
from support.proxy import BEFORE, PATIENCE, WAYS
from support.stores import make_store

from zerograph_redis import BackendUnavailableError, RedisSaver
from zerograph_redis.backends.redis import exchange


@pytest.fixture
def exported():
    made = Exported()
    yield made
    made.close()


@pytest.mark.parametrize("way", WAYS)
def test_a_repeated_request_is_counted(opened, rig, exported, way):
    saver = opened(rig.seeded("small"), patience=max(PATIENCE[way], 1.0), telemetry=exported.telemetry)
    saver.get(at())
    rig.proxy.arm(1, way)
    saver.put(at(id="c2"), state("new"), {})
    saver.get(at())
    assert rig.proxy.faults[way] == 1
    assert [span.attributes["zerograph_redis.retries"] for span in exported.spans()] == [0, 1, 0]
    assert exported.total("zerograph_redis.retries", db__operation__name="put") == 1
    assert exported.total("zerograph_redis.retries") == 1


def test_the_retries_of_an_outage_are_counted_with_its_error(opened, rig, exported):
    saver = opened(rig.seeded("small"), telemetry=exported.telemetry)
    saver.get(at())
    rig.proxy.disturb(1.0, [BEFORE], seed=1)
    with pytest.raises(BackendUnavailableError) as caught:
        saver.get(at())
    span = exported.spans()[-1]
    assert span.attributes["zerograph_redis.retries"] >= 5
    assert span.attributes["error.type"] == "zerograph_redis.errors.BackendUnavailableError"
    assert span.status.description == str(caught.value)


def test_what_a_client_of_ones_own_repeats_by_itself_is_not_seen(rig, exported):
    with redis.Redis(port=rig.proxy.port, retry=Retry(NoBackoff(), 3)) as client:
        saver = RedisSaver(client, prefix=rig.seeded("small"), telemetry=exported.telemetry)
        saver.get(at())
        rig.proxy.arm(1, BEFORE)
        saver.get(at())
        assert rig.proxy.faults[BEFORE] == 1
        rig.proxy.calm()
    assert [span.attributes["zerograph_redis.retries"] for span in exported.spans()] == [0, 0]


@pytest.mark.parametrize("face", ["sync", "async"])
def test_what_the_saver_repeats_on_a_cluster_is_counted_whosever_the_client_is(face, request, exported, monkeypatch):
    store = make_store(f"cluster-{face}", request)
    bare = store.open_bare(telemetry=exported.telemetry)
    saver = AsyncFace(bare, store.runner) if face == "async" else SyncFace(bare)
    saver.put(at(), state("c0"), {})
    left = [ClusterDownError("down"), ClusterDownError("down")]

    def pack(commands):
        if left:
            raise left.pop()
        return packed(commands)

    packed = exchange.packed
    with monkeypatch.context() as patch:
        patch.setattr(exchange, "packed", pack)
        saver.put(at(), state("c1"), {})
    store.close()
    assert [span.attributes["zerograph_redis.retries"] for span in exported.spans("put")] == [0, 2]
