"""Moves, as the command line makes them, and snapshots of threads to compare."""

from __future__ import annotations

from typing import Any

from support.data import at, everything, state, thread_info
from zerograph_redis.store import Store
from zerograph_redis.tools.transfer.exports import ExportFile, open_export
from zerograph_redis.tools.transfer.moves import list_source, move_threads, read_source
from zerograph_redis.tools.transfer.zerograph_files import EngineFile

NAMESPACES = ("", "sub|1", "a:{b}\x1f")


def store_of(saver: Any) -> Store[Any]:
    """A store on the backend of a saver, whose backend and settings a test may replace."""
    bare = getattr(saver, "saver", saver)
    return Store(bare.store.backend, bare.store.settings, "")


def image_of(source: Any, thread: str) -> Any:
    """A thread of a saver or another source, as it is stored."""
    return read_source(_source_of(source), thread)


def _source_of(place: Any) -> Any:
    return place if isinstance(place, Store | EngineFile) else store_of(place)


def ignore() -> None:
    """Called after each thread."""


def migrate(source: Any, target: Any, prefix: str = "", moved: Any = ignore, **options: Any) -> Any:
    """Move all threads between two savers, stores, or engine files."""
    source, target = _source_of(source), _source_of(target)
    return move_threads(source, target, list_source(source, prefix), moved, **options)


def export(saver: Any, path: Any, threads: Any = None, level: int | None = None, written: Any = ignore) -> Any:
    """Write all threads of a saver into a file."""
    source = _source_of(saver)
    with ExportFile(path, "everything", source.settings) as file:
        report = file.add(source, list_source(source) if threads is None else threads, written)
        file.publish(level)
        return report


def load(path: Any, saver: Any, moved: Any = ignore) -> Any:
    """Store all threads of a file."""
    target = _source_of(saver)
    with open_export(path, target.settings) as source:
        return move_threads(source, target, list_source(source), moved)


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
    """All that can be read of a thread, and its facts."""
    info = thread_info(saver, thread)
    return (
        everything(saver, thread, *NAMESPACES, thread),
        saver.get_pending_writes(at(thread, id="to come")),
        info and (info.created, info.updated, info.checkpoints, info.namespaces),
    )
