"""The span of each operation, on every backend and through both faces."""

from __future__ import annotations

import pytest
from opentelemetry.trace import SpanKind, StatusCode
from support.calls import CALLS
from support.data import at, fill, state
from support.exporters import Exported
from support.faces import METHODS

from zerograph_redis import ConfigError, LeaseHeldError, SerializationError

MESSAGES = [f"message {number} " + "x" * 100 for number in range(20)]


def test_every_method_makes_one_span_with_its_name_and_store(store, saver, exported):
    fill(saver, 3)
    fill(saver, 1, thread="source")
    exported.clear()
    for call in CALLS.values():
        call(saver)
    saver.break_lease("thread")
    with saver.lease("thread"):
        pass
    spans = exported.spans()
    assert [span.name.removeprefix("zerograph_redis.") for span in spans] == [
        *(name.split()[0] for name in CALLS), "break_lease", "take_lease", "end_lease"
    ]  # fmt: skip
    assert {*(name.split()[0] for name in CALLS), "break_lease", "flush", "close"} == set(METHODS)
    redis = store.kind in {"redis", "cluster"}
    for span in spans:
        assert span.attributes["db.operation.name"] == span.name.removeprefix("zerograph_redis.")
        assert span.attributes["db.system.name"] == ("redis" if redis else "sqlite")
        assert span.kind == (SpanKind.CLIENT if redis else SpanKind.INTERNAL)
        assert span.parent is None
        assert span.status.status_code == StatusCode.UNSET
        assert span.attributes["zerograph_redis.requests"] >= 1
        assert span.attributes["zerograph_redis.retries"] == 0
        assert span.instrumentation_scope.name == "zerograph_redis"
    of_one_thread = [
        span for span in spans if span.attributes["db.operation.name"] not in {"list_threads", "get_by_id"}
    ]
    assert {span.attributes["zerograph_redis.thread.id"] for span in of_one_thread} == {"thread", "source"}


def test_the_span_of_a_server_has_its_address(store, saver, exported):
    saver.get(at())
    attributes = exported.span("get").attributes
    if store.kind == "redis":
        assert attributes["server.address"] == "127.0.0.1"
        assert attributes["server.port"] == store.server.port
        assert attributes["db.namespace"] == "0"
    else:
        assert "server.address" not in attributes


def test_the_span_of_a_put_tells_what_was_sent_and_why(saver, exported):
    for number in range(3):
        saver.put(at(ns="sub"), state(f"c{number}", messages=[*MESSAGES, number]), {})
    first, _, last = (span.attributes for span in exported.spans("put"))
    assert first["zerograph_redis.thread.id"] == "thread"
    assert first["zerograph_redis.checkpoint.namespace"] == "sub"
    assert [first["zerograph_redis.checkpoint.id"], last["zerograph_redis.checkpoint.id"]] == ["c0", "c2"]
    assert [first["zerograph_redis.put.kind"], last["zerograph_redis.put.kind"]] == ["whole", "patch"]
    assert first["zerograph_redis.put.patch_ratio"] == 1.0
    assert 0 < last["zerograph_redis.put.patch_ratio"] < 0.2
    assert first["zerograph_redis.bytes.sent"] > 2000 > 10 * last["zerograph_redis.bytes.sent"] / 5 > 0
    assert first["zerograph_redis.bytes.received"] == 0
    assert not any(each["zerograph_redis.put.resent"] for each in (first, last))


def test_the_span_of_a_put_that_was_sent_again_whole_says_so(saver, exported):
    saver.put(at(), state("c0", messages=MESSAGES), {})
    saver.delete_thread("thread")
    saver.put(at(), state("c1", messages=MESSAGES), {})
    attributes = exported.spans("put")[1].attributes
    assert attributes["zerograph_redis.put.resent"] is True
    assert attributes["zerograph_redis.put.kind"] == "whole"
    assert attributes["zerograph_redis.put.patch_ratio"] == 1.0
    assert attributes["zerograph_redis.requests"] == 2


def test_the_span_of_a_read_tells_what_was_known(shared_store, exported):
    saver = shared_store.open(telemetry=exported.telemetry)
    other = shared_store.open(telemetry=exported.telemetry)
    saver.put(at(), state("c0", messages=MESSAGES), {})
    saver.get_tuple(at())
    other.get_tuple(at())
    other.get_tuple(at())
    saver.put(at(), state("c1", messages=[*MESSAGES, "more"]), {})
    other.get_tuple(at())
    own, unknown, known, grown = (span.attributes for span in exported.spans("get_tuple"))
    assert own["zerograph_redis.cache.result"] == "hit"
    assert unknown["zerograph_redis.cache.result"] == "miss"
    assert known["zerograph_redis.cache.result"] == "hit"
    assert grown["zerograph_redis.cache.result"] == "partial"
    assert unknown["zerograph_redis.bytes.received"] > 2000
    assert unknown["zerograph_redis.bytes.received"] - known["zerograph_redis.bytes.received"] > 2000
    assert 0 < grown["zerograph_redis.bytes.received"] < 1000
    assert [each["zerograph_redis.checkpoint.id"] for each in (own, unknown, known, grown)] == ["c0", "c0", "c0", "c1"]


def test_a_read_of_a_small_state_is_no_lookup(saver, exported):
    saver.put(at(), state("c0", n=1), {})
    saver.get_tuple(at())
    assert "zerograph_redis.cache.result" not in exported.span("get_tuple").attributes
    assert exported.points("zerograph_redis.cache.lookups") == []


def test_bytes_of_pending_writes_and_copies_are_counted(saver, exported):
    config = saver.put(at(), state("c0", messages=MESSAGES), {})
    saver.put_writes(config, [("t", "a", "x" * 3000), ("t", "b", 1)], "")
    saver.get_pending_writes(config)
    saver.copy_thread("thread", "copy")
    assert 3000 < exported.span("put_writes").attributes["zerograph_redis.bytes.sent"] < 3200
    assert 3000 < exported.span("get_pending_writes").attributes["zerograph_redis.bytes.received"] < 3200
    copied = exported.span("copy_thread").attributes
    assert 5000 < copied["zerograph_redis.bytes.sent"] == copied["zerograph_redis.bytes.received"]
    assert copied["zerograph_redis.thread.id"] == "thread"
    assert copied["zerograph_redis.thread.target"] == "copy"


def test_a_refused_operation_is_an_error_of_its_class_with_its_message(saver, exported):
    other = saver.stranger()
    with saver.lease("thread", owner="worker 1"), pytest.raises(LeaseHeldError) as caught:
        other.put(at(), state("c0"), {})
    span = exported.span("put")
    assert span.attributes["error.type"] == "zerograph_redis.errors.LeaseHeldError"
    assert span.status.status_code == StatusCode.ERROR
    assert span.status.description == str(caught.value)
    (event,) = span.events
    assert event.name == "exception"
    assert event.attributes["exception.type"] == "zerograph_redis.errors.LeaseHeldError"
    assert event.attributes["exception.message"] == str(caught.value)
    first, *_, last = event.attributes["exception.stacktrace"].splitlines()
    assert (first, last) == ("Traceback (most recent call last):", "zerograph_redis.errors.LeaseHeldError")


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda saver: saver.put(at(ns="sub"), state("c0", at={"a key": object()}), {}), SerializationError),
        (lambda saver: saver.put_writes(at(ns="sub", id="c0"), ["a value"], ""), ConfigError),
    ],
)
def test_an_error_that_may_quote_a_state_is_reported_by_its_class_and_stack_alone(saver, exported, call, error):
    with pytest.raises(error):
        call(saver)
    (span,) = exported.spans()
    (event,) = span.events
    assert span.status.description == event.attributes["exception.type"] == f"zerograph_redis.errors.{error.__name__}"
    assert "exception.message" not in event.attributes
    assert span.attributes["zerograph_redis.thread.id"] == "thread"
    assert span.attributes["zerograph_redis.checkpoint.namespace"] == "sub"
    assert span.attributes["zerograph_redis.requests"] == 0


def test_ids_of_other_types_are_reported_as_their_text(saver, exported):
    saver.put(at(7), state("c0"), {})
    with pytest.raises(SerializationError):
        saver.put(at(8), state("c0", value=object()), {})
    assert [span.attributes["zerograph_redis.thread.id"] for span in exported.spans()] == ["7", "8"]


def test_an_id_without_an_encoding_is_escaped_in_its_span(saver, exported):
    config = at("thé \ud800", ns="\ud800", id="c\ud800")
    saver.put(config, state("c\ud800"), {})
    saver.get(config)
    with pytest.raises(SerializationError):
        saver.put(config, state("c\ud800", value=object()), {})
    for span in exported.spans():
        assert span.attributes["zerograph_redis.thread.id"] == "thé \\ud800"
        assert span.attributes["zerograph_redis.checkpoint.namespace"] == "\\ud800"
        span.to_json().encode()
    assert exported.span("get").attributes["zerograph_redis.checkpoint.id"] == "c\\ud800"


@pytest.mark.parametrize("config", [None, 7, {"configurable": 7}, {"configurable": {"thread_id": object()}}])
def test_a_config_that_names_nothing_has_a_span_without_a_thread(saver, exported, config):
    with pytest.raises(ConfigError):
        saver.get(config)
    assert "zerograph_redis.thread.id" not in exported.span("get").attributes


def test_one_telemetry_serves_many_savers(store, exported):
    first, second = store.open(telemetry=exported.telemetry), store.open(telemetry=exported.telemetry)
    first.put(at(), state("c0"), {})
    second.put(at("other"), state("c0"), {})
    assert [each.attributes["zerograph_redis.thread.id"] for each in exported.spans("put")] == ["thread", "other"]
    assert sum(point.count for point in exported.points("db.client.operation.duration")) == 2


def test_two_telemetries_do_not_mix(store, exported):
    another = Exported()
    store.open(telemetry=exported.telemetry).put(at(), state("c0"), {})
    store.open(telemetry=another.telemetry).get(at())
    store.open().list(at())
    assert [span.name for span in exported.spans()] == ["zerograph_redis.put"]
    assert [span.name for span in another.spans()] == ["zerograph_redis.get"]
    another.close()
