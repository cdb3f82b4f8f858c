"""A process that moves threads and is killed in the middle, or that writes while threads are moved."""

from __future__ import annotations

import os
import signal
import sys
import threading

from support.data import at, state
from support.moves import ignore, load, migrate, store_of
from zerograph_redis import open_saver
from zerograph_redis.core import requests
from zerograph_redis.tools.transfer.exports import ExportFile
from zerograph_redis.tools.transfer.moves import list_source
from zerograph_redis.tools.transfer.zerograph_files import EngineFile


class Dying:
    """A backend that is killed before or after the n-th request of a kind."""

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


def move(action, place, url, prefix, *death):
    """Migrate from an engine's file, or import."""
    with open_saver(url, prefix=prefix) as saver:
        store = store_of(saver)
        if death:
            store.backend = Dying(store.backend, *death)
        if action == "migrate":
            migrate(EngineFile(place, store.settings), store)
        else:
            load(place, store)


def export(place, url, prefix, level, side=None, *death):
    """Export, and die at a request to the source, to the file, or when the file is synced for the n-th time."""
    with open_saver(url, prefix=prefix) as saver:
        source = store_of(saver)
        with ExportFile(place, "everything", source.settings) as file:
            if side == "source":
                source.backend = Dying(source.backend, *death)
            elif side == "file":
                file.store.backend = Dying(file.store.backend, *death)
            file.add(source, sorted(list_source(source)), ignore)
            if side == "sync":
                die_at_sync(int(death[0]))
            file.publish(int(level) or None)


def die_at_sync(number):
    """Be killed before the n-th fsync."""
    left, fsync = [number], os.fsync

    def counted(file):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        fsync(file)

    os.fsync = counted


def work(url, prefix):
    """Write to a thread, and continue every tenth that is moved, until the standard input ends."""
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
    elif sys.argv[1] == "export":
        export(*sys.argv[2:])
    else:
        move(*sys.argv[1:])
