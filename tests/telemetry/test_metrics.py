"""What the metrics of savers count, and by which attributes."""

from __future__ import annotations

import threading

import pytest
from support.calls import CALLS
from support.data import at, fill, state
from support.polling import until
from support.stores import make_store

from zerograph_redis import LeaseHeldError, SerializationError

MESSAGES = [f"message {number} " + "x" * 100 for number in range(20)]
OF_A_STORE = {"db.system.name", "db.namespace", "server.address", "server.port", "db.operation.name"}


def test_each_operation_is_in_the_histogram_of_durations(saver, exported):
    fill(saver, 3)
    saver.get(at())
    (puts,) = exported.points("db.client.operation.duration", db__operation__name="put")
    (gets,) = exported.points("db.client.operation.duration", db__operation__name="get")
    assert (puts.count, gets.count) == (3, 1)
    assert 0 < puts.min <= puts.max < 60
    assert exported.metrics()["db.client.operation.duration"].unit == "s"
    assert {0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10} < set(puts.explicit_bounds)


def test_errors_are_counted_by_class(saver, exported):
    other = saver.stranger()
    for _ in range(2):
        with pytest.raises(SerializationError):
            saver.put(at(), state("c0", value=object()), {})
    with saver.lease("thread"), pytest.raises(LeaseHeldError):
        other.put(at(), state("c0"), {})
    name = "zerograph_redis.errors"
    assert exported.total(name, error__type="zerograph_redis.errors.SerializationError") == 2
    assert exported.total(name, error__type="zerograph_redis.errors.LeaseHeldError", db__operation__name="put") == 1
    assert exported.total(name) == 3
    failed = exported.points("db.client.operation.duration", error__type="zerograph_redis.errors.SerializationError")
    assert [point.count for point in failed] == [2]


def test_bytes_are_those_of_the_spans(saver, exported):
    fill(saver, 3)
    saver.list(at())
    saver.get_tuple(at())
    for direction, attribute in (("transmit", "sent"), ("receive", "received")):
        counted = exported.total("zerograph_redis.io", network__io__direction=direction)
        assert counted == sum(span.attributes[f"zerograph_redis.bytes.{attribute}"] for span in exported.spans()) > 0


def test_the_ratio_of_patches_is_measured_by_kind_of_put(saver, exported):
    for number in range(5):
        saver.put(at(), state(f"c{number}", messages=[*MESSAGES, number]), {})
    (whole,) = exported.points("zerograph_redis.put.patch_ratio", zerograph_redis__put__kind="whole")
    (patches,) = exported.points("zerograph_redis.put.patch_ratio", zerograph_redis__put__kind="patch")
    assert (whole.count, whole.sum, patches.count) == (1, 1.0, 4)
    assert 0 < patches.max < 0.2


def test_lookups_of_known_bytes_are_counted_by_result(shared_store, exported):
    saver = shared_store.open(telemetry=exported.telemetry)
    other = shared_store.open(telemetry=exported.telemetry)
    saver.put(at(), state("c0", messages=MESSAGES), {})
    for _ in range(3):
        other.get_tuple(at())
    other.list(at())
    saver.put(at(), state("c1", messages=[*MESSAGES, "more"]), {})
    other.get_tuple(at())
    found = {
        result: exported.total("zerograph_redis.cache.lookups", zerograph_redis__cache__result=result)
        for result in ("hit", "partial", "miss")
    }
    assert found == {"hit": 3, "partial": 1, "miss": 1}


@pytest.mark.parametrize("name", ["sqlite-sync", "redis-sync", "cluster-sync"])
def test_waiting_for_a_lease_is_measured(name, request, exported):
    store = make_store(name, request)
    saver = store.open(telemetry=exported.telemetry)
    taken, waited = threading.Event(), threading.Event()

    def hold():
        with saver.stranger().lease("thread"):
            taken.set()
            waited.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait(20)
    ending = threading.Timer(0.2, waited.set)
    ending.start()
    with saver.lease("thread", wait=20):
        pass
    holder.join()
    store.close()
    (point,) = exported.points("zerograph_redis.lease.wait.duration")
    assert point.count == 1
    assert 0.05 < point.sum < 20
    assert "error.type" not in point.attributes
    free, held = (span.attributes for span in exported.spans("take_lease"))
    assert "zerograph_redis.lease.waited" not in free
    assert held["zerograph_redis.lease.waited"] == pytest.approx(point.sum)
    assert held["zerograph_redis.requests"] >= 2


def test_waiting_for_a_lease_that_is_not_taken_is_measured_as_an_error(saver, exported):
    other = saver.stranger()
    with saver.lease("thread"):
        with pytest.raises(LeaseHeldError), other.lease("thread", wait=0.1):
            pass
        with pytest.raises(LeaseHeldError), other.lease("thread"):
            pass
    (point,) = exported.points("zerograph_redis.lease.wait.duration")
    assert point.count == 1
    assert 0.05 < point.sum < 20
    assert point.attributes["error.type"] == "zerograph_redis.errors.LeaseHeldError"


def test_no_attribute_of_a_metric_is_an_id(saver, exported):
    saver.put(at("thread", ns="sub"), state("c0", messages=MESSAGES), {})
    fill(saver, 3)
    fill(saver, 1, thread="source")
    for call in CALLS.values():
        call(saver)
    with saver.lease("thread"):
        pass
    with pytest.raises(SerializationError):
        saver.put(at(), state("c0", value=object()), {})
    metrics = exported.metrics()
    assert {*metrics} >= {
        "db.client.operation.duration",
        "zerograph_redis.errors",
        "zerograph_redis.io",
        "zerograph_redis.put.patch_ratio",
    }
    allowed = OF_A_STORE | {
        "error.type", "network.io.direction", "zerograph_redis.put.kind", "zerograph_redis.cache.result"
    }  # fmt: skip
    assert {
        name for metric in metrics.values() for point in metric.data.data_points for name in point.attributes
    } <= allowed


def test_the_renewals_of_a_lease_are_operations_too(saver, exported):
    with saver.lease("thread", ttl=0.9):
        until(lambda: exported.spans("renew_lease"))
    assert exported.points("db.client.operation.duration", db__operation__name="renew_lease")
