"""The content of the dumps in this folder. A released dump never changes: new values go into a new dump."""

from __future__ import annotations

import ipaddress as ip
import pathlib
import re
import uuid
from collections import OrderedDict, defaultdict, deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from zerograph.channels.messages import RemoveMessage
from zerograph.types import Command, Interrupt, Overwrite, Send

from zerograph_redis import EncryptedSerializer, MsgpackSerializer, Registered

KEY = bytes(range(32))
THREAD = "thread {1} *"
NAMESPACES = ("", "child|a:b")
STEPS = 40


@dataclass
class Point:
    x: int
    y: float


class Colour(Enum):
    RED = 1


SERIALIZER = MsgpackSerializer(types=[Registered("point", Point), Registered("colour", Colour)])
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {"serializer": SERIALIZER},
    "compressed": {"serializer": SERIALIZER, "compression": "zstd"},
    "encrypted": {"serializer": EncryptedSerializer({"2026-11": KEY}, SERIALIZER)},
}

VALUES: dict[str, Any] = {
    "native": [None, True, 1, -1.5, float("inf"), "text", "\ud800", b"bytes", {"a": {1: "b", None: "c"}}],
    "numbers": [2**100, -(2**70), complex(1, -2), Decimal("1.10"), Fraction(1, 3)],
    "bytes": [bytearray(b"array"), re.compile("a+", re.IGNORECASE), re.compile(b"b")],
    "collections": [
        (1, (2,)), {1}, frozenset({2}), deque([1, 2], 3), OrderedDict(b=1, a=2), defaultdict(list, {"x": [1]}),
        range(1, 9, 2), slice(1, None, 2),
    ],
    "time": [
        datetime(2026, 11, 23, 1, 2, 3, 4), datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin")), datetime(2026, 10, 25, 2, 30, fold=1),
        date(2026, 1, 2), time(3, 4, 5, 6, timezone(timedelta(hours=2), "summer")), timedelta(1, 2, 3),
    ],
    "names": [
        uuid.UUID(int=7), pathlib.PurePosixPath("/a/b"), pathlib.PureWindowsPath("C:/x"), pathlib.PosixPath("rel"),
        ip.ip_address("127.0.0.1"), ip.ip_address("::1"), ip.ip_network("10.0.0.0/8"), ip.ip_network("fe80::/10"),
        ip.ip_interface("10.1.2.3/8"), ip.ip_interface("fe80::1/64"),
    ],
    "numpy": [np.arange(6, dtype="<i4").reshape(2, 3), np.asfortranarray(np.eye(2)), np.float32(1.5), np.str_("word")],
    "engine": [
        Interrupt(value="go on?", id="i1"), Send("node", {"a": 1}), Command(resume="yes"), Overwrite([1]),
        RemoveMessage("m1"),
    ],
    "registered": [Point(1, 2.5), Colour.RED, {"inside": (Point(3, 4.0),)}],
}  # fmt: skip


def states() -> list[tuple[str, dict[str, Any]]]:
    """The checkpoints with their namespaces, in the order stored: a chat that grows, is edited, and starts over once."""
    found = []
    messages: list[Any] = []
    for step in range(STEPS):
        messages = [*messages, {"id": step, "text": f"message {step} " * 20}]
        if step % 7 == 3:
            messages = [*messages[:2], {"id": "edited", "text": f"edited in {step} " * 9}, *messages[3:]]
        if step == STEPS // 2:
            messages = messages[-3:]
        values = {"document": "words that stay " * 200, "messages": messages, "step": step}
        if step == 0:
            values |= VALUES
        found.append((NAMESPACES[0], {"v": 1, "id": f"c{step}", "channel_values": values}))
        if step % 10 == 0:
            found.append((NAMESPACES[1], {"v": 1, "id": f"child{step}", "channel_values": {"n": step}}))
    return found


def writes_of(checkpoint_id: str) -> list[tuple[str, str, Any]]:
    """The pending writes of a checkpoint."""
    if not checkpoint_id.endswith("5"):
        return []
    return [("task:1", "__interrupt__", [Interrupt(value=checkpoint_id, id="i")]), ("task:2", "a|b", Point(5, 6.0))]


def fill(saver: Any) -> None:
    """Store the content with *saver*."""
    parents: dict[str, str | None] = dict.fromkeys(NAMESPACES)
    for namespace, state in states():
        configurable = {"thread_id": THREAD, "checkpoint_ns": namespace, "checkpoint_id": parents[namespace]}
        stored = saver.put({"configurable": configurable}, state, {"step": len(state["id"]), "source": "loop"})
        parents[namespace] = state["id"]
        writes = writes_of(state["id"])
        if writes:
            saver.put_writes(stored, writes, "")
