"""``durability="async"``: writes that are acknowledged once they are packed, and stored in the background.

A saver has one `WriteQueue`. Writes of a thread wait in a line, and a writer, an OS thread of the queue's own, stores the
lines side by side, each in order. A call on a thread through the saver waits for its line first. A write that fails
takes the line behind it along, so that what is stored of a thread is always a prefix of what was put; the failure is raised
by the next call on the thread.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import sys
import threading
import weakref
from _thread import allocate_lock, start_new_thread
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence, Sized
from contextlib import suppress
from contextvars import Context, copy_context
from itertools import islice, takewhile
from queue import Empty, SimpleQueue
from time import monotonic
from types import GeneratorType
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, TypeVar, cast

from zerograph.constants import INTERRUPT

from .core.bundles import Bundle, together
from .core.checkpoint_operations import PreparedWrites
from .core.drive import Backend, run
from .core.requests import LeaseThread, Operation, Request
from .core.states import PreparedPut
from .display import about, quoted
from .errors import BackendUnavailableError, CheckpointError
from .forks import settle
from .ids import WITHIN
from .store import Store

if TYPE_CHECKING:
    from .core.settings import Observer

_log = logging.getLogger(__name__)

R = TypeVar("R")

MOST_BYTES = 8 * 1024 * 1024
"""How many packed bytes may wait; a put that would be more waits until there is room."""
AGE = 0.01
"""Seconds that a write waits at the most for others to go with it; not if somebody waits for it."""
ENOUGH = 32
"""So many writes of a thread do not wait for more."""
WIDTH = 16
"""How many threads are stored side by side: a server does what arrives together in one go, and others wait for so long."""
LOOKS = 100
"""How often the writer looks for more without being woken, every `AGE` seconds, before it sleeps."""
IDLE = 5.0
"""Seconds of sleep after which the writer ends."""

Prepared = PreparedPut | PreparedWrites


class _Gate:
    """What an OS thread waits at; whoever opens it says what failed."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()
        self.failure: _Failure | None = None

    def open(self) -> None:
        self._lock.release()

    def wait(self) -> None:
        self._lock.acquire()


class _AsyncGate:
    """What a task waits at."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._opened = asyncio.Event()
        self.failure: _Failure | None = None

    def open(self) -> None:
        with suppress(RuntimeError):  # the event loop is closed, so nobody waits
            self._loop.call_soon_threadsafe(self._opened.set)

    async def wait(self) -> None:
        await self._opened.wait()


Gate = _Gate | _AsyncGate
G = TypeVar("G", _Gate, _AsyncGate)


class Write:
    """A write that waits to be stored."""

    __slots__ = ("context", "gates", "is_queued", "prepared", "queued", "size")

    def __init__(self, prepared: Prepared, context: Context | None) -> None:
        """Queue what was prepared; an operation that is observed runs in *context*."""
        self.prepared = prepared
        self.context = context
        self.size = prepared.size
        self.queued = monotonic()
        self.is_queued = False
        self.gates: list[Gate] = []


class _Failure(NamedTuple):
    """What ended a line."""

    error: Exception
    dropped: int
    """How many writes were behind the one that failed."""

    def raised(self, thread: str) -> CheckpointError:
        """Return what whoever asks for the thread next is told."""
        error = self.error
        kind = type(error) if isinstance(error, CheckpointError) else BackendUnavailableError
        behind = f", and {self.dropped} more behind it {'was' if self.dropped == 1 else 'were'} not stored"
        told = kind(
            f"a write to thread {quoted(thread)} that had been acknowledged (durability='async') failed"
            f"{behind if self.dropped else ''}. Read the thread again before you write to it. The failure: {error}"
        )
        told.__dict__.update(vars(error))
        told.__cause__ = error.__cause__ if isinstance(error, CheckpointError) else error
        return told


class Queueing(TypedDict, total=False):
    """What a `WriteQueue` has to know of its store."""

    place_of: Callable[[str], Hashable]
    """Where a thread is: an outage is one of a place."""
    one_by_one: bool
    """Whether no two writes may go together."""


class WriteQueue:
    """The writes of a saver that are acknowledged and not stored yet.

    The lock is held for a few steps at a time, never while anything waits. An exception of a signal handler in the midst of
    them leaves a write queued or not; at worst it is not counted, until the queue is empty again.
    """

    def __init__(
        self,
        store: Store[Backend],
        observer: Observer | None = None,
        *,
        place_of: Callable[[str], Hashable] = lambda thread: None,  # noqa: ARG005 - a store of one place
        one_by_one: bool = False,
    ) -> None:
        """Store writes in *store*; see `Queueing` for the rest."""
        self._store = store
        self._observer = observer
        self._place_of = place_of
        self._one_by_one = one_by_one
        self._in_batches = not one_by_one and store.settings.encryption is None
        self._closed = False
        self.is_used = False
        """Whether anything was ever queued."""
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._begin()
        settle(self)
        _queues.add(self)

    def _begin(self) -> None:
        # Reentrant, since a signal handler may put or ask in the midst of a put.
        self._lock: Any = threading.RLock()
        self._lines: OrderedDict[str, deque[Write]] = OrderedDict()
        """By thread, roughly in the order of their oldest writes; none is empty."""
        self._ready: dict[str, None] = {}
        """Threads whose lines wait for nothing any more."""
        self._failures: dict[str, _Failure] = {}
        self._bytes = 0
        self._full: list[Gate] = []
        self._is_writing = self._is_started = self._is_asleep = False

    def before_fork(self) -> None:
        """Nothing has to come to its end."""

    def after_fork(self, *, child: bool) -> None:
        """Begin empty in the child: what is queued is the parent's to store."""
        if child:
            self._begin()

    @property
    def has_news(self) -> bool:
        """Whether there may be something to wait for, or a failure to raise."""
        return bool(self._lines or self._failures)

    def has_news_of(self, thread: str) -> bool:
        """Whether there is something of a thread to wait for, or a failure to raise."""
        return thread in self._lines or thread in self._failures

    # To queue.

    def put(self, prepared: Prepared, *, stored: bool) -> None:
        """Queue a write; returns once there was room for it, or once it is *stored*.

        Raises:
            CheckpointError: An earlier write to the thread failed; or, if it was to be stored, this one did.
        """
        write = Write(prepared, None if self._observer is None else copy_context())
        stored = stored or _is_exiting
        while (gate := self._admit(write, _Gate, stored=stored)) is not None:
            if not write.is_queued:
                self._check()
            gate.wait()
            if write.is_queued:
                self._raise({prepared.address.thread: gate.failure})
                return

    async def aput(self, prepared: Prepared, *, stored: bool) -> None:
        """Await `put`."""
        write = Write(prepared, None if self._observer is None else copy_context())
        stored = stored or _is_exiting
        while (gate := self._admit(write, _AsyncGate, stored=stored)) is not None:
            await gate.wait()
            if write.is_queued:
                self._raise({prepared.address.thread: gate.failure})
                return

    def _admit(self, write: Write, kind: type[G], *, stored: bool) -> G | None:
        """Queue a write. Returns what to wait at: until there is room, or, once it is queued, until it is stored."""
        thread = write.prepared.address.thread
        gate = None
        if stored:
            self._check()
        with self._lock:
            if self._closed:
                raise BackendUnavailableError("the saver was closed: make another one")
            self._raise(self._failed(thread))
            if self._bytes and self._bytes + write.size > MOST_BYTES:
                gate = kind()
                self._full.append(gate)
                self._ready.update(dict.fromkeys(self._lines))
            else:
                self.is_used = True
                self._start()
                line = self._lines.setdefault(thread, deque())
                if stored:
                    gate = kind()
                    write.gates.append(gate)
                write.is_queued = True
                line.append(write)
                self._bytes += write.size
                if stored or len(line) >= ENOUGH:
                    self._ready[thread] = None
            wakes = self._is_asleep or bool(self._ready)
        if wakes:
            self._wake.put(None)
        return gate

    def _start(self) -> None:
        if not self._is_writing and not self._is_started:
            # Not a Thread of `threading`: starting one is itself code that must not be interrupted.
            start_new_thread(self._write, ())
            self._is_started = True

    # To wait.

    def flush(self, thread: str | None = None, *, quiet: bool = False) -> None:
        """Wait until what is queued now is stored: of a thread, or of all.

        Raises:
            CheckpointError: A write failed, unless this is *quiet*: then the failure stays for who asks next.
        """
        gates = self._watch(thread, _Gate)
        for gate in gates.values():
            gate.wait()
        if not quiet:
            # Who waited is told what failed there, though another may have been told before.
            self._raise({**{each: gate.failure for each, gate in gates.items()}, **self._failed(thread)})

    async def aflush(self, thread: str | None = None, *, quiet: bool = False) -> None:
        """Await `flush`."""
        gates = self._watch(thread, _AsyncGate)
        for gate in gates.values():
            await gate.wait()
        if not quiet:
            # Who waited is told what failed there, though another may have been told before.
            self._raise({**{each: gate.failure for each, gate in gates.items()}, **self._failed(thread)})

    def close(self) -> None:
        """Take nothing any more, and store what is queued."""
        self._closed = True
        self.flush()

    async def aclose(self) -> None:
        """Await `close`."""
        self._closed = True
        await self.aflush()

    def _watch(self, thread: str | None, kind: type[G]) -> dict[str, G]:
        gates: dict[str, G] = {}
        self._check()
        with self._lock:
            for each in list(self._lines) if thread is None else [thread]:
                line = self._lines.get(each)
                if line:
                    gates[each] = kind()
                    line[-1].gates.append(gates[each])
                    self._ready[each] = None
            if gates:
                self._start()
        if gates:
            self._wake.put(None)
        return gates

    def _check(self) -> None:
        """Refuse to wait for the writer where it waits for the lock that this OS thread holds."""
        if self._lock._is_owned():  # noqa: SLF001 - as `threading.Condition` asks
            raise BackendUnavailableError("a signal handler waits for what is queued, in the middle of queueing it")

    def _failed(self, thread: str | None) -> Mapping[str, _Failure]:
        if thread is None:
            return dict(self._failures)
        failure = self._failures.get(thread)
        return {} if failure is None else {thread: failure}

    def _raise(self, failed: Mapping[str, _Failure | None]) -> None:
        """Raise the failures of threads, if there are some, as one; they are forgotten then, and not before."""
        failures = {thread: failure for thread, failure in failed.items() if failure is not None}
        if not failures:
            return
        try:
            error, *others = (failure.raised(thread) for thread, failure in failures.items())
            for other in others:
                error.add_note(str(other))
            raise error
        finally:
            for thread, failure in failures.items():
                if self._failures.get(thread) is failure:
                    self._failures.pop(thread, None)

    # To store: the writer's part, which no signal handler interrupts.

    def _write(self) -> None:
        threading.current_thread().name = "zerograph-redis-writer"
        with self._lock:
            if self._is_writing:
                return
            self._is_writing = True
        while self._wait():
            self._take_turn()

    def _wait(self) -> bool:
        """Wait until there is something to store; False if there was nothing for long, and the writer is to end.

        For a while after a write it looks by itself whether there are more: a put need not wake it then.
        """
        looks = LOOKS
        while True:
            with self._lock:
                if self._ready:
                    return True
                self._is_asleep = looks == 0
            try:
                self._wake.get(timeout=AGE if looks else IDLE)
            except Empty:
                with self._lock:
                    if self._lines:
                        self._ready.update(dict.fromkeys(self._lines))
                    elif self._is_asleep:
                        self._is_writing = self._is_started = self._is_asleep = False
                        return False
                looks -= 1
            else:
                looks = LOOKS
                while not self._wake.empty():
                    self._wake.get()

    def _take_turn(self) -> None:
        """Store the head of each line that is due."""
        begun = monotonic()
        place, turn = self._next_turn(begun)
        under_way = set(turn)

        def store(thread: str, writes: Sequence[Write]) -> Operation[None]:
            count, error = 0, None
            try:
                if len(writes) > 1:
                    count = yield from self._observed(
                        writes[0],
                        "write_batch",
                        self._store.operations.store_batch([write.prepared for write in writes]),
                    )
                if not count:
                    yield from self._store_one(writes[0])
                    count = 1
            except Exception as caught:  # noqa: BLE001 - it is raised by who asks for the thread next
                error = caught
            under_way.discard(thread)
            self._finish(thread, count, error)

        operations = [store(thread, writes) for thread, writes in turn.items()]
        try:
            if self._one_by_one:
                run(operations[0], self._store.backend)
            else:
                run(together(operations, lambda _: None), self._store.backend)
        except Exception as error:  # noqa: BLE001 - as above
            for thread in under_way:
                self._finish(thread, 0, error)
            if not self._one_by_one:
                # Nothing of this place was answered for as long as a request may take.
                self._give_up(place, begun, error)

    def _store_one(self, write: Write) -> Operation[None]:
        prepared = write.prepared
        if isinstance(prepared, PreparedPut):
            return self._observed(write, "put", self._store.operations.store_put(prepared))
        return self._observed(write, "put_writes", self._store.operations.store_writes(prepared))

    def _observed(self, write: Write, name: str, operation: Operation[R]) -> Operation[R]:
        if write.context is None or self._observer is None:
            return operation
        cast("GeneratorType[Any, Any, R]", operation).__name__ = name  # which an observer calls it by
        return _in_context(write.context, self._observer, operation)

    def _next_turn(self, now: float) -> tuple[Hashable, dict[str, Sequence[Write]]]:
        with self._lock:
            for thread, line in self._lines.items():
                if line[0].queued + AGE > now:
                    break
                self._ready[thread] = None  # those that nobody waits for have their turn too
            turn: dict[str, Sequence[Write]] = {}
            place: Hashable = None
            for thread in self._ready:
                if not turn:
                    place = self._place_of(thread)
                elif self._place_of(thread) != place:
                    continue
                turn[thread] = self._head(self._lines[thread])
                if self._one_by_one or len(turn) == WIDTH:
                    break
            return place, turn

    def _head(self, line: deque[Write]) -> Sequence[Write]:
        """What of a line may go together."""
        first = line[0].prepared
        if not self._in_batches or not _may_go_together(first, first):
            return [line[0]]
        head = takewhile(lambda write: _may_go_together(first, write.prepared), islice(line, ENOUGH))
        return list(head)

    def _finish(self, thread: str, count: int, error: Exception | None) -> None:
        """Take the writes that were stored from their line, or, after an error, all of it."""
        with self._lock:
            line = self._lines[thread]
            failure = None
            if error is not None:
                count = len(line)
                failure = self._failures[thread] = _Failure(error.with_traceback(None), count - 1)
            done = [line.popleft() for _ in range(count)]
            self._bytes -= sum(write.size for write in done)
            self._ready.pop(thread, None)
            if line:
                self._lines.move_to_end(thread)
                if len(line) >= ENOUGH or any(write.gates for write in line):
                    self._ready[thread] = None
            else:
                del self._lines[thread]
            if not self._lines:
                self._bytes = 0
            opened: list[Gate] = [gate for write in done for gate in write.gates]
            for gate in opened:
                gate.failure = failure
            opened += self._full
            self._full.clear()
        if failure is not None:
            _log.error("%s", failure.raised(thread), extra=about(thread))
        for gate in opened:
            gate.open()

    def _give_up(self, place: Hashable, begun: float, error: Exception) -> None:
        """Fail the lines of a place that waited while it did not answer."""
        with self._lock:
            lines = [thread for thread, line in self._lines.items() if line[0].queued < begun]
            self._ready.update(dict.fromkeys(lines))
        for thread in lines:
            if self._place_of(thread) == place:
                self._finish(thread, 0, error)


def _may_go_together(first: Prepared, other: Prepared) -> bool:
    """Tell whether a write may be in a batch with another one before it."""
    return (
        other.address.expected is None
        and other.fence == first.fence
        and other.address.ttl == first.address.ttl
        and (isinstance(other, PreparedPut) or bool(other.packed))
    )


def _in_context(context: Context, observer: Observer, operation: Operation[R]) -> Operation[R]:
    """Observe an operation in the context that asked for it, while others run beside it."""

    def observed() -> Operation[R]:
        with observer.observe(operation) as watched:
            return (yield from watched)

    steps, reply = observed(), None
    while True:
        try:
            if isinstance(reply, CheckpointError):
                request = context.run(steps.throw, reply)
            else:
                request = context.run(steps.send, reply)
        except StopIteration as end:
            result: R = end.value
            return result
        try:
            reply = yield request
        except CheckpointError as error:
            reply = error
        except BaseException:
            context.run(steps.close)
            raise


class QueuedBackend:
    """Answers a request once what is queued of its thread is stored."""

    def __init__(self, backend: Any, queue: WriteQueue) -> None:
        """Have *backend* answer after *queue*."""
        self._backend = backend
        self._queue = queue

    def execute(self, request: Request[R]) -> R:
        """Answer *request*, blocking."""
        for thread, quiet in _threads_of(request):
            if thread is None or self._queue.has_news_of(thread):
                self._queue.flush(thread, quiet=quiet)
        reply: R = self._backend.execute(request)
        return reply


class AsyncQueuedBackend(QueuedBackend):
    """The same, for a backend that answers both ways."""

    async def aexecute(self, request: Request[R]) -> R:
        """Answer *request* without blocking the event loop."""
        for thread, quiet in _threads_of(request):
            if thread is None or self._queue.has_news_of(thread):
                await self._queue.aflush(thread, quiet=quiet)
        reply: R = await self._backend.aexecute(request)
        return reply


def _threads_of(request: Request[Any]) -> Iterable[tuple[str | None, bool]]:
    """Name the threads that a request is about, None for all, each with whether it leaves their failures to others."""
    match request:
        case LeaseThread(action="renew" | "look"):
            return ()
        case LeaseThread(action="release"):
            # The block that ends raises the failure itself.
            return ((request.thread, True),)
        case Bundle():
            return [each for one in request.requests for each in _threads_of(one)]
    thread = getattr(request, "thread", None)
    if thread is not None:
        return ((thread, False),)
    return [(each, True) for each in getattr(request, "threads", (None,))]


class Runs:
    """Tells after which checkpoints a run of ZeroGraph's engine does not go on by itself.

    It ended if no node is next. It waits for a person after a checkpoint of an interrupt, and where the engine stores the
    same step again, as it does before a node of ``interrupt_before`` and after one of ``interrupt_after``.
    """

    def __init__(self) -> None:
        """Know no run."""
        self._steps: OrderedDict[tuple[str, str], tuple[str, Any]] = OrderedDict()
        """Of each namespace the last checkpoint, and its step."""

    def stops_at(self, prepared: PreparedPut, checkpoint: Mapping[str, Any], metadata: Any) -> bool:
        """Tell whether a run may stop at a checkpoint."""
        address, step = prepared.address, checkpoint.get("_step")
        key = (address.thread, address.namespace)
        known = self._steps.pop(key, None)
        self._steps[key] = (prepared.checkpoint_id, step)
        if len(self._steps) > _RUNS:
            with suppress(KeyError):  # another OS thread was faster
                self._steps.popitem(last=False)
        following = checkpoint.get("_next_nodes", ...)
        if following is None or (isinstance(following, Sized) and not len(following)):
            return True
        source = metadata.get("source") if isinstance(metadata, Mapping) else None
        if isinstance(source, str) and source in _LAST:
            return True
        if not isinstance(step, int):
            return False
        if known is None or address.checkpoint_id not in {None, known[0]}:
            # Of another run, or of one that began elsewhere: only what a run begins with is known not to be its end.
            return step != 0
        return bool(step == known[1])


_RUNS = 10_000
_LAST = ("interrupt", "previous")  # what a functional workflow returned is put as "previous"


def waits_for_a_person(prepared: PreparedWrites) -> bool:
    """Tell whether a run stops at pending writes: those of an interrupt."""
    return any(identity.endswith(WITHIN + INTERRUPT) for identity in prepared.packed)


_queues: weakref.WeakSet[WriteQueue] = weakref.WeakSet()
_is_exiting = False


def _flush_all() -> None:
    for queue in list(_queues):
        queue.flush(quiet=True)  # failures are in the log


def _exit() -> None:
    global _is_exiting  # noqa: PLW0603 - there is one interpreter
    _is_exiting = True
    _flush_all()


def _end_process() -> None:
    # A process of `multiprocessing` runs no `atexit`, and this before its other threads end.
    if "multiprocessing" in sys.modules and sys.modules["multiprocessing"].parent_process() is not None:
        _exit()


atexit.register(_exit)
threading._register_atexit(_end_process)  # type: ignore[attr-defined]  # noqa: SLF001 - as concurrent.futures does
