"""The facts of a thread as Redis has them, in one field, read and changed behind a saver's back."""

from __future__ import annotations

from typing import Any

__all__ = ("FACTS", "NAMES", "change_facts", "note_namespaces", "pack_facts", "read_facts", "unpack_facts")

FACTS = b"facts"
NAMES = (
    *("version", "created", "updated", "ttl", "deadline", "order", "checkpoints", "namespaces", "bytes", "written"),
    *("slot", "generation", "length", "dropped", "live:0", "live:1", "gone"),
)


def unpack_facts(packed: bytes) -> dict[str, str]:
    """Take the field apart."""
    return dict(zip(NAMES, packed.decode().split(" "), strict=True))


def pack_facts(facts: dict[str, str]) -> bytes:
    """Put it together again."""
    return " ".join(facts[name] for name in NAMES).encode()


def read_facts(client: Any, key: Any) -> dict[str, str]:
    """The facts in a thread's hash."""
    return unpack_facts(client.hget(key, FACTS))


def change_facts(client: Any, key: Any, **changes: Any) -> None:
    """Have some of them say something else."""
    facts = read_facts(client, key) | {name: str(value) for name, value in changes.items()}
    client.hset(key, FACTS, pack_facts(facts))


def note_namespaces(client: Any, stem: str) -> None:
    """Have a thread's hash say of its namespaces what the index says, after the index was changed."""
    noted: dict[bytes, tuple[int, bytes, bytes]] = {}
    for member in client.zrange(stem + "index", 0, -1):
        namespace, order, name = member.split(b"\x1f")
        noted[namespace] = (noted.get(namespace, (0,))[0] + 1, order, name)
    for namespace, (count, order, name) in noted.items():
        client.hset(stem + "thread", b"n:" + namespace, b"%d %b %b" % (count, order, name))
    latest = max(order.decode() for _, order, _ in noted.values())
    change_facts(client, stem + "thread", order=max(latest, read_facts(client, stem + "thread")["order"]))
