"""``durability="async"``: writes are acknowledged once they are packed, and stored in the background.

A saver has one `WriteQueue`. The writes of a thread wait in a line. A writer, which is an OS thread of the queue, stores
the lines side by side, each in order. A call of the saver that concerns a thread first waits for its line. When a write
fails, the rest of its line is dropped, so what is stored of a thread is always a prefix of what was put. The next call that
concerns the thread raises the failure.
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
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from itertools import islice, takewhile
from queue import Empty, SimpleQueue
from time import monotonic
from types import GeneratorType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from zerograph_redis.core.bundles import Bundle, together
from zerograph_redis.core.checkpoint_operations import PreparedWrites
from zerograph_redis.core.drive import Backend, run
from zerograph_redis.core.requests import LeaseThread, Operation, Request
from zerograph_redis.core.states import PreparedPut
from zerograph_redis.display import about, quoted
from zerograph_redis.errors import BackendUnavailableError, CheckpointError
from zerograph_redis.fork_hooks import register_at_fork
from zerograph_redis.store import Store

if TYPE_CHECKING:
    from zerograph_redis.core.settings import Observer

_log = logging.getLogger(__name__)

R = TypeVar("R")

MOST_BYTES = 8 * 1024 * 1024
"""How many packed bytes may be queued. A put beyond that waits for room."""
AGE = 0.01
"""Seconds that a write waits at most for others to be stored with it, unless a call waits for it."""
ENOUGH = 32
"""A line of this length does not wait for more writes."""
WIDTH = 16
"""How many threads are stored side by side. A server runs them in one go, and other clients wait for that long."""
POLLS = 100
"""How often the writer polls for writes, every `AGE` seconds, before it sleeps until it is woken."""
IDLE = 5.0
"""Seconds of sleep after which the writer thread ends."""

Prepared = PreparedPut | PreparedWrites


class _Gate:
    """An OS thread waits at it. It carries the failure, if there is one."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()
        self.failure: _Failure | None = None

    def open(self) -> None:
        self._lock.release()

    def wait(self) -> None:
        self._lock.acquire()


class _AsyncGate:
    """A task waits at it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._opened = asyncio.Event()
        self.failure: _Failure | None = None

    def open(self) -> None:
        with suppress(RuntimeError):  # the event loop is closed: nothing waits
            self._loop.call_soon_threadsafe(self._opened.set)

    async def wait(self) -> None:
        await self._opened.wait()


Gate = _Gate | _AsyncGate
G = TypeVar("G", _Gate, _AsyncGate)


class Write:
    """A queued write."""

    __slots__ = ("context", "gates", "is_queued", "prepared", "queued", "size", "stored")

    def __init__(self, prepared: Prepared, context: Context | None, *, stored: bool) -> None:
        self.prepared = prepared
        self.context = context
        self.stored = stored
        """Whether its put returns once it is stored, and not once it is queued."""
        self.size = prepared.size
        self.queued = monotonic()
        self.is_queued = False
        self.gates: list[Gate] = []

    @property
    def config(self) -> dict[str, Any]:
        """The config of its checkpoint."""
        return self.prepared.address.config(self.prepared.checkpoint_id)


class _Failure(NamedTuple):
    """Why a line was dropped."""

    error: Exception
    dropped: int
    """How many writes followed the one that failed."""

    def raised(self, thread: str) -> CheckpointError:
        """Return the error that the next call on the thread raises."""
        error = self.error
        kind = type(error) if isinstance(error, CheckpointError) else BackendUnavailableError
        more = f", and {self.dropped} more after it {'was' if self.dropped == 1 else 'were'} not stored"
        raised = kind(
            f"a write to thread {quoted(thread)} that had been acknowledged (durability='async') failed"
            f"{more if self.dropped else ''}. Read the thread again before you write to it. The failure: {error}"
        )
        raised.__dict__.update(vars(error))
        raised.__cause__ = error.__cause__ if isinstance(error, CheckpointError) else error
        return raised


class WriteQueue:
    """The writes of a saver that are acknowledged and not stored yet.

    The lock is held for a few steps at a time, never while anything waits. An exception of a signal handler between two of
    them leaves a write queued or not queued. At worst its bytes are not counted until the queue is empty again.
    """

    def __init__(
        self,
        store: Store[Backend],
        observer: Observer | None,
        server_of: Callable[[str], Hashable],
        *,
        one_by_one: bool,
    ) -> None:
        """Store writes in *store*.

        *server_of* returns which server a thread is on: an outage affects one server. With *one_by_one*, only one write is
        sent at a time.
        """
        self._store = store
        self._observer = observer
        self._server_of = server_of
        self._one_by_one = one_by_one
        self._in_batches = not one_by_one and store.settings.encryption is None
        self._closed = False
        self.is_used = False
        """Whether anything was ever queued."""
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._begin()
        register_at_fork(self)
        _queues.add(self)

    def _begin(self) -> None:
        # Reentrant: a signal handler may call the saver in the middle of a put.
        self._lock: Any = threading.RLock()
        self._lines: OrderedDict[str, deque[Write]] = OrderedDict()
        """By thread, roughly in the order of their oldest writes. None is empty."""
        self._ready: dict[str, None] = {}
        """Threads whose lines are due."""
        self._failures: dict[str, _Failure] = {}
        self._bytes = 0
        self._full: list[Gate] = []
        self._is_writing = self._is_started = self._is_asleep = False

    def before_fork(self) -> None:
        """Do nothing: no lock is held for long."""

    def after_fork(self, *, child: bool) -> None:
        """Start empty in the child: the parent stores what is queued."""
        if child:
            self._begin()

    @property
    def is_busy(self) -> bool:
        """Whether a write is queued, or a failure is to be raised."""
        return bool(self._lines or self._failures)

    def concerns(self, thread: str) -> bool:
        """Whether a write of a thread is queued, or a failure of it is to be raised."""
        return thread in self._lines or thread in self._failures

    def write(self, prepared: Prepared, *, stored: bool) -> Write:
        """Return a write to `put`, which returns once it is queued, or, if *stored*, once it is stored."""
        context = None if self._observer is None else copy_context()
        return Write(prepared, context, stored=stored or _is_exiting)

    def put(self, write: Write) -> None:
        """Queue a write.

        Raises:
            CheckpointError: An earlier write to the thread failed, or, if it was to be stored, this one did.
        """
        for gate in self._putting(write, _Gate):
            gate.wait()

    async def aput(self, write: Write) -> None:
        """Await `put`."""
        for gate in self._putting(write, _AsyncGate):
            await gate.wait()

    def _putting(self, write: Write, kind: type[G]) -> Iterator[G]:
        """Queue a write. Yields the gates to wait at: for room, and until it is stored."""
        while (gate := self._admit(write, kind)) is not None:
            yield gate
            if write.is_queued:
                self._raise({write.prepared.address.thread: gate.failure})
                return

    def _admit(self, write: Write, kind: type[G]) -> G | None:
        """Queue a write if there is room. Returns the gate to wait at, if there is one."""
        thread = write.prepared.address.thread
        gate = None
        if write.stored:
            self._check()
        with self._lock:
            if self._closed:
                raise BackendUnavailableError("the saver is closed: make another one")
            self._raise(self._failed(thread))
            if self._bytes and self._bytes + write.size > MOST_BYTES:
                gate = kind()
                self._full.append(gate)
                self._ready.update(dict.fromkeys(self._lines))
            else:
                self.is_used = True
                self._start()
                line = self._lines.setdefault(thread, deque())
                if write.stored:
                    gate = kind()
                    write.gates.append(gate)
                write.is_queued = True
                line.append(write)
                self._bytes += write.size
                if write.stored or len(line) >= ENOUGH:
                    self._ready[thread] = None
            wakes = self._is_asleep or bool(self._ready)
        if wakes:
            self._wake.put(None)
        if gate is not None and not write.is_queued:
            self._check()
        return gate

    def _start(self) -> None:
        if not self._is_writing and not self._is_started:
            # Not a threading.Thread: an exception of a signal handler would interrupt its start method.
            start_new_thread(self._write, ())
            self._is_started = True

    def flush(self, thread: str | None = None, *, quiet: bool = False) -> None:
        """Wait until the writes that are queued now are stored: those of a thread, or all.

        Raises:
            CheckpointError: A write failed. If *quiet*, this is left to the next call on the thread.
        """
        for gate in self._flushing(thread, _Gate, quiet=quiet):
            gate.wait()

    async def aflush(self, thread: str | None = None, *, quiet: bool = False) -> None:
        """Await `flush`."""
        for gate in self._flushing(thread, _AsyncGate, quiet=quiet):
            await gate.wait()

    def close(self) -> None:
        """Refuse further writes, and wait until all queued ones are stored."""
        self._closed = True
        self.flush()

    async def aclose(self) -> None:
        """Await `close`."""
        self._closed = True
        await self.aflush()

    def _flushing(self, thread: str | None, kind: type[G], *, quiet: bool) -> Iterator[G]:
        """Yield a gate to wait at for each line, and raise the failures."""
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
        yield from gates.values()
        if not quiet:
            # Every call that waited raises the failure, also if another call raised it before.
            self._raise({**{each: gate.failure for each, gate in gates.items()}, **self._failed(thread)})

    def _check(self) -> None:
        """Refuse to wait for the writer while this OS thread holds the lock that the writer needs."""
        if self._lock._is_owned():  # noqa: SLF001 - as `threading.Condition` asks
            raise BackendUnavailableError(
                "a signal handler cannot wait for queued writes here: it interrupted the queue"
            )

    def _failed(self, thread: str | None) -> Mapping[str, _Failure]:
        if thread is None:
            return dict(self._failures)
        failure = self._failures.get(thread)
        return {} if failure is None else {thread: failure}

    def _raise(self, failed: Mapping[str, _Failure | None]) -> None:
        """Raise the failures of threads as one error, if there are any, and forget them."""
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

    # What follows runs in the writer's OS thread, where no signal handler interrupts it.

    def _write(self) -> None:
        threading.current_thread().name = "zerograph-redis-writer"
        with self._lock:
            if self._is_writing:
                return
            self._is_writing = True
        while self._wait():
            self._take_turn()

    def _wait(self) -> bool:
        """Wait until a line is due. Returns False if nothing was queued for long: the writer ends.

        For a while after a write the writer polls for more: then a put need not wake it.
        """
        polls = POLLS
        while True:
            with self._lock:
                if self._ready:
                    return True
                self._is_asleep = polls == 0
            try:
                self._wake.get(timeout=AGE if polls else IDLE)
            except Empty:
                with self._lock:
                    if self._lines:
                        self._ready.update(dict.fromkeys(self._lines))
                    elif self._is_asleep:
                        self._is_writing = self._is_started = self._is_asleep = False
                        return False
                polls -= 1
            else:
                polls = POLLS
                while not self._wake.empty():
                    self._wake.get()

    def _take_turn(self) -> None:
        """Store the first writes of each line that is due."""
        begun = monotonic()
        server, turn = self._next_turn(begun)
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
                    yield from self._store_write(writes[0])
                    count = 1
            except Exception as caught:  # noqa: BLE001 - the next call on the thread raises it
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
                # This server answered nothing for as long as a request may take.
                self._give_up(server, begun, error)

    def _store_write(self, write: Write) -> Operation[None]:
        prepared = write.prepared
        if isinstance(prepared, PreparedPut):
            return self._observed(write, "put", self._store.operations.store_put(prepared))
        return self._observed(write, "put_writes", self._store.operations.store_writes(prepared))

    def _observed(self, write: Write, name: str, operation: Operation[R]) -> Operation[R]:
        if write.context is None or self._observer is None:
            return operation
        cast("GeneratorType[Any, Any, R]", operation).__name__ = name  # the observer uses it as the name of the span
        return _in_context(write.context, self._observer, operation)

    def _next_turn(self, now: float) -> tuple[Hashable, dict[str, Sequence[Write]]]:
        with self._lock:
            for thread, line in self._lines.items():
                if line[0].queued + AGE > now:
                    break
                self._ready[thread] = None  # lines that no call waits for are stored too
            turn: dict[str, Sequence[Write]] = {}
            server: Hashable = None
            for thread in self._ready:
                if not turn:
                    server = self._server_of(thread)
                elif self._server_of(thread) != server:
                    continue
                turn[thread] = self._head(self._lines[thread])
                if self._one_by_one or len(turn) == WIDTH:
                    break
            return server, turn

    def _head(self, line: deque[Write]) -> Sequence[Write]:
        """Return the first writes of a line that one request can store."""
        first = line[0].prepared
        if not self._in_batches or not _may_go_together(first, first):
            return [line[0]]
        head = takewhile(lambda write: _may_go_together(first, write.prepared), islice(line, ENOUGH))
        return list(head)

    def _finish(self, thread: str, count: int, error: Exception | None) -> None:
        """Remove stored writes from their line, or, after an error, the whole line."""
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

    def _give_up(self, server: Hashable, begun: float, error: Exception) -> None:
        """Drop the lines that waited for a server while it did not answer."""
        with self._lock:
            lines = [thread for thread, line in self._lines.items() if line[0].queued < begun]
            self._ready.update(dict.fromkeys(lines))
        for thread in lines:
            if self._server_of(thread) == server:
                self._finish(thread, 0, error)


def _may_go_together(first: Prepared, other: Prepared) -> bool:
    """Whether one request can store both writes."""
    return (
        other.address.expected is None
        and other.fence == first.fence
        and other.address.ttl == first.address.ttl
        and (isinstance(other, PreparedPut) or bool(other.packed))
    )


def _in_context(context: Context, observer: Observer, operation: Operation[R]) -> Operation[R]:
    """Observe an operation in the context of its call, while other operations run between its steps."""

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
    """Answers a request once the queued writes of its thread are stored."""

    def __init__(self, backend: Any, queue: WriteQueue) -> None:
        self._backend = backend
        self._queue = queue

    def execute(self, request: Request[R]) -> R:
        """Answer *request*, blocking."""
        for thread, quiet in _threads_of(request):
            if thread is None or self._queue.concerns(thread):
                self._queue.flush(thread, quiet=quiet)
        reply: R = self._backend.execute(request)
        return reply


class AsyncQueuedBackend(QueuedBackend):
    """The same, blocking and awaited."""

    async def aexecute(self, request: Request[R]) -> R:
        """Answer *request* without blocking the event loop."""
        for thread, quiet in _threads_of(request):
            if thread is None or self._queue.concerns(thread):
                await self._queue.aflush(thread, quiet=quiet)
        reply: R = await self._backend.aexecute(request)
        return reply


def _threads_of(request: Request[Any]) -> Iterable[tuple[str | None, bool]]:
    """Return the threads that a request concerns (None for all), each with whether to ignore its failures."""
    match request:
        case LeaseThread(action="renew" | "read"):
            return ()
        case LeaseThread(action="release"):
            # The end of the block raises the failure.
            return ((request.thread, True),)
        case Bundle():
            return [each for one in request.requests for each in _threads_of(one)]
    thread = getattr(request, "thread", None)
    if thread is not None:
        return ((thread, False),)
    return [(each, True) for each in getattr(request, "threads", (None,))]


_queues: weakref.WeakSet[WriteQueue] = weakref.WeakSet()
_is_exiting = False


def _flush_all() -> None:
    for queue in list(_queues):
        queue.flush(quiet=True)  # failures were logged


def _exit() -> None:
    global _is_exiting  # noqa: PLW0603 - there is one interpreter
    _is_exiting = True
    _flush_all()


def _end_process() -> None:
    # A process of multiprocessing does not run atexit, but this, before its other threads end.
    if "multiprocessing" in sys.modules and sys.modules["multiprocessing"].parent_process() is not None:
        _exit()


atexit.register(_exit)
threading._register_atexit(_end_process)  # type: ignore[attr-defined]  # noqa: SLF001 - as concurrent.futures does
