"""The facts of a thread as Redis has them, in one field, read and changed behind a saver's back."""

from __future__ import annotations

from typing import Any

__all__ = ("FACTS", "NAMES", "change_facts", "pack_facts", "read_facts", "unpack_facts")

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
