"""Digests: equal for equal content, however it is stored, and different for any difference."""

import pytest
from support.data import at, state
from support.moves import grow, image_of
from zerograph.checkpoint.sqlite import SqliteSaver as EngineSaver

from zerograph_redis import InMemorySaver
from zerograph_redis.core.settings import Settings
from zerograph_redis.tools.transfer.digests import digest_thread
from zerograph_redis.tools.transfer.moves import DigestSum
from zerograph_redis.tools.transfer.zerograph_files import EngineFile

FIRST, SECOND, THIRD = (f"2024-05-01T12:00:0{second}+00:00" for second in (1, 2, 3))


def store(engine, *, thread="thread", ns="", parent="p", value="v", step=1, ts=FIRST, task="t", write=1):
    engine.put(at(thread, ns, parent), state("c1", value=value, text="x" * 2000) | {"ts": ts}, {"step": step})
    engine.put(at(thread, ns, "c1"), state("c2", value=value) | {"ts": THIRD}, {"step": step})
    engine.put_writes(at(thread, ns, "c2"), [(task, "c", write)], "")


def contents(path, thread="thread", **differences):
    with EngineSaver(path) as engine:
        store(engine, thread=thread, **differences)
    source = EngineFile(path, Settings.check())
    with image_of(source, thread) as image:
        found = digest_thread(image, Settings.check())
    source.close()
    return found


@pytest.mark.parametrize(
    "difference",
    [
        {"thread": "other"},
        {"ns": "a"},
        {"parent": "q"},
        {"parent": None},
        {"value": "w"},
        {"value": ["v"]},
        {"step": 2},
        {"step": 1.0},
        {"ts": SECOND},
        {"task": "u"},
        {"write": 2},
        {"write": True},
    ],
    ids=str,
)
def test_any_difference_changes_the_digest(tmp_path, difference):
    usual = contents(tmp_path / "usual.db")
    assert contents(tmp_path / "same.db").digest == usual.digest
    other = contents(tmp_path / "other.db", **difference)
    assert other.digest != usual.digest
    assert (other.checkpoints, other.writes) == (usual.checkpoints, usual.writes) == (2, 1)


def test_the_order_of_writes_changes_the_digest():
    found = []
    for writes in ([("t", "a", 1), ("t", "b", 2)], [("t", "b", 2), ("t", "a", 1)]):
        with InMemorySaver() as saver:
            saver.put_writes(at(id="later"), writes, "")
            with image_of(saver, "thread") as image:
                found.append(digest_thread(image, Settings.check()))
    assert found[0].entries.keys() == found[1].entries.keys()
    assert found[0].digest != found[1].digest


def test_the_stored_form_of_a_state_does_not_change_the_digest(tmp_path):
    with EngineSaver(tmp_path / "engine.db") as engine:
        grow(engine, "chat", steps=8)
    found = set()
    for settings in (Settings.check(), Settings.check(compression="zstd")):
        source = EngineFile(tmp_path / "engine.db", settings)
        with image_of(source, "chat") as image:
            found.add((sum(image.log_ends.values()), digest_thread(image, settings).digest))
        source.close()
    assert len(found) == 2, "one of them is smaller"
    assert len({digest for _, digest in found}) == 1


def test_a_sum_of_digests_is_the_same_in_any_order_and_different_for_other_threads(tmp_path):
    threads = [contents(tmp_path / f"{name}.db", thread=name) for name in "abc"]

    def tally(*which):
        made = DigestSum()
        for number in which:
            made.add(threads[number])
        return made

    assert tally(0, 1, 2) == tally(2, 0, 1)
    assert len({tally(*which).digest for which in ((), (0,), (1,), (0, 1), (0, 2), (0, 1, 2), (0, 0))}) == 7
