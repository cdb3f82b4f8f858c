"""A process that forks while it uses a saver; both processes go on, and the parent prints the results."""

from __future__ import annotations

import asyncio
import os
import sys
import threading

from support.data import at, fill, ids, state
from zerograph_redis import AsyncRedisSaver, InMemorySaver, RedisSaver, SqliteSaver


def go_on(saver, name):
    for number in range(30):
        saver.put(at(name), state(f"{name}{number}"), {})
        saver.put_writes(at("shared", id="c0"), [(name, str(number), number)], "")
        assert saver.get(at(name))["id"] == f"{name}{number}"
        assert saver.get(at("before"))["id"] == "c4"


def forked(saver, close, threads):
    """Fork, while so many other OS threads use the saver."""
    fill(saver, 5, "before")
    stop, failed = threading.Event(), []

    def use(number):
        while not stop.is_set():
            try:
                saver.put(at(f"busy {number}"), state("c"), {})
                saver.get_tuple(at("before"))
            except BaseException as error:
                failed.append(error)
                raise

    busy = [threading.Thread(target=use, args=(number,)) for number in range(threads)]
    for each in busy:
        each.start()
    children = []
    for name in ("first", "second"):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                go_on(saver, name)
                close()
                code = 0
            finally:
                os._exit(code)
        children.append(pid)
    go_on(saver, "parent")
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    stop.set()
    for each in busy:
        each.join()
    names = ("parent", "first", "second") if not isinstance(saver, InMemorySaver) else ("parent",)
    for name in names:
        assert ids(saver.list(at(name), limit=None)) == [f"{name}{number}" for number in range(29, -1, -1)]
    assert len(saver.get_pending_writes(at("shared", id="c0"))) == 30 * len(names)
    assert not failed, failed
    close()
    sys.stdout.write(f"{codes}\n")


def main(kind, where, prefix, busy):
    threads = int(busy)
    if kind == "memory":
        saver = InMemorySaver()
        forked(saver, saver.close, threads)
    elif kind == "sqlite":
        saver = SqliteSaver(where)
        forked(saver, saver.close, threads)
    elif kind == "redis":
        saver = RedisSaver.from_url(where, prefix=prefix)
        forked(saver, saver.close, threads)
    else:
        saver = AsyncRedisSaver.from_url(where, prefix=prefix)

        async def before():
            await saver.aput(at("awaited"), state("c0"), {})

        async def after():
            await saver.aput(at("awaited"), state("c1"), {})
            assert (await saver.aget(at("awaited")))["id"] == "c1"
            await saver.aclose()

        asyncio.run(before())
        forked(saver, lambda: None, threads)
        asyncio.run(after())


if __name__ == "__main__":
    main(*sys.argv[1:])
