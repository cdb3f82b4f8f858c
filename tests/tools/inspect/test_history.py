"""The history of a thread: every checkpoint, its parent, and what changed."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from support import graphs
from support.data import at, state
from support.sizes import scaled
from zerograph import Command

from zerograph_redis import EncryptedSerializer, InMemorySaver, MsgpackSerializer
from zerograph_redis.core.drive import run
from zerograph_redis.tools.inspect import checkpoints, history
from zerograph_redis.tools.inspect.checkpoints import CheckpointReader, find_checkpoints, list_namespaces
from zerograph_redis.tools.inspect.history import read_history

LONG = "".join(f"{number:05}" for number in range(300))

scalars = st.sampled_from([None, True, 7, 2**80, 1.5, "", "short", "y" * 300, LONG, LONG[::-1], LONG.encode(), b""])
values = st.recursive(
    st.one_of(
        scalars,
        st.integers(0, 40).map(lambda size: [{"id": number, "text": "m" * 60} for number in range(size)]),
        st.integers(0, 3).map(lambda size: tuple(LONG for _ in range(size))),
        st.sampled_from([260, 600]).map(lambda size: {f"k{number}": number for number in range(size)}),
        st.integers(2, 8).map(lambda size: {f"k{number}": "z" * 200 for number in range(size)}),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(["a", "b", "c", 1, "1"]), inner, max_size=4),
    ),
    max_leaves=12,
)
channels = st.dictionaries(st.sampled_from(["messages", "profile", "text", "n", ""]), values, max_size=5)

OPTIONS = {
    "plain": {},
    "zstd": {"compression": "zstd"},
    "encrypted": {"serializer": EncryptedSerializer({"k": bytes(32)})},
}


def expected(before, after):
    """What changed, found by comparing the packed values as a whole."""
    pack = MsgpackSerializer().pack
    found = []
    for name, value in after.items():
        if name not in before:
            found.append((name, "added", None))
        elif pack(before[name]) != pack(value):
            old = before[name]
            grown = type(old) is type(value) is list and len(old) < len(value)
            if grown and all(pack(a) == pack(b) for a, b in zip(old, value, strict=False)):
                found.append((name, "appended", len(value) - len(old)))
            else:
                found.append((name, "changed", None))
    return found + [(name, "removed", None) for name in before if name not in after]


@pytest.mark.parametrize("options", OPTIONS)
@settings(max_examples=scaled(60), deadline=None)
@given(states=st.lists(channels, min_size=1, max_size=5))
def test_changes_are_those_of_the_packed_values(options, states):
    saver = InMemorySaver(None, **OPTIONS[options])
    config = at()
    for number, each in enumerate(states):
        config = saver.put(config, state(f"c{number}", **each), {})
    (found,) = run(read_history(saver.store.settings, "thread"), saver.store.backend)
    changes = [[tuple(change) for change in entry.changes] for entry in reversed(found.entries)]
    assert changes == [expected(before, after) for before, after in zip([{}, *states], states, strict=False)]


def read(saver, **options):
    return run(read_history(saver.store.settings, options.pop("thread", "thread"), **options), saver.store.backend)


def test_each_checkpoint_has_its_step_source_and_parent(store):
    saver = store.open_bare()
    app = graphs.approval(checkpointer=saver)
    app.invoke({"log": []}, at())
    ((waiting, before, first),) = (each.entries for each in read(saver))
    assert [each.step for each in (first, before, waiting)] == [0, 1, 1]
    assert [each.source for each in (first, before, waiting)] == ["input", "input", "interrupt"]
    assert [each.next for each in (first, before, waiting)] == [["before"], ["ask"], ["ask"]]
    assert (first.parent, before.parent, waiting.parent) == (None, first.checkpoint_id, before.checkpoint_id)
    assert [tuple(each) for each in first.changes] == [("log", "added", None)]
    assert [tuple(each) for each in before.changes] == [("log", "appended", 1)]
    assert waiting.changes == []
    assert waiting.interrupts == [{"question": "go on?", "so far": 1}]
    assert [channel for _, channel, _ in waiting.writes] == ["__interrupt__"]
    assert first.stored < before.stored < waiting.stored
    assert first.bytes > 100
    app.invoke(Command(resume="yes"), at())
    newest = read(saver)[0].entries[0]
    assert (newest.interrupts, newest.next) == ([], [])


def test_sizes_add_up_to_that_of_the_thread(store):
    saver = store.open_bare()
    config = at()
    for number in range(5):
        config = saver.put(config, state(f"c{number}", text=LONG * (number + 1)), {})
        saver.put_writes(config, [("t", "channel", LONG)], "")
    (found,) = read(saver)
    assert sum(each.bytes for each in found.entries) == saver.list_threads()[0].bytes


def test_a_fork_shares_its_parent(store):
    saver = store.open_bare()
    for name, parent in (("a", None), ("b", "a"), ("c", "b"), ("d", "b"), ("e", "c")):
        saver.put(at(id=parent), state(name, n=name), {})
    (found,) = read(saver)
    assert [(each.checkpoint_id, each.parent) for each in found.entries] == [
        ("e", "c"), ("d", "b"), ("c", "b"), ("b", "a"), ("a", None)
    ]  # fmt: skip


def test_a_checkpoint_without_a_parent_is_compared_with_the_one_stored_before_it(store):
    saver = store.open_bare()
    saver.put(at(), state("a", n=1, m=1), {})
    saver.put(at(), state("b", n=2, m=1), {})
    newest = read(saver)[0].entries[0]
    assert (newest.parent, newest.starts, newest.compared_with) == (None, True, "a")
    assert [tuple(each) for each in newest.changes] == [("n", "changed", None)]


def test_the_first_checkpoint_of_a_subgraph_has_its_parent_in_the_outer_namespace(store):
    saver = store.open_bare()
    graphs.nested(checkpointer=saver).invoke({"log": []}, at())
    outer, middle, inner = read(saver)
    assert [each.namespace for each in (outer, middle, inner)] == ["", "middle", "middle|inner"]
    first = middle.entries[-1]
    assert first.starts
    assert first.parent in {each.checkpoint_id for each in outer.entries}
    assert first.parent_namespace == ""
    assert [each.kind for each in first.changes] == ["added"]
    assert inner.entries[0].interrupts[0] == "inner?"


def test_a_parent_that_was_pruned_leaves_the_changes_unknown(store):
    saver = store.open_bare(keep_last=2)
    config = at()
    for number in range(4):
        config = saver.put(config, state(f"c{number}", n=number), {})
    newest, oldest = read(saver)[0].entries
    assert [tuple(each) for each in newest.changes] == [("n", "changed", None)]
    assert (oldest.parent, oldest.parent_namespace, oldest.changes, oldest.starts) == ("c1", None, None, False)


def test_a_parent_beyond_the_limit_is_compared(store):
    saver = store.open_bare()
    saver.put(at(), state("root", n=0, text=LONG), {})
    config = at(id="root")
    for number in range(8):
        config = saver.put(config, state(f"c{number}", n=number, text=LONG), {})
    saver.put(at(id="root"), state("fork", n=0, text=LONG + "more"), {})
    newest = read(saver, limit=1)[0].entries[0]
    assert (newest.checkpoint_id, newest.compared_with) == ("fork", "root")
    assert [tuple(each) for each in newest.changes] == [("text", "changed", None)]


@pytest.mark.parametrize("limit", [1, 2, 5, 9, 10, 11, None])
def test_a_limit_counts_the_newest_over_all_namespaces(store, limit):
    saver = store.open_bare()
    stored = []
    for number in range(10):
        namespace = ("", "x", "", "", "y")[number % 5]
        saver.put(at(ns=namespace), state(f"c{number}", n=number), {})
        stored.append((namespace, f"c{number}"))
    found = [(each.namespace, entry.checkpoint_id) for each in read(saver, limit=limit) for entry in each.entries]
    assert sorted(found) == sorted(stored[-limit:] if limit else stored)
    assert [each.checkpoints for each in read(saver)] == [6, 2, 2]


def test_one_namespace_alone(store):
    saver = store.open_bare()
    for namespace in ("", "x", "xy"):
        saver.put(at(ns=namespace), state("c", n=1), {})
    assert [each.namespace for each in read(saver, namespace="x")] == ["x"]
    assert read(saver, namespace="none") == []
    assert read(saver, thread="none") == []


def test_many_pages_make_one_history(store, monkeypatch):
    monkeypatch.setattr(history, "PAGE", 3)
    saver = store.open_bare()
    config = at()
    for number in range(10):
        config = saver.put(config, state(f"c{number}", n=number, messages=[LONG] * number), {})
    (found,) = read(saver)
    assert [each.checkpoint_id for each in found.entries] == [f"c{number}" for number in reversed(range(10))]
    assert all(each.changes is not None for each in found.entries)


def test_reading_reports_its_progress(store, monkeypatch):
    monkeypatch.setattr(history, "PAGE", 3)
    saver = store.open_bare()
    for number in range(7):
        saver.put(at(), state(f"c{number}"), {})
    done = []
    read(saver, progress=done.append)
    assert done == [3, 3, 1]


def counted(saver):
    """The store's backend, and the bytes of the state log that each request fetched."""
    backend, fetched = saver.store.backend, []

    class Counting:
        def execute(self, request):
            reply = backend.execute(request)
            fetched.append(sum(len(each.data) for each in getattr(reply, "ranges", ())))
            return reply

    return Counting(), fetched


def test_each_byte_of_the_state_log_is_read_once(store, monkeypatch):
    monkeypatch.setattr(history, "PAGE", 4)
    saver = store.open_bare()
    config, messages = at(), []
    for number in range(20):
        messages.append(LONG + str(number))
        config = saver.put(config, state(f"c{number}", messages=messages), {})
    backend, fetched = counted(saver)
    (found,) = run(read_history(saver.store.settings, "thread"), backend)
    assert [tuple(each) for each in found.entries[0].changes] == [("messages", "appended", 1)]
    assert len(LONG) * 19 < sum(fetched) < len(LONG) * 23


@pytest.mark.parametrize("kept", [1, 50])
def test_many_forks_are_compared_with_their_parents(store, monkeypatch, kept):
    monkeypatch.setattr(checkpoints, "_WAITING", kept)
    monkeypatch.setattr(history, "PAGE", 3)
    saver = store.open_bare()
    saver.put(at(), state("root", n=0, text=LONG), {})
    for number in range(8):
        saver.put(at(id="root"), state(f"c{number}", n=number + 1, text=LONG), {})
    (found,) = read(saver)
    assert [each.compared_with for each in found.entries] == ["root"] * 8 + [None]
    assert {tuple(change) for each in found.entries[:-1] for change in each.changes} == {("n", "changed", None)}
    assert {each.parent_namespace for each in found.entries[:-1]} == {""}


def test_a_damaged_state_leaves_only_its_own_changes_unknown():
    saver = InMemorySaver(None)
    config = at()
    for number in range(6):
        config = saver.put(config, state(f"c{number}", text=f"<{number}>" * 300), {})
    backend = saver.store.backend

    class Damaging:
        def execute(self, request):
            reply = backend.execute(request)
            for each in getattr(reply, "ranges", ()):
                each.data = each.data.replace(b"<2>", b"<X>")
            return reply

    (found,) = run(read_history(saver.store.settings, "thread"), Damaging())
    assert [each.checkpoint_id for each in found.entries] == [f"c{number}" for number in reversed(range(6))]
    assert [each.changes is None for each in found.entries] == [False, False, True, True, False, False]


def test_a_checkpoint_is_read_with_its_state_and_its_writes(store):
    saver = store.open_bare()
    config = saver.put(at(), state("a", text=LONG, n=1), {"source": "input", "step": 3})
    saver.put(config, state("b", text=LONG + "!", n=1), {})
    saver.put_writes(config, [("t", "n", 2), ("t", "__interrupt__", "sure?")], "")
    reader = CheckpointReader(saver.store.settings, "thread")
    backend, fetched = counted(saver)
    newest = run(reader.get("", None), backend)
    assert (newest.checkpoint_id, newest.channels, newest.writes) == ("b", {"text": LONG + "!", "n": 1}, [])
    before = run(reader.get_before("", "b"), backend)
    assert (before.checkpoint_id, before.channels) == ("a", {"text": LONG, "n": 1})
    assert before.writes == [("t", "n", 2), ("t", "__interrupt__", "sure?")]
    assert (before.interrupts, before.source, before.step) == (["sure?"], "input", 3)
    assert sum(fetched) < 2 * len(LONG)
    assert run(reader.get("", "none"), backend) is None
    assert run(reader.get_before("", "a"), backend) is None


@pytest.mark.parametrize(
    ("text", "namespace", "found"),
    [
        ("c1", None, [("", "c1")]),
        ("c", None, [("", "c1"), ("", "c2"), ("x", "c3")]),
        ("c", "x", [("x", "c3")]),
        ("c1", "x", []),
        ("@0", None, [("", "c2")]),
        ("@1", None, [("", "c1")]),
        ("@2", None, []),
        ("@0", "x", [("x", "c3")]),
        ("@0", "none", []),
        ("none", None, []),
    ],
)
def test_checkpoints_are_found_by_text(store, text, namespace, found):
    saver = store.open_bare()
    for place, name in (("", "c1"), ("", "c2"), ("x", "c3")):
        saver.put(at(ns=place), state(name), {})
    assert sorted(run(find_checkpoints("thread", text, namespace), saver.store.backend)) == found


@pytest.mark.parametrize("count", [0, 1, 450])
def test_all_namespaces_are_found(store, count):
    saver = store.open_bare()
    names = sorted(f"n{number}" for number in range(count))
    for name in names:
        saver.put(at(ns=name), state("a"), {})
    found = run(list_namespaces("thread"), saver.store.backend)
    assert [(each.namespace, each.checkpoints) for each in found] == [(name, 1) for name in names]
