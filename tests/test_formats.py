"""Every release reads what an earlier one stored, value by value."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import fakeredis
import pytest
from formats.content import NAMESPACES, THREAD, VARIANTS, states, writes_of
from formats.dumps import load_redis
from serde.serde_samples import same
from support.moves import load

from zerograph_redis import InMemorySaver, RedisSaver, SqliteSaver

DUMPS = sorted(
    path for path in (Path(__file__).parent / "formats").iterdir() if path.suffix in {".json", ".sql", ".zst"}
)


@pytest.fixture(params=DUMPS, ids=lambda path: path.stem)
def saver(request, tmp_path):
    """A saver on a store that was loaded from a dump."""
    dump: Path = request.param
    options = VARIANTS[dump.stem.split("-")[-1]]
    if dump.suffix == ".json":
        client = fakeredis.FakeRedis()
        load_redis(client, dump.read_text())
        yield RedisSaver(client, **options)
        return
    if dump.suffix == ".zst":
        with InMemorySaver(max_per_thread=None, **options) as opened:
            assert load(dump, opened).equal
            yield opened
        return
    path = tmp_path / "checkpoints.db"
    connection = sqlite3.connect(path)
    connection.executescript(dump.read_text())
    connection.close()
    with SqliteSaver(path, **options) as opened:
        yield opened


def config(namespace, checkpoint_id=None):
    return {"configurable": {"thread_id": THREAD, "checkpoint_ns": namespace, "checkpoint_id": checkpoint_id}}


def test_each_backend_and_variant_has_a_dump():
    assert {tuple(path.stem.split("-")[1:]) for path in DUMPS} >= {
        (backend, kind) for backend in ("redis", "sqlite", "file") for kind in VARIANTS
    }


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_every_checkpoint_of_a_dump_is_read_as_it_was_put(saver, namespace):
    put = [state for place, state in states() if place == namespace]
    found = saver.list(config(namespace), limit=None)[::-1]
    assert same([each.checkpoint for each in found], put)
    assert [each.metadata for each in found] == [{"step": len(state["id"]), "source": "loop"} for state in put]
    parents = [each.parent_config and each.parent_config["configurable"]["checkpoint_id"] for each in found]
    assert parents == [None, *(state["id"] for state in put[:-1])]
    assert same([each.pending_writes for each in found], [writes_of(state["id"]) for state in put])
    assert same(saver.get(config(namespace, put[3]["id"])), put[3])


def test_a_thread_of_a_dump_can_be_continued(saver):
    namespace, newest = next((place, state) for place, state in reversed(states()) if place == "")
    values = {**newest["channel_values"], "messages": [*newest["channel_values"]["messages"], "one more"]}
    saver.put(config(namespace, newest["id"]), {**newest, "id": "new", "channel_values": values}, {})
    assert same(saver.get(config(namespace))["channel_values"], values)
    (thread,) = saver.list_threads()
    assert thread.checkpoints == len(states()) + 1
    assert saver.prune(THREAD, 1) == len(states()) + 1 - len(NAMESPACES)
    assert same(saver.get(config(namespace))["channel_values"], values)
    saver.delete_thread(THREAD)
    assert saver.list_threads() == []
