"""Spans of writes that are stored in the background: children of where the first of them was put."""

from __future__ import annotations

import pytest
from support.data import at, state
from support.exporters import Exported
from support.stores import make_store

from zerograph_redis.savers import write_queue


@pytest.mark.parametrize("name", ["memory-sync", "redis-sync"])
def test_writes_stored_together_are_one_span_in_the_context_of_their_first_put(name, request, monkeypatch):
    monkeypatch.setattr(write_queue, "AGE", 60.0)  # so that nothing is stored before it is waited for
    exported = Exported()
    store = make_store(name, request)
    saver = store.open_bare(telemetry=exported.telemetry, durability="async")
    with exported.tracer.start_as_current_span("run") as run:
        for thread in ("a", "b"):
            for number in range(3):
                saver.put(at(thread), {**state(f"c{number}"), "_next_nodes": ["next"]}, {})
        saver.put(at("c"), {**state("c0"), "_next_nodes": []}, {})
        saver.flush()
    spans = [span for span in exported.spans() if span.name.startswith("zerograph_redis.")]
    named = {span.attributes["zerograph_redis.thread.id"]: span for span in spans}
    assert {thread: span.name for thread, span in named.items()} == {
        "a": "zerograph_redis.write_batch", "b": "zerograph_redis.write_batch", "c": "zerograph_redis.put"
    }  # fmt: skip
    assert len(spans) == 3
    assert {span.parent.span_id for span in spans} == {run.get_span_context().span_id}
    store.close()
    exported.close()
