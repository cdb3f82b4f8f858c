"""The data: threads of checkpoints, the same in every run, with random text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, ClassVar, NamedTuple

from .text import Writer

Values = dict[str, Any]


def config(thread: str, checkpoint_id: str | None = None) -> dict[str, Any]:
    """A config like those of the engine."""
    named = {} if checkpoint_id is None else {"checkpoint_id": checkpoint_id}
    return {"configurable": {"thread_id": thread, "checkpoint_ns": "", **named}}


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    quick: bool = False
    steps: int = 500
    threads: int = 2000
    reads: int = 500
    lists: int = 200
    long_lists: int = 20
    long_thread: int = 100_000
    bounded: int = 20_000
    rounds: int = 500
    puts: int = 1500
    chats: int = 3
    turns: int = 5


QUICK = Scale(
    quick=True, steps=80, threads=40, reads=40, lists=16, long_lists=4, long_thread=3000, bounded=1500, rounds=100,
    puts=200, chats=1, turns=2,
)  # fmt: skip


class Step(NamedTuple):
    """One step of a graph: the checkpoint that it stores, and the pending writes beside it."""

    thread: str
    checkpoint_id: str
    parent: dict[str, Any]
    config: dict[str, Any]
    checkpoint: dict[str, Any]
    metadata: dict[str, Any]
    task: str
    writes: list[tuple[str, str, Any]]


_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class Workload:
    """Threads whose states change in one particular way."""

    name: ClassVar[str]
    about: ClassVar[str]
    seed: ClassVar[int] = 1

    def threads(self, scale: Scale) -> int:  # noqa: ARG002 - for those with many
        """How many threads there are."""
        return 1

    def length(self, scale: Scale) -> int:
        """How many checkpoints each has."""
        return scale.steps

    def values(self, writer: Writer) -> Iterator[Values]:
        """The state after each step, without end."""
        raise NotImplementedError

    def steps(self, scale: Scale) -> Iterator[Step]:
        """All steps, thread after thread."""
        for number in range(self.threads(scale)):
            yield from islice(self.thread(f"{self.name}-{number}", number), self.length(scale))

    def thread(self, name: str, number: int) -> Iterator[Step]:
        """The steps of one thread, without end."""
        writer = Writer(self.seed * 1_000_000 + number)
        parent = None
        for step, values in enumerate(self.values(writer)):
            order = number * 1_000_000 + step + 1
            checkpoint_id, task = writer.uuid(order), writer.uuid(order)
            checkpoint = {
                "v": 1,
                "id": checkpoint_id,
                "ts": (_BEGIN + timedelta(microseconds=order * 1000)).isoformat(),
                "channel_values": values,
                "channel_versions": {},
                "versions_seen": {},
                "_step": step,
                "_next_nodes": ["agent"],
            }
            writes = [(task, channel, writer.text(200)) for channel in ("messages", "notes")]
            metadata = {"source": "loop", "step": step}
            own = config(name, checkpoint_id)
            yield Step(name, checkpoint_id, config(name, parent), own, checkpoint, metadata, task, writes)
            parent = checkpoint_id

    @staticmethod
    def small_values(writer: Writer, step: int) -> Values:
        """Five small values."""
        return {
            "user": "u-20418",
            "turn": step,
            "score": round(writer.random.random(), 6),
            "done": False,
            "topic": "refund of an order",
        }


class Chat(Workload):
    """A conversation over a document."""

    name = "chat"
    about = "a list grows by one 300-byte message a step; a constant 20 KB document, five small values"

    def values(self, writer: Writer) -> Iterator[Values]:
        """See the class."""
        document = writer.text(20_000)
        messages: list[dict[str, str]] = []
        step = 0
        while True:
            messages = self.change(messages, writer)
            yield {**self.small_values(writer, step), "document": document, "messages": messages}
            step += 1

    def change(self, messages: list[dict[str, str]], writer: Writer) -> list[dict[str, str]]:
        """The list after one more step; the old one stays as it is."""
        return [*messages, writer.message()]


class ChatRoot(Chat):
    """A conversation in a graph whose state is one dict."""

    name = "chat-root"
    about = "the same under one __root__ dict"

    def values(self, writer: Writer) -> Iterator[Values]:
        """See the class."""
        for values in super().values(writer):
            yield {"__root__": values}


class Edit(Chat):
    """A conversation whose past changes."""

    name = "edit"
    about = "chat, and one random old message changes per step too"

    def change(self, messages: list[dict[str, str]], writer: Writer) -> list[dict[str, str]]:
        """See the class."""
        messages = super().change(messages, writer)
        place = writer.random.randrange(len(messages))
        messages[place] = {**messages[place], "content": writer.message()["content"]}
        return messages


class Window(Chat):
    """A conversation that drops old messages."""

    name = "window"
    about = "chat, and the list keeps its last 100"

    def change(self, messages: list[dict[str, str]], writer: Writer) -> list[dict[str, str]]:
        """See the class."""
        return super().change(messages, writer)[-100:]


class RandomBytes(Workload):
    """The worst case: every state is new."""

    name = "random"
    about = "20 KB of fresh random bytes each step"

    def values(self, writer: Writer) -> Iterator[Values]:
        """See the class."""
        step = 0
        while True:
            yield {**self.small_values(writer, step), "blob": writer.random.randbytes(20_000)}
            step += 1


class Small(Workload):
    """Many short threads."""

    name = "small"
    about = "2,000 threads of 5 checkpoints of 2 KB"

    def threads(self, scale: Scale) -> int:
        """See the class."""
        return scale.threads

    def length(self, scale: Scale) -> int:  # noqa: ARG002 - always the same
        """See the class."""
        return 5

    def values(self, writer: Writer) -> Iterator[Values]:
        """A question of 850 bytes, and up to five short messages about it: the last of them in a longer thread."""
        question = writer.text(850)
        messages: list[dict[str, str]] = []
        step = 0
        while True:
            messages = [*messages, writer.message()][-5:]
            yield {**self.small_values(writer, step), "question": question, "messages": messages}
            step += 1


WORKLOADS: dict[str, Workload] = {
    each.name: each for each in (Chat(), ChatRoot(), Edit(), Window(), RandomBytes(), Small())
}
