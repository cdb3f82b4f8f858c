"""A process that moves threads and dies in the middle, or that works on while threads are moved."""

from __future__ import annotations

import os
import signal
import sys
import threading

from support.data import at, state
from support.moves import end_of
from zerograph_redis import open_saver
from zerograph_redis.core import requests
from zerograph_redis.tools.transfer.archive import Archive, ArchiveWriter
from zerograph_redis.tools.transfer.engine import EngineFile
from zerograph_redis.tools.transfer.exports import Export
from zerograph_redis.tools.transfer.moves import import_threads, migrate_threads


class Dying:
    """Answers as a backend does, and is killed before or after the n-th request of a kind."""

    def __init__(self, inner, kind, number, when):
        self.inner, self.kind, self.left, self.when = inner, getattr(requests, kind), int(number), when

    def execute(self, request):
        counts = isinstance(request, self.kind)
        self.left -= counts
        if counts and not self.left and self.when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        reply = self.inner.execute(request)
        if counts and not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        return reply


def ignore(_):
    pass


def move(action, place, url, prefix, *death):
    """Migrate from an engine's file, export, or import."""
    with open_saver(url, prefix=prefix) as saver:
        end = end_of(saver)
        if death:
            end.store.backend = Dying(end.store.backend, *death)
        if action == "migrate":
            source = EngineFile(place, end.settings)
            migrate_threads(source, end, source.threads(""), ignore)
        elif action == "import":
            with Archive(place) as archive:
                import_threads(archive, end, lambda _: True, ignore)
        elif action == "export":
            with ArchiveWriter(place, "all") as writer:
                going = Export(end, end.settings, writer)
                going.write(sorted(end.threads("")), ignore)
                going.finish(ignore)


def work(url, prefix):
    """Write to a thread of one's own, and go on with every tenth that comes, until the standard input ends."""
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    with open_saver(url, prefix=prefix) as saver:
        number = 0
        while not ended.is_set():
            number += 1
            saver.put(at("own"), state(f"own{number}"), {})
            for info in saver.list_threads(limit=None):
                if info.thread_id.endswith("0"):
                    found = saver.get_tuple(at(info.thread_id))
                    config = saver.put(found.config, state(f"work{number}", n=number), {"step": number})
                    saver.put_writes(config, [("t", "c", number)], "")
            sys.stdout.write(".")
            sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1] == "work":
        work(*sys.argv[2:])
    else:
        move(*sys.argv[1:])
