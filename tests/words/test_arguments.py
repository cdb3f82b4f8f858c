"""Whatever an argument is, what is wrong with it is an error of the tree; with an option, a ValueError."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from uuid import UUID

import fakeredis
import numpy as np
import pytest
from support.data import at, state

from zerograph_redis import (
    AsyncRedisSaver,
    AsyncSqliteSaver,
    CheckpointError,
    EncryptedSerializer,
    InMemorySaver,
    RedisSaver,
    SqliteSaver,
)


class Hostile(str):
    """A string whose methods raise."""

    def __str__(self):
        raise RuntimeError("no")

    __repr__ = __format__ = __str__

    def __len__(self):
        raise RuntimeError("no")

    def __eq__(self, other):
        raise RuntimeError("no")

    def __bool__(self):
        raise RuntimeError("no")

    __hash__ = str.__hash__


class HostileInt(int):
    def __str__(self):
        return "7\n8"

    __repr__ = __str__


class Unspeakable:
    def __repr__(self):
        raise RuntimeError("no")


class Number(IntEnum):
    ONE = 1


class Kind(Enum):
    A = "a"


class Plain(str):
    pass


VALUES = {
    "None": None, "True": True, "False": False, "0": 0, "-1": -1, "7": 7, "2**63": 2**63, "-2**63": -(2**63),
    "10**20": 10**20, "10**400": 10**400, "10**5000": 10**5000, "-10**5000": -(10**5000), "0.0": 0.0, "1.5": 1.5,
    "-0.0": -0.0, "nan": float("nan"), "inf": float("inf"), "-inf": float("-inf"), "1e308": 1e308,
    "5e-324": 5e-324, "Decimal": Decimal("1e400"), "Decimal nan": Decimal("nan"), "Decimal snan": Decimal("snan"),
    "Fraction": Fraction(10**400, 3), "timedelta": timedelta(1), "timedelta.max": timedelta.max,
    "timedelta.min": timedelta.min, "datetime": datetime(1, 1, 1), "complex": 1j, "str": "text", "empty": "",
    "lone": "\ud800", "nul": "\0", "long": "x" * 100_000, "escape": "\x1b[2J\n\u202e", "bytes": b"\xff",
    "bytearray": bytearray(b"x"), "memoryview": memoryview(b"x"), "list": [1], "empty list": [],
    "nested": [[[None]]], "tuple": (1, 2, 3), "dict": {"a": 1}, "empty dict": {}, "set": {1}, "object": object(),
    "type": int, "Ellipsis": ..., "lambda": lambda: None, "generator": (x for x in ()), "range": range(10**9),
    "numpy int": np.int64(5), "numpy float": np.float64(5), "numpy nan": np.float64("nan"),
    "numpy str": np.str_("x"), "numpy array": np.arange(3), "numpy empty": np.array([]), "numpy bool": np.bool_(1),
    "numpy datetime": np.datetime64("NaT"), "Hostile": Hostile("x"), "Hostile empty": Hostile(""),
    "HostileInt": HostileInt(5), "Unspeakable": Unspeakable(), "list of it": [Unspeakable()],
    "dict of it": {"configurable": Unspeakable()}, "IntEnum": Number.ONE, "Enum": Kind.A,
    "str subclass": Plain("x"), "UUID": UUID(int=1), "config": at(), "exception": ValueError("x"),
}  # fmt: skip

CONFIGURABLE = ("thread_id", "checkpoint_ns", "checkpoint_id", "ttl", "lease_token", "expect_checkpoint_id", "other")

CALLS = {
    "config": lambda saver, value: saver.get_tuple(value),
    "configurable": lambda saver, value: saver.get({"configurable": value}),
    **{
        f"{name} of {call}": lambda saver, value, name=name, use=use: use(
            saver, {"configurable": {"thread_id": "t", name: value}}
        )
        for name in CONFIGURABLE
        for call, use in {
            "get_tuple": lambda saver, config: saver.get_tuple(config),
            "put": lambda saver, config: saver.put(config, state("c1"), {}),
            "put_writes": lambda saver, config: saver.put_writes(config, [("t", "a", 1)], ""),
            "get_pending_writes": lambda saver, config: saver.get_pending_writes(config),
            "list": lambda saver, config: saver.list(config),
            "before": lambda saver, config: saver.list(at(), before=config),
        }.items()
    },
    "config of put": lambda saver, value: saver.put(value, state("c1"), {}),
    "checkpoint": lambda saver, value: saver.put(at(), value, {}),
    "checkpoint's id": lambda saver, value: saver.put(at(), {**state("c1"), "id": value}, {}),
    "metadata": lambda saver, value: saver.put(at(), state("c1"), value),
    "writes": lambda saver, value: saver.put_writes(at(id="c0"), () if isinstance(value, range) else value, "t"),
    "write": lambda saver, value: saver.put_writes(at(id="c0"), [value], "t"),
    "task": lambda saver, value: saver.put_writes(at(id="c0"), [(value, "a", 1)], "t"),
    "channel": lambda saver, value: saver.put_writes(at(id="c0"), [("t", value, 1)], "t"),
    "task id": lambda saver, value: saver.put_writes(at(id="c0"), [("", "a", 1)], value),
    "id": lambda saver, value: saver.get_by_id(value),
    "id and thread": lambda saver, value: saver.get_by_id("c0", value),
    "thread to prune": lambda saver, value: saver.prune(value, 1),
    "keep": lambda saver, value: saver.prune("thread", value),
    "age": lambda saver, value: saver.prune("thread", 1, max_age=value),
    "token": lambda saver, value: saver.prune("thread", 1, lease_token=value),
    "thread to delete": lambda saver, value: saver.delete_thread(value),
    "token of a removal": lambda saver, value: saver.delete_thread("other", lease_token=value),
    "source": lambda saver, value: saver.copy_thread(value, "copy"),
    "target": lambda saver, value: saver.copy_thread("nobody", value),
    "limit of threads": lambda saver, value: saver.list_threads(value),
    "threads before": lambda saver, value: saver.list_threads(10, value),
    "limit": lambda saver, value: saver.list(at(), limit=value),
    "before": lambda saver, value: saver.list(at(), before=value),
    "filter": lambda saver, value: saver.list(at(), filter=value),
    "filter's value": lambda saver, value: saver.list(at(), filter={"a": value}),
    "thread to break": lambda saver, value: saver.break_lease(value),
    "thread to hold": lambda saver, value: hold(saver, value),
    "ttl of a lease": lambda saver, value: hold(saver, "held", value),
    "wait": lambda saver, value: hold(saver, "held", 30, wait=value),
    "owner": lambda saver, value: hold(saver, "held", 30, owner=value),
}  # fmt: skip

OPTIONS = (
    "ttl", "refresh_on_read", "keep_last", "max_age", "serializer", "compression", "compression_level", "require_lease",
    "durability",
    "telemetry", "prefix", "wait_replicas", "wait_timeout",
)  # fmt: skip


def hold(saver, *given, **named):
    with saver.lease(*given, **named):
        pass


@pytest.mark.parametrize("kind", ["redis", "sqlite", "awaited"])
def test_every_argument_of_every_method(kind, tmp_path):
    faults = Counter()
    saver = {
        "redis": lambda: RedisSaver(fakeredis.FakeRedis()),
        "sqlite": lambda: SqliteSaver(tmp_path / "c.db"),
        "awaited": lambda: AsyncRedisSaver(fakeredis.FakeAsyncRedis(), sync_client=fakeredis.FakeRedis()),
    }[kind]()
    saver.put(at(), state("c0"), {"a": 1})
    calls = 0
    for call, use in CALLS.items():
        for name, value in VALUES.items():
            calls += 1
            try:
                use(saver, value)
            except CheckpointError as error:
                if not str(error).isprintable() or len(str(error)) > 2500:
                    faults[f"{call}={name}: a message of {len(str(error))}"] += 1
            except Exception as error:  # noqa: BLE001 - what is looked for
                faults[f"{call}={name}: {type(error).__name__}"] += 1
    saver.put(at(), state("c0"), {})
    assert saver.get(at()) == state("c0")
    if kind == "awaited":
        asyncio.run(saver.aclose())
    saver.close()
    assert not faults, f"{faults.total()} of {calls}: {dict(faults)}"


@pytest.mark.parametrize("kind", ["RedisSaver", "InMemorySaver", "SqliteSaver", "AsyncSqliteSaver"])
def test_every_option(kind, tmp_path):
    faults = Counter()
    calls = 0
    for option in OPTIONS:
        for name, value in VALUES.items():
            calls += 1
            try:
                if kind == "RedisSaver":
                    saver = RedisSaver(fakeredis.FakeRedis(), **{option: value})
                elif option in {"prefix", "wait_replicas", "wait_timeout"}:
                    continue
                elif kind == "InMemorySaver":
                    saver = InMemorySaver(**{"max_per_thread" if option == "keep_last" else option: value})
                else:
                    saver = {"SqliteSaver": SqliteSaver, "AsyncSqliteSaver": AsyncSqliteSaver}[kind](
                        ":memory:", **{option: value}
                    )
                with saver:
                    for number in range(2):
                        saver.put(at(), state(f"c{number}"), {})
                    saver.put_writes(at(id="c0"), [("t", "a", 1)], "")
            except CheckpointError:
                pass
            except ValueError as error:
                if not str(error).startswith(option) and kind != "InMemorySaver":
                    faults[f"{option}={name}: {error!r}"[:150]] += 1
            except Exception as error:  # noqa: BLE001 - what is looked for
                faults[f"{option}={name}: {type(error).__name__}"] += 1
    assert not faults, f"{faults.total()} of {calls}: {dict(faults)}"


def test_no_error_about_keys_has_a_word_of_them():
    secret, key = "a-Secret.Of_1", b"\x07" * 32
    wrong = [
        {secret: "id"}, {secret: key[1:]}, {secret * 2: key}, {key: "id"}, {key: secret}, {key: key}, {secret: None},
        {"id": secret}, {"id": secret.encode()}, {"id": key, secret: "x"}, {1: key}, [secret], secret, {secret}, None,
    ]  # fmt: skip
    for each in wrong:
        with pytest.raises(ValueError, match=r"^key") as caught:
            EncryptedSerializer(each)
        assert secret not in str(caught.value)
        assert "\\x07" not in str(caught.value)
    for value in (secret, [secret], {secret: key}):
        with pytest.raises(ValueError, match=r"^serializer") as caught:
            InMemorySaver(serializer=value)
        assert secret not in str(caught.value)
