"""A process that puts and ends in a chosen way while its writes are still queued."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading

from support.data import at, state
from zerograph_redis import open_saver

COUNT = 40


def put(saver, thread="thread"):
    for number in range(COUNT):
        saver.put(at(thread), {**state(f"c{number}", text="x" * 2000), "_next_nodes": ["next"]}, {})
        saver.put_writes(at(thread, id=f"c{number}"), [("task", "a", number)], "")
    assert saver._queue.is_busy, "nothing is queued, so this proves nothing"


def in_a_process(url):
    put(open_saver(url, durability="async"))


def main(way, url):
    if way == "process":
        child = multiprocessing.get_context("fork").Process(target=in_a_process, args=(url,))
        child.start()
        child.join()
        return
    saver = open_saver(url, durability="async")
    if way == "thread":
        # This OS thread still runs when the main thread ends.
        begin = threading.Event()
        threading.Thread(target=lambda: [begin.wait(), threading.main_thread().join(), put(saver)]).start()
        begin.set()
        return
    if way == "atexit":
        import atexit

        atexit.register(put, saver)
        return
    put(saver)
    if way == "exit":
        sys.exit(3)
    elif way == "error":
        raise RuntimeError("nobody catches this")
    elif way == "forgotten":
        del saver
    elif way == "child":
        # A forked child that ends must not store what its parent queued.
        if os.fork() == 0:
            sys.exit(0)
        os.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
