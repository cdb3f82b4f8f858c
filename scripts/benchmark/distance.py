"""A graph whose server is a millisecond away: the round trips of a run, and its time."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any, Self, TypedDict
from urllib.parse import urlsplit

from zerograph import END, START, StateGraph

from zerograph_redis import RedisSaver

from .backends import OurRedis, opened
from .measure import Progress
from .workloads import Scale, config

STEPS = 20
AWAY, FAR = 0.001, 0.011  # seconds, each way


class State(TypedDict):
    """The state of the graph."""

    turn: int
    text: str


def distance(scale: Scale, progress: Progress) -> dict[str, Any]:
    """Runs of a graph of 20 steps with each durability."""
    with opened(OurRedis) as stores, Proxy(stores[OurRedis.name].server.url) as proxy:
        progress(f"a graph of {STEPS} steps")
        found = {}
        for durability in ("sync", "async"):
            with Counting.from_url(proxy.url, durability=durability) as saver:
                found[durability] = runs(saver, proxy, scale.turns)
    return found


def runs(saver: Counting, proxy: Proxy, times: int) -> dict[str, Any]:
    """Medians over *times* runs at each distance, in turn, each on a new thread, after one run that connects.

    Returns:
        The calls of the engine, the round trips of all connections, the µs of a run, and how many round trips it waits
        for, calculated from the difference between the distances.
    """
    graph = StateGraph(State)
    names = [f"step_{number}" for number in range(STEPS)]
    for name in names:
        graph.add_node(name, lambda state: {"turn": state["turn"] + 1, "text": f"{state['text']}."})
    for one, two in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(one, two)
    app = graph.compile(checkpointer=saver)
    seen: dict[float, list[tuple[float, ...]]] = {AWAY: [], FAR: []}
    for number in range(times + 1):
        for proxy.away, found in seen.items():
            saver.calls = proxy.trips = 0
            begin = time.perf_counter()
            result = app.invoke({"turn": 0, "text": ""}, config(f"{id(saver)}-{number}-{proxy.away}"))
            took = time.perf_counter() - begin
            if result["turn"] != STEPS:
                raise AssertionError(f"the graph ended with {result}")
            found.append((saver.calls, proxy.trips, took))
    calls, trips, near = (statistics.median(each) for each in zip(*seen[AWAY][1:], strict=True))
    far = statistics.median(took for _, _, took in seen[FAR][1:])
    return {
        "calls": calls,
        "trips": trips,
        "waited": round((far - near) / (2 * (FAR - AWAY)), 1),
        "run": round(near * 1e6, 1),
    }


class Counting(RedisSaver):
    """Counts the engine's calls."""

    calls = 0


def _counted(name: str) -> Callable[..., Any]:
    method = getattr(RedisSaver, name)

    def counted(self: Counting, *given: Any, **named: Any) -> Any:
        self.calls += 1
        return method(self, *given, **named)

    return counted


for _name in ("get_tuple", "get_pending_writes", "put", "put_writes"):
    setattr(Counting, _name, _counted(_name))


class Proxy:
    """Forwards bytes between clients and a server, each after a delay; counts round trips.

    A round trip starts with the first bytes that a client sends on a connection after it received some.
    """

    def __init__(self, url: str) -> None:
        """Forward to the server at *url*."""
        self._server = urlsplit(url)
        self.trips = 0
        self.away = AWAY
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        """Listen on a free port."""
        self._thread.start()
        serving = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._listener = asyncio.run_coroutine_threadsafe(serving, self._loop).result()
        self.url = f"redis://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}/0"
        return self

    def __exit__(self, *error: object) -> None:
        """Cut all connections."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        self._listener.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(self._server.hostname, self._server.port)
        delivered = True

        def sent() -> None:
            nonlocal delivered
            self.trips += delivered
            delivered = False

        def answered() -> None:
            nonlocal delivered
            delivered = True

        try:
            await asyncio.gather(
                self._forward(client, to_server, sent, lambda: None),
                self._forward(server, to_client, lambda: None, answered),
            )
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            to_client.close()
            to_server.close()

    async def _forward(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        received: Callable[[], None],
        delivered: Callable[[], None],
    ) -> None:
        def deliver(data: bytes) -> None:
            target.write(data)
            delivered()

        while data := await source.read(2**18):
            received()
            self._loop.call_later(self.away, deliver, data)
        self._loop.call_later(self.away, target.close)
