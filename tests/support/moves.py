"""Moves, as the command line makes them, and what is compared of threads."""

from __future__ import annotations

from typing import Any

from support.data import at, everything, state, thread_info
from zerograph_redis.store import Store
from zerograph_redis.tools.transfer.archive import Archive, ArchiveWriter
from zerograph_redis.tools.transfer.ends import StoreEnd
from zerograph_redis.tools.transfer.exports import Export
from zerograph_redis.tools.transfer.moves import check_archive, import_threads, migrate_threads

NAMESPACES = ("", "sub|1", "a:{b}\x1f")


def end_of(saver: Any) -> StoreEnd:
    """A saver as one end of a move."""
    bare = getattr(saver, "saver", saver)
    return StoreEnd(Store(bare.store.backend, bare.store.settings, ""))


def ignore(_: Any) -> None:
    """Be told of a thread."""


def migrate(source: Any, target: Any, prefix: str = "", note: Any = ignore, **options: Any) -> Any:
    """Move all threads between two savers, or two ends."""
    source, target = (each if hasattr(type(each), "read") else end_of(each) for each in (source, target))
    return migrate_threads(source, target, source.threads(prefix), note, **options)


def export(saver: Any, path: Any, note: Any = ignore, threads: Any = None) -> Any:
    """Write all threads of a saver into a file."""
    place = end_of(saver)
    with ArchiveWriter(path, "everything") as writer:
        going = Export(place, place.settings, writer)
        going.write(place.threads("") if threads is None else threads, note)
        return going.finish(ignore)


def load(path: Any, saver: Any, note: Any = ignore) -> Any:
    """Store all threads of a file."""
    with Archive(path) as archive:
        check_archive(archive, end_of(saver).settings, ignore)
        return import_threads(archive, end_of(saver), lambda _: True, note)


def grow(saver: Any, thread: str, namespace: str = "", steps: int = 5, start: int = 0) -> dict[str, Any]:
    """A chat: every state is the last one and a little more."""
    config = at(thread, namespace)
    for number in range(start, start + steps):
        messages = [{"role": "user", "content": f"{thread} {index} " + "x" * 200} for index in range(number * 2 + 1)]
        config = saver.put(
            config, state(f"c{number}", messages=messages, n=number, tags={"a", "b", "c"}), {"step": number}
        )
    return config


def fill_all(saver: Any) -> list[str]:
    """Threads of every kind; returns their ids."""
    for namespace in NAMESPACES:
        config = grow(saver, "chat", namespace)
        saver.put_writes(config, [("task", "b", 1), ("task", "a", (2,)), ("other", "c", {"x": b"1"})], "")
    saver.put(at("chat", id="c4"), state("c2", again=True), {"step": "again"})
    saver.put(at("small"), state("only"), {})
    saver.put_writes(at("writes only", id="to come"), [("task", "channel", "value")], "")
    for odd in ("{x}", "a:b*?[", "\x1f", "\n", "%1f", "ä\ud800", " "):
        saver.put(at(odd, odd), state(odd, text=odd * 300), {odd: odd})
        saver.put_writes(at(odd, odd, odd), [(odd, odd, odd)], "")
    return ["chat", "small", "writes only", "{x}", "a:b*?[", "\x1f", "\n", "%1f", "ä\ud800", " "]


def snapshot(saver: Any, thread: str) -> Any:
    """All that can be read of a thread, and what is told of it."""
    info = thread_info(saver, thread)
    return (
        everything(saver, thread, *NAMESPACES, thread),
        saver.get_pending_writes(at(thread, id="to come")),
        info and (info.created, info.updated, info.checkpoints, info.namespaces),
    )
