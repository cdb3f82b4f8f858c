"""Runs of graphs over every backend: blocking with a blocking saver, awaited with an awaited one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zerograph
from support.graphs import summary
from support.stores import ENGINE_STORES, USUAL_ENGINE_STORES, make_store, matrix


class Runs:
    """Runs graphs on a thread, through blocking or awaited methods, with a new saver object wherever the store allows."""

    def __init__(self, open_saver: Callable[[], Any], runner: asyncio.Runner | None) -> None:
        self._open = open_saver
        self._runner = runner

    def compiled(self, graph: Callable[..., Any], **options: Any) -> Any:
        return graph(checkpointer=self._open(), **options)

    def invoke(self, app: Any, given: Any, thread: str = "thread", **configurable: Any) -> Any:
        config = {"configurable": {"thread_id": thread, **configurable}}
        if self._runner is None:
            return app.invoke(given, config)
        return self._runner.run(app.ainvoke(given, config))

    def stream(self, app: Any, given: Any, mode: Any) -> list[Any]:
        config = {"configurable": {"thread_id": "thread"}}
        if self._runner is None:
            return list(app.stream(given, config, stream_mode=mode))

        async def collect() -> list[Any]:
            return [event async for event in app.astream(given, config, stream_mode=mode)]

        return self._runner.run(collect())

    def state(self, app: Any, thread: str = "thread", **more: Any) -> Any:
        return app.get_state({"configurable": {"thread_id": thread}}, **more)

    def history(self, app: Any, thread: str = "thread", limit: int = 100) -> list[Any]:
        return app.get_state_history({"configurable": {"thread_id": thread}}, limit=limit)

    def transcript(self, app: Any, thread: str = "thread") -> Any:
        """All that can be seen of a thread: its state with those of its subgraphs, and its history."""
        return [
            summary(self.state(app, thread, subgraphs=True)),
            [summary(each) for each in self.history(app, thread)],
            self.namespaces(app, thread),
        ]

    @staticmethod
    def namespaces(app: Any, thread: str) -> dict[str, Any]:
        """The sizes of the namespaces that the graphs of these tests have."""
        saver = app._loop.checkpointer
        sizes = {}
        for namespace in ("", "middle", "middle|inner", "__previous__"):
            found = saver.list({"configurable": {"thread_id": thread, "checkpoint_ns": namespace}}, limit=100)
            sizes[namespace] = (len(found), [len(each.pending_writes or []) for each in found])
        return sizes


@pytest.fixture(params=matrix(ENGINE_STORES, USUAL_ENGINE_STORES))
def runs(request: pytest.FixtureRequest) -> Iterator[Runs]:
    """Every backend, both ways."""
    store = make_store(request.param, request)
    if store.shared:
        yield Runs(store.open_bare, store.runner if store.asynchronous else None)
    else:
        saver = store.open_bare()
        yield Runs(lambda: saver, store.runner if store.asynchronous else None)
    store.close()


@pytest.fixture
def expected(runs: Runs) -> Iterator[Runs]:
    """The same way of running, on ZeroGraph's own saver."""
    saver = zerograph.InMemorySaver()
    if runs._runner is None:
        yield Runs(lambda: saver, None)
    else:
        with asyncio.Runner() as runner:
            yield Runs(lambda: saver, runner)
