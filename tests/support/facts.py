"""The facts of a thread, which Redis keeps in one field, read and changed without a saver."""

from __future__ import annotations

from typing import Any

__all__ = ("FACTS", "NAMES", "change_facts", "note_namespaces", "note_of", "pack_facts", "read_facts", "unpack_facts")

FACTS = b"facts"
NAMES = (
    *("version", "written", "ttl", "deadline", "created", "namespaces", "dropped", "gone", "slot", "generation"),
    *("updated", "order", "checkpoints", "bytes", "length", "live:0", "live:1"),
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
    """Change some of them."""
    facts = read_facts(client, key) | {name: str(value) for name, value in changes.items()}
    client.hset(key, FACTS, pack_facts(facts))


def note_namespaces(client: Any, stem: str) -> None:
    """Make the notes of a thread's namespaces match the index, after the index was changed."""
    noted = {}
    for member in client.zrange(stem + "index", 0, -1):
        namespace, _, name = member.split(b"\x1f")
        noted[namespace + b"\x1f"] = note_of(client.hget(stem + "checkpoints", namespace + b"\x1f" + name), name)
    client.hset(stem + "thread", mapping=noted)
    latest = max(note[:16].decode() for note in noted.values())
    change_facts(client, stem + "thread", order=max(latest, read_facts(client, stem + "thread")["order"]))


def note_of(record: bytes, name: bytes) -> bytes:
    """The note of a namespace whose newest checkpoint has this record and id."""
    return b" ".join((record[1:17], record[33:34], record[17:33], record[34:70], name))
