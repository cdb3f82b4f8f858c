"""Damaged records, and the keys of a thread: the tests that know how bytes are stored."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing, suppress

import pytest
from support.data import at, fill, state
from support.stores import make_store

from zerograph_redis import CorruptCheckpointError, SqliteSaver

US = b"\x1f"
VERSION = b"1"


class Stored:
    """The records of a store, to be read and changed without its saver."""

    def __init__(self, store):
        self.store = store
        self.saver = store.open()

    def addresses(self):
        """All places of bytes: of checkpoints, and of writes."""
        if self.store.kind == "sqlite":
            with self._connection() as connection:
                return [
                    (table, number)
                    for table in ("checkpoints", "writes")
                    for (number,) in connection.execute(f"SELECT number FROM zerograph_redis_{table} ORDER BY number")
                ]
        client, found = self.store.client(), []
        for kind in ("checkpoints", "writes"):
            key = f"{self.store.prefix}:{{thread}}:{kind}"
            found += [(key, field) for field in sorted(client.hkeys(key))]
        return found

    def of(self, kind):
        """The records of checkpoints, or of writes (those of Redis have a third part: their number)."""
        found = [each for each in self.addresses() if each[0].endswith(kind)]
        if kind == "writes" and self.store.kind != "sqlite":
            found = [each for each in found if each[1].count(US) == 2]
        return found

    def read(self, address):
        where, what = address
        if self.store.kind == "sqlite":
            with self._connection() as connection:
                query = f"SELECT record FROM zerograph_redis_{where} WHERE number = ?"
                return connection.execute(query, (what,)).fetchone()[0]
        return self.store.client().hget(where, what)

    def write(self, address, record):
        where, what = address
        if self.store.kind == "sqlite":
            with self._connection() as connection:
                connection.execute(f"UPDATE zerograph_redis_{where} SET record = ? WHERE number = ?", (record, what))
                connection.commit()
        else:
            self.store.client().hset(where, what, record)

    def remove(self, address):
        self.store.client().hdel(*address)

    def _connection(self):
        return closing(sqlite3.connect(self.store.path))


@pytest.fixture(params=["sqlite-sync", "fakeredis-sync", "redis-sync", "redis-async"])
def stored(request):
    store = make_store(request.param, request)
    found = Stored(store)
    saver = found.saver
    saver.put(at(id="parent"), state("c0", text="hello", numbers=[1, 2, 3]), {"source": "loop", "step": 1})
    saver.put_writes(at(id="c0"), [("t", "a", {"value": [1, 2]}), ("u", "b", "text")], "")
    yield found
    store.close()


def flips(record):
    """Each position once, with a bit of it turned over."""
    chance = random.Random(7)
    for position in range(len(record)):
        changed = bytearray(record)
        changed[position] ^= 1 << chance.randrange(8)
        yield position, bytes(changed)


HEADER = range(1, 70)


def test_a_flipped_byte_of_a_checkpoint_is_an_error_at_every_position(stored):
    (address,) = stored.of("checkpoints")
    record, truth = stored.read(address), stored.saver.get_tuple(at())
    for position, changed in flips(record):
        stored.write(address, changed)
        for read in (lambda: stored.saver.get_tuple(at()), lambda: stored.saver.list(at())[0]):
            if position in HEADER:
                # Not all of the plain header is part of the state, but the state is never wrong.
                with suppress(CorruptCheckpointError):
                    assert read() == truth
            else:
                with pytest.raises(CorruptCheckpointError, match=r"'c0' of thread 'thread'"):
                    read()
    stored.write(address, record)
    assert stored.saver.get_tuple(at()) == truth


def test_a_flipped_byte_of_a_write_is_an_error_at_every_position(stored):
    truth = stored.saver.get_pending_writes(at(id="c0"))
    for address in stored.of("writes"):
        record = stored.read(address)
        for _, changed in flips(record):
            stored.write(address, changed)
            with pytest.raises(CorruptCheckpointError, match=r"'c0' of thread 'thread'"):
                stored.saver.get_pending_writes(at(id="c0"))
            with pytest.raises(CorruptCheckpointError):
                stored.saver.get_tuple(at())
            with pytest.raises(CorruptCheckpointError):
                stored.saver.list(at())
        stored.write(address, record)
    assert stored.saver.get_pending_writes(at(id="c0")) == truth


def test_a_flipped_byte_of_the_list_of_writes_is_an_error_or_harmless(stored):
    if stored.store.kind == "sqlite":
        return
    truth = stored.saver.get_pending_writes(at(id="c0"))
    (address,) = [each for each in stored.addresses() if each[0].endswith("writes") and each[1].count(US) == 1]
    record = stored.read(address)
    for position, changed in flips(record):
        stored.write(address, changed)
        for read in (
            lambda: stored.saver.get_pending_writes(at(id="c0")),
            lambda: stored.saver.get_tuple(at()).pending_writes,
            lambda: stored.saver.list(at())[0].pending_writes,
        ):
            try:
                assert read() == truth, (position, changed)
            except CorruptCheckpointError as error:
                assert "'thread'" in str(error)  # noqa: PT017 - either outcome is right
    stored.write(address, record)


@pytest.mark.parametrize("kind", ["checkpoints", "writes"])
def test_a_record_that_was_cut_off_is_an_error_at_every_length(stored, kind):
    address = stored.of(kind)[0]
    record = stored.read(address)
    for length in range(len(record)):
        stored.write(address, record[:length])
        with pytest.raises(CorruptCheckpointError):
            stored.saver.get_tuple(at())
    stored.write(address, record + b"\x00")
    with pytest.raises(CorruptCheckpointError):
        stored.saver.get_tuple(at())


@pytest.mark.parametrize("kind", ["checkpoints", "writes"])
def test_a_record_of_another_version_says_so(stored, kind):
    address = stored.of(kind)[0]
    record = stored.read(address)
    assert record[:1] == VERSION
    stored.write(address, b"9" + record[1:])
    with pytest.raises(CorruptCheckpointError, match=r"format is b'9'.*newer version"):
        stored.saver.get_tuple(at())
    with pytest.raises(CorruptCheckpointError):
        stored.saver.list(at())
    with pytest.raises(CorruptCheckpointError):
        stored.saver.get_by_id("c0", "thread")


def test_a_record_in_the_place_of_another_is_an_error(stored):
    saver = stored.saver
    saver.put(at(), state("c1", text="other"), {})
    first, second = stored.of("checkpoints")
    a, b = stored.read(first), stored.read(second)
    stored.write(first, a[:17] + b[17:])
    with pytest.raises(CorruptCheckpointError):
        saver.get_tuple(at(id="c0"))
    stored.write(first, a)
    one, two = stored.of("writes")
    a, b = stored.read(one), stored.read(two)
    stored.write(one, b)
    stored.write(two, a)
    with pytest.raises(CorruptCheckpointError):
        saver.get_pending_writes(at(id="c0"))


@pytest.fixture(params=["fakeredis-sync", "redis-sync", "redis-async"])
def stored_in_redis(request):
    store = make_store(request.param, request)
    found = Stored(store)
    fill(found.saver, 3)
    found.saver.put_writes(at(id="c2"), [("t", "a", 1), ("u", "b", 2)], "")
    yield found
    store.close()


def test_a_record_that_is_gone_is_an_error_that_names_the_likely_cause(stored_in_redis):
    saver = stored_in_redis.saver
    stored_in_redis.remove(stored_in_redis.of("checkpoints")[2])
    for read in (
        lambda: saver.get_tuple(at()),
        lambda: saver.get(at()),
        lambda: saver.list(at()),
        lambda: saver.list(at(), filter={"step": 1}),
    ):
        with pytest.raises(CorruptCheckpointError, match=r"c2.*thread 'thread'.*(evict|noeviction)"):
            read()


def test_a_record_in_the_middle_that_is_gone_is_an_error_of_the_list(stored_in_redis):
    saver = stored_in_redis.saver
    stored_in_redis.remove(stored_in_redis.of("checkpoints")[1])
    assert saver.get(at()) == state("c2", n=2)
    with pytest.raises(CorruptCheckpointError, match="c1"):
        saver.list(at())
    with pytest.raises(CorruptCheckpointError):
        saver.copy_thread("thread", "copy")


def test_a_named_checkpoint_whose_record_is_gone_is_an_error(stored_in_redis):
    saver = stored_in_redis.saver
    stored_in_redis.remove(stored_in_redis.of("checkpoints")[1])
    with pytest.raises(CorruptCheckpointError, match="c1"):
        saver.get_tuple(at(id="c1"))


def test_a_write_that_is_gone_is_an_error(stored_in_redis):
    saver = stored_in_redis.saver
    stored_in_redis.remove(stored_in_redis.of("writes")[0])
    for read in (
        lambda: saver.get_pending_writes(at(id="c2")),
        lambda: saver.get_tuple(at()),
        lambda: saver.list(at()),
        lambda: saver.copy_thread("thread", "copy"),
    ):
        with pytest.raises(CorruptCheckpointError):
            read()


def test_a_redis_thread_has_the_documented_keys_alone(stored_in_redis):
    store = stored_in_redis.store
    kinds = {key.removeprefix(store.prefix.encode()).decode() for key in store.all_keys()}
    assert {":{thread}:thread", ":{thread}:index", ":{thread}:checkpoints", ":{thread}:writes"} <= kinds
    assert len(kinds) <= 6


def test_a_database_of_a_future_format_is_refused(tmp_path):
    path = tmp_path / "c.db"
    with SqliteSaver(path) as saver:
        fill(saver, 1)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE zerograph_redis_format SET version = 99")
    connection.commit()
    connection.close()
    with pytest.raises(CorruptCheckpointError, match=r"c\.db.*99"):
        SqliteSaver(path)
