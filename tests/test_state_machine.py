"""Any sequence of calls, compared with a model of plain dicts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from support.data import at, place
from support.sizes import scaled
from support.stores import make_store

THREADS = st.sampled_from(["a", "b", "{a}", "a\x1fb", "%", "\ud800"])
NAMESPACES = st.sampled_from(["", "x", "x|y", "\x1f"])
IDS = st.sampled_from(["1", "2", "3", "4", "10", "{1}"])
TASKS = st.sampled_from(["", "t", "u\x1e"])
CHANNELS = st.sampled_from(["c", "d", "\x1fc"])
VALUES = st.one_of(st.none(), st.integers(), st.text(max_size=3), st.lists(st.integers(), max_size=2))


class Model:
    """What a saver should store: a list of checkpoints per namespace, oldest first, and writes by checkpoint."""

    def __init__(self) -> None:
        self.checkpoints: dict[str, dict[str, list[str]]] = {}
        self.content: dict[tuple[str, str, str], tuple[Any, Any, str | None]] = {}
        self.writes: dict[tuple[str, str, str], dict[tuple[str, str], Any]] = {}
        self.active: list[str] = []

    def touch(self, thread: str) -> None:
        self.active = [thread, *(each for each in self.active if each != thread)]

    def of(self, thread: str, ns: str) -> list[str]:
        return self.checkpoints.get(thread, {}).get(ns, [])

    def is_empty(self, thread: str) -> bool:
        return not any(self.checkpoints.get(thread, {}).values()) and not any(key[0] == thread for key in self.writes)

    def forget_if_empty(self, thread: str) -> None:
        if self.is_empty(thread):
            self.active = [each for each in self.active if each != thread]

    def pending(self, address: tuple[str, str, str]) -> list[tuple[str, str, Any]]:
        return [(task, channel, value) for (task, channel), value in self.writes.get(address, {}).items()]

    def drop(self, address: tuple[str, str, str]) -> None:
        del self.content[address]
        self.writes.pop(address, None)


class Machine(RuleBasedStateMachine):
    """Calls a saver and its model, and compares their results."""

    store: Any

    @initialize()
    def begin(self) -> None:
        self.model = Model()
        if self.store.shared:
            self.store.clear()
        self.saver = self.store.open()
        self.number = 0

    def teardown(self) -> None:
        self.saver.flush()

    @rule(thread=THREADS, ns=NAMESPACES, name=IDS, parent=st.one_of(st.none(), IDS), value=VALUES)
    def put(self, thread: str, ns: str, name: str, parent: str | None, value: Any) -> None:
        self.number += 1
        checkpoint = {"id": name, "channel_values": {"value": value, "number": self.number}}
        metadata = {"step": self.number, "even": self.number % 2 == 0}
        assert self.saver.put(at(thread, ns, parent), checkpoint, metadata) == at(thread, ns, name)
        names = self.model.checkpoints.setdefault(thread, {}).setdefault(ns, [])
        if name not in names:
            names.append(name)
        self.model.content[thread, ns, name] = (checkpoint, metadata, parent)
        self.model.touch(thread)

    @rule(
        thread=THREADS,
        ns=NAMESPACES,
        name=IDS,
        task=TASKS,
        writes=st.lists(st.tuples(TASKS, CHANNELS, VALUES), min_size=1, max_size=4),
    )
    def put_writes(self, thread: str, ns: str, name: str, task: str, writes: list[Any]) -> None:
        self.saver.put_writes(at(thread, ns, name), writes, task)
        known = self.model.writes.setdefault((thread, ns, name), {})
        for own, channel, value in writes:
            known[own or task, channel] = value
        self.model.touch(thread)

    @rule(thread=THREADS, ns=NAMESPACES, name=st.one_of(st.none(), IDS))
    def get(self, thread: str, ns: str, name: str | None) -> None:
        names = self.model.of(thread, ns)
        wanted = name if name is not None else (names[-1] if names else None)
        found = self.saver.get_tuple(at(thread, ns, name))
        if wanted not in names:
            assert found is None
        else:
            self._compare(found, (thread, ns, wanted))

    @rule(thread=THREADS, ns=NAMESPACES, name=IDS)
    def get_pending_writes(self, thread: str, ns: str, name: str) -> None:
        assert self.saver.get_pending_writes(at(thread, ns, name)) == self.model.pending((thread, ns, name))

    @rule(thread=THREADS, name=IDS)
    def get_by_id(self, thread: str, name: str) -> None:
        homes = [ns for ns, names in self.model.checkpoints.get(thread, {}).items() if name in names]
        found = self.saver.get_by_id(name, thread)
        if not homes:
            assert found is None
        else:
            _, ns, _ = place(found.config)
            assert ns in homes
            self._compare(found, (thread, ns, name))

    @rule(
        thread=THREADS,
        ns=NAMESPACES,
        limit=st.one_of(st.none(), st.integers(0, 5)),
        before=st.one_of(st.none(), IDS),
        even=st.one_of(st.none(), st.booleans()),
    )
    def list(self, thread: str, ns: str, limit: int | None, before: str | None, even: bool | None) -> None:  # noqa: FBT001
        names = self.model.of(thread, ns)
        expected = names
        if before is not None:
            expected = names[: names.index(before)] if before in names else []
        expected = expected[::-1]
        if even is not None:
            expected = [each for each in expected if self.model.content[thread, ns, each][1]["even"] is even]
        found = self.saver.list(
            at(thread, ns),
            limit=limit,
            before=None if before is None else at(thread, ns, before),
            filter=None if even is None else {"even": even},
        )
        assert [each.checkpoint["id"] for each in found] == expected[:limit]
        for each in found:
            self._compare(each, (thread, ns, each.checkpoint["id"]))

    @rule(thread=THREADS, keep=st.integers(0, 3))
    def prune(self, thread: str, keep: int) -> None:
        removed = 0
        for ns, names in self.model.checkpoints.get(thread, {}).items():
            for name in names[: len(names) - keep] if keep < len(names) else []:
                self.model.drop((thread, ns, name))
                names.remove(name)
                removed += 1
        assert self.saver.prune(thread, keep) == removed
        self.model.forget_if_empty(thread)

    @rule(thread=THREADS)
    def delete(self, thread: str) -> None:
        self.saver.delete_thread(thread)
        self.model.checkpoints.pop(thread, None)
        for kept in (self.model.content, self.model.writes):
            for address in [each for each in kept if each[0] == thread]:
                del kept[address]
        self.model.forget_if_empty(thread)

    @rule(source=THREADS, to=THREADS)
    def copy(self, source: str, to: str) -> None:
        model = self.model
        if not model.is_empty(to):
            with pytest.raises(ValueError, match="not empty"):
                self.saver.copy_thread(source, to)
            return
        expected = sum(map(len, model.checkpoints.get(source, {}).values()))
        assert self.saver.copy_thread(source, to) == expected
        if model.is_empty(source):
            return
        model.checkpoints[to] = {ns: [*names] for ns, names in model.checkpoints.get(source, {}).items()}
        for kept in (model.content, model.writes):
            for (thread, ns, name), value in [*kept.items()]:
                if thread == source:
                    kept[to, ns, name] = dict(value) if isinstance(value, dict) else value
        model.touch(to)

    @invariant()
    def the_same_threads_are_listed(self) -> None:
        if not hasattr(self, "saver") or (self.store.queues and self.number % 10):
            return  # it would have nothing wait in the queue
        listed = self.saver.list_threads(limit=None)
        if self.store.queues:  # threads are not stored in the order of their puts
            assert sorted(each.thread_id for each in listed) == sorted(self.model.active)
        else:
            assert [each.thread_id for each in listed] == self.model.active
        for each in listed:
            sizes = [len(names) for names in self.model.checkpoints.get(each.thread_id, {}).values() if names]
            assert (each.checkpoints, each.namespaces) == (sum(sizes), len(sizes))

    def _compare(self, found: Any, address: tuple[str, str, str]) -> None:
        checkpoint, metadata, parent = self.model.content[address]
        thread, ns, _ = address
        assert found.config == at(*address)
        assert found.checkpoint == checkpoint
        assert found.metadata == metadata
        assert found.parent_config == (None if parent is None else at(thread, ns, parent))
        assert found.pending_writes == self.model.pending(address)


@pytest.mark.parametrize(
    "name",
    [
        "memory-sync", "fakeredis-sync", "redis-sync", "redis-async", "memory-encrypted-sync", "redis-encrypted-sync",
        "memory-queued-sync", "fakeredis-queued-sync", "redis-queued-async", "redis-encrypted-queued-sync",
    ],
)  # fmt: skip
def test_any_sequence_of_calls_does_what_a_plain_dict_would(name, request):
    store = make_store(name, request)
    checked = type("Checked", (Machine,), {"store": store})
    run_state_machine_as_test(
        checked,
        settings=settings(
            max_examples=scaled(25 if "fake" not in name else 12),
            stateful_step_count=40,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    store.close()
