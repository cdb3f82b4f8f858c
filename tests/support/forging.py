"""An attacker who can write to a store and has no key: random edits of an encrypted thread, and reads of it.

Each round edits the stored bytes of one thread, and makes counts and indexes match: the strongest attacker. Then every read
must raise an error of the package, or return what was stored at some moment.
"""

from __future__ import annotations

import copy
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from support.data import at, place, state
from support.stored_thread import THREAD, AttackedStore, Place, StoredThread
from zerograph_redis import CheckpointError
from zerograph_redis.core.records import read_segments

NAMESPACES = ("", "child")


@dataclass
class World:
    """What an attacker knows: the thread now and at earlier moments, and other threads with the same key."""

    now: StoredThread
    past: list[StoredThread]
    others: list[StoredThread]


Attack = Callable[[random.Random, World], None]
ATTACKS: dict[str, Attack] = {}


def attack(function: Attack) -> Attack:
    ATTACKS[function.__name__] = function
    return function


def _pick(rng: random.Random, choices: Any) -> Any:
    return rng.choice(sorted(choices))


def _pick_two(rng: random.Random, world: World) -> tuple[Place, str, bytes, Place, str, bytes]:
    """Two checkpoints, perhaps the same: place, order and record of each."""
    one, two = _pick(rng, world.now.checkpoints), _pick(rng, world.now.checkpoints)
    return one, *world.now.checkpoints[one], two, *world.now.checkpoints[two]


@attack
def an_old_checkpoint_becomes_the_newest(rng: random.Random, world: World) -> None:
    highest = max(order for order, _ in world.now.checkpoints.values())
    world.now.set_order(_pick(rng, world.now.checkpoints), f"{int(highest, 16) + 1:016x}")


@attack
def a_checkpoint_moves_back(rng: random.Random, world: World) -> None:
    lowest = min(order for order, _ in world.now.checkpoints.values())
    world.now.set_order(_pick(rng, world.now.checkpoints), f"{int(lowest, 16) - 1:016x}")


@attack
def two_checkpoints_swap_their_order(rng: random.Random, world: World) -> None:
    one, first, _, two, second, _ = _pick_two(rng, world)
    world.now.set_order(one, second)
    world.now.set_order(two, first)


@attack
def the_index_alone_is_reordered(rng: random.Random, world: World) -> None:
    one, first, a, two, second, b = _pick_two(rng, world)
    world.now.checkpoints |= {one: (second, a), two: (first, b)}


@attack
def two_records_are_swapped(rng: random.Random, world: World) -> None:
    one, first, a, two, second, b = _pick_two(rng, world)
    world.now.checkpoints |= {one: (first, b), two: (second, a)}


@attack
def an_older_record_comes_back(rng: random.Random, world: World) -> None:
    past = rng.choice(world.past)
    if past.checkpoints:
        where = _pick(rng, past.checkpoints)
        world.now.checkpoints[where] = past.checkpoints[where]


@attack
def a_record_is_copied_to_another_id(rng: random.Random, world: World) -> None:
    where = _pick(rng, world.now.checkpoints)
    double = (where[0], f"{where[1]}-2")
    world.now.checkpoints[double] = world.now.checkpoints[where]
    world.now.set_order(double, f"{int(world.now.checkpoints[where][0], 16) + 1:016x}")


@attack
def a_record_of_another_thread_is_inserted(rng: random.Random, world: World) -> None:
    other = rng.choice(world.others)
    where = _pick(rng, other.checkpoints)
    world.now.checkpoints[where] = other.checkpoints[where]
    world.now.logs |= other.logs


@attack
def another_thread_replaces_this_one(rng: random.Random, world: World) -> None:
    other = rng.choice(world.others)
    world.now.__dict__.update(copy.deepcopy(other.__dict__))


@attack
def a_checkpoint_is_dropped(rng: random.Random, world: World) -> None:
    if len(world.now.checkpoints) > 1:
        del world.now.checkpoints[_pick(rng, world.now.checkpoints)]


@attack
def the_header_of_a_record_changes(rng: random.Random, world: World) -> None:
    where = _pick(rng, world.now.checkpoints)
    order, record = world.now.checkpoints[where]
    byte = rng.randrange(17, 70)
    world.now.checkpoints[where] = (
        order,
        record[:byte] + rng.choice(b"0123456789abcdef-").to_bytes() + record[byte + 1 :],
    )


@attack
def a_range_of_the_log_is_replaced(rng: random.Random, world: World) -> None:
    if world.now.logs:
        log = _pick(rng, world.now.logs)
        data = world.now.logs[log]
        size = rng.randrange(1, len(data))
        source, target = rng.randrange(len(data) - size + 1), rng.randrange(len(data) - size + 1)
        world.now.logs[log] = data[:target] + data[source : source + size] + data[target + size :]


@attack
def a_segment_replaces_another(rng: random.Random, world: World) -> None:
    blocks: dict[tuple[str, int], set[int]] = {}
    for _, record in world.now.checkpoints.values():
        with suppress(CheckpointError):
            header, segments, _ = read_segments("a record", record)
            log = header.log_id if header.log_id in world.now.logs else header.generation
            for segment in segments:
                blocks.setdefault((log, segment.stored), set()).add(segment.offset)
    alike = [key for key, offsets in blocks.items() if len(offsets) > 1 and key[0] in world.now.logs]
    if alike:
        log, size = _pick(rng, alike)
        source, target = rng.sample(sorted(blocks[log, size]), 2)
        data = world.now.logs[log]
        world.now.logs[log] = data[:target] + data[source : source + size] + data[target + size :]


@attack
def an_older_log_comes_back(rng: random.Random, world: World) -> None:
    world.now.logs |= rng.choice(world.past).logs


def _written(rng: random.Random, world: World) -> list[tuple[bytes, bytes]] | None:
    return world.now.writes[_pick(rng, world.now.writes)] if world.now.writes else None


@attack
def writes_are_reordered(rng: random.Random, world: World) -> None:
    if rows := _written(rng, world):
        rng.shuffle(rows)


@attack
def a_write_is_dropped(rng: random.Random, world: World) -> None:
    if (rows := _written(rng, world)) and len(rows) > 1:
        del rows[rng.randrange(len(rows))]


@attack
def a_write_is_duplicated(rng: random.Random, world: World) -> None:
    if rows := _written(rng, world):
        rows.insert(rng.randrange(len(rows) + 1), rng.choice(rows))


@attack
def an_older_write_comes_back(rng: random.Random, world: World) -> None:
    past = rng.choice(world.past)
    if past.writes:
        where = _pick(rng, past.writes)
        back = rng.choice(past.writes[where])
        rows = world.now.writes.setdefault(where, [])
        same = [number for number, (identity, _) in enumerate(rows) if identity == back[0]]
        if same:
            rows[same[0]] = back
        else:
            rows.insert(rng.randrange(len(rows) + 1), back)


@attack
def two_writes_are_swapped(rng: random.Random, world: World) -> None:
    rows = _written(rng, world)
    if rows and len(rows) > 1:
        one, two = rng.sample(range(len(rows)), 2)
        (first, a), (second, b) = rows[one], rows[two]
        rows[one], rows[two] = (first, b), (second, a)


@attack
def writes_of_another_checkpoint_are_inserted(rng: random.Random, world: World) -> None:
    if world.now.writes:
        one, two = _pick(rng, world.now.writes), _pick(rng, world.now.checkpoints)
        world.now.writes[two] = [*world.now.writes[one]]


@attack
def writes_of_two_moments_are_mixed(rng: random.Random, world: World) -> None:
    past = rng.choice(world.past)
    if past.writes:
        where = _pick(rng, past.writes)
        older = dict(past.writes[where])
        rows = world.now.writes.get(where, past.writes[where])
        world.now.writes[where] = [
            (identity, older.get(identity, record) if rng.random() < 0.5 else record) for identity, record in rows
        ]


@attack
def an_older_list_of_writes_comes_back(rng: random.Random, world: World) -> None:
    past = rng.choice(world.past)
    if past.writes:
        where = _pick(rng, past.writes)
        world.now.writes[where] = [*past.writes[where]]


@attack
def the_whole_thread_goes_back(rng: random.Random, world: World) -> None:
    world.now.__dict__.update(copy.deepcopy(rng.choice(world.past).__dict__))


class History:
    """What honest workers did to one thread, and therefore what may be read from it."""

    def __init__(self, store: AttackedStore, rng: random.Random) -> None:
        self.store = store
        self.rng = rng
        self.workers = [store.open(), store.open()]
        self.versions: dict[Place, list[Any]] = {}
        self.lists: dict[Place, list[Any]] = {}
        self.parents: dict[int, int] = {}
        """By the number of a put, the number of its parent, where the worker knew both as children of their parents."""
        self.behind: set[int] = set()
        """The puts whose parent the worker knew."""
        self.past: list[StoredThread] = []
        self.number = 0
        self.reads = 0
        self.messages: list[str] = []
        others = [(store.open(), "u", False), (store.open(other=True), THREAD, True)]
        for saver, thread, _ in others:
            config = at(thread)
            for number in range(3):
                values = {"messages": [f"foreign {number} " * 40 for _ in range(number + 1)]}
                config = saver.put(config, state(f"c{number}", **values), {"step": number})
                saver.put_writes(config, [("task 1", "a", f"foreign {number}")], "")
            saver.close()
        self.others = [store.load(thread, other=other) for _, thread, other in others]
        for _ in range(5):
            self.advance()

    def close(self) -> None:
        for each in self.workers:
            each.close()

    def advance(self) -> None:
        """Let a worker do one honest operation."""
        worker, rng = self.rng.choice(self.workers), self.rng
        ns = rng.choice((NAMESPACES[0], NAMESPACES[0], NAMESPACES[1]))
        newest = worker.get_tuple(at(THREAD, ns))
        if newest is None or rng.random() < 0.5:
            self._put(worker, ns, newest)
        elif rng.random() < 0.08:
            worker.prune(THREAD, rng.randrange(2, 5))
        else:
            name = rng.choice([each.checkpoint["id"] for each in worker.list(at(THREAD, ns), limit=3)])
            self._write(worker, (ns, name))
        self.past.append(self.store.load(THREAD))
        del self.past[:-12]

    def _put(self, worker: Any, ns: str, newest: Any) -> None:
        rng = self.rng
        self.number += 1
        self.messages = [*self.messages, f"message {self.number} " * rng.choice((1, 40))][-8:]
        name, parent = f"c{self.number}", newest and newest.checkpoint["id"]
        if newest is not None and rng.random() < 0.15:
            name, parent = parent, (newest.parent_config and place(newest.parent_config)[2])
        checkpoint = state(name, messages=self.messages, number=self.number)
        metadata = {"step": self.number}
        worker.put(at(THREAD, ns, parent), checkpoint, metadata)
        self.versions.setdefault((ns, name), []).append((checkpoint, metadata, parent))
        if name != parent and newest is not None and newest.checkpoint["id"] == parent:
            self.behind.add(self.number)
            number = newest.checkpoint["channel_values"]["number"]
            if number in self.behind:
                self.parents[self.number] = number

    def _write(self, worker: Any, where: Place) -> None:
        before, batch = worker.get_pending_writes(at(THREAD, *where)), self._batch()
        worker.put_writes(at(THREAD, *where), batch, "")
        self.lists.setdefault(where, [[]]).append(_merged(before, batch))

    def write_after_attack(self, worker: Any, where: Place) -> dict[Place, list[Any]]:
        """Write to an attacked thread; returns the lists of writes that may be read then: each with the batch or without."""
        batch = self._batch()
        with suppress(CheckpointError):
            worker.put_writes(at(THREAD, *where), batch, "")
        known = self.lists.get(where, [[]])
        return {**self.lists, where: [*known, *(_merged(each, batch) for each in known)]}

    def _batch(self) -> list[Any]:
        rng = self.rng
        self.number += 1
        return [
            (f"task {rng.randrange(3)}", rng.choice("ab"), f"{self.number}.{number}")
            for number in range(rng.randrange(1, 4))
        ]

    def read(self, reader: Any, lists: dict[Place, list[Any]] | None = None) -> list[str]:
        """Read all that can be read; returns descriptions of what was never stored."""
        lists = self.lists if lists is None else lists
        wrong: list[str] = []

        def tried(call: Callable[[], Any]) -> Any:
            try:
                found = call()
            except CheckpointError:
                return None
            except Exception as error:  # noqa: BLE001 - any other error is a finding
                wrong.append(f"{type(error).__name__} outside the error tree")
                return None
            self.reads += bool(found)
            return found

        for ns in NAMESPACES:
            newest = tried(lambda: reader.get_tuple(at(THREAD, ns)))  # noqa: B023 - called at once
            listed = tried(lambda: reader.list(at(THREAD, ns), limit=None)) or []  # noqa: B023 - called at once
            for each in [newest, *listed]:
                if each is not None:
                    wrong += self._wrong(each, lists)
            names = [each.checkpoint["id"] for each in listed]
            if len(set(names)) < len(names):
                wrong.append("a checkpoint listed twice")
            puts = [each.checkpoint["channel_values"].get("number") for each in listed]
            if any(self.parents.get(put) in puts[:older] for older, put in enumerate(puts)):
                wrong.append("a parent newer than its child")
        for where in sorted({*self.versions, *lists}):
            found = tried(lambda: reader.get_tuple(at(THREAD, *where)))  # noqa: B023 - called at once
            if found is not None:
                wrong += self._wrong(found, lists)
            writes = tried(lambda: reader.get_pending_writes(at(THREAD, *where)))  # noqa: B023 - called at once
            if writes is not None and writes not in lists.get(where, [[]]):
                wrong.append("writes that were never stored together")
        return wrong

    def _wrong(self, found: Any, lists: dict[Place, list[Any]]) -> Iterator[str]:
        _, ns, name = place(found.config)
        parent = found.parent_config and place(found.parent_config)[2]
        if (found.checkpoint, found.metadata, parent) not in self.versions.get((ns, name), ()):
            yield "a state that was never stored"
        if found.pending_writes not in lists.get((ns, name), [[]]):
            yield "writes that were never stored together"


def _merged(known: list[Any], batch: list[Any]) -> list[Any]:
    values = {(task, channel): value for task, channel, value in known}
    values |= {(task, channel): value for task, channel, value in batch}
    return [(task, channel, value) for (task, channel), value in values.items()]


@dataclass
class Findings:
    """How often each attack was made, and what it achieved."""

    rounds: int = 0
    read: int = 0
    """How many reads returned something."""
    made: Counter[str] = field(default_factory=Counter)
    succeeded: Counter[str] = field(default_factory=Counter)
    wrong: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By attacks, and what was read."""


def forge(store: AttackedStore, seed: int, rounds: int | None = None, seconds: float | None = None) -> Findings:
    """Attack a thread again and again, and restore it after each round."""
    rng = random.Random(seed)
    found, end = Findings(), time.monotonic() + (seconds or 1e9)
    history = History(store, rng)
    while (rounds is None or found.rounds < rounds) and time.monotonic() < end:
        found.rounds += 1
        if found.rounds % 4 == 0:
            history.advance()
        before = store.load(THREAD)
        if not before.checkpoints:
            continue
        world = World(copy.deepcopy(before), history.past, history.others)
        names = rng.choices(list(ATTACKS), k=rng.choice((1, 1, 2, 3)))
        for name in names:
            if world.now.checkpoints:
                ATTACKS[name](rng, world)
        store.save(world.now)
        reader = store.open()
        wrong = history.read(reader)
        if rng.random() < 0.3:
            wrong += history.read(history.workers[0])
        if rng.random() < 0.3 and world.now.writes:
            worker = rng.choice([reader, *history.workers])
            lists = history.write_after_attack(worker, _pick(rng, world.now.writes))
            wrong += [f"{each} (after another write)" for each in history.read(reader, lists)]
        reader.close()
        label = " + ".join(sorted(set(names)))
        found.made.update(set(names))
        if len(set(names)) == 1 and wrong:
            found.succeeded[names[0]] += 1
        found.wrong.update((label, each) for each in set(wrong))
        store.save(before)
    history.close()
    found.read = history.reads
    return found
