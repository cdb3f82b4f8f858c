"""The methods that every saver has, blocking and awaited: one line each, over the operations of its store."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar

from zerograph.checkpoint import BaseCheckpointSaver, Checkpoint, CheckpointMetadata, CheckpointTuple, PendingWrite

from zerograph_redis.core.checkpoint_operations import PreparedWrites
from zerograph_redis.core.configs import read_durability, read_id
from zerograph_redis.core.drive import AsyncBackend, Backend, arun, run
from zerograph_redis.core.leasing import break_lease
from zerograph_redis.core.requests import Operation
from zerograph_redis.core.states import PreparedPut
from zerograph_redis.errors import CheckpointError
from zerograph_redis.store import Store
from zerograph_redis.threads import ThreadInfo

from .leases import AsyncLease, Lease
from .runs import Runs
from .write_queue import AsyncQueuedBackend, QueuedBackend, Write, WriteQueue

Config = dict[str, Any]
R = TypeVar("R")


class Saver(BaseCheckpointSaver):
    """A checkpoint saver for ZeroGraph.

    A config is ZeroGraph's: ``{"configurable": {"thread_id": ..., "checkpoint_ns": ..., "checkpoint_id": ...}}``. All of
    them are optional; without a thread id it means the thread ``__default__``, unless the saver requires one. A config may
    also have ``ttl`` (seconds, a timedelta, or None for never), which overrides the saver's, ``lease_token`` (see `lease`),
    ``durability`` ("sync" or "async"), and ``expect_checkpoint_id``: a put is then refused with `ConflictError` unless the
    newest checkpoint of the namespace has that id (None: unless the namespace is empty).

    Every method may raise `ConfigError` (the arguments name no usable thread or checkpoint), `CorruptCheckpointError`
    (stored bytes are missing, damaged, or of an unknown format) and `BackendUnavailableError` (the store does not answer,
    or refuses). None or an empty list always means that nothing is stored.
    """

    store: Store[Backend]
    """Where the saver keeps threads; tools work on it."""

    def __init__(
        self,
        store: Store[Any],
        attributes: Mapping[str, str | int],
        server_of: Callable[[str], Hashable] = lambda _: None,
        *,
        one_by_one: bool = False,
    ) -> None:
        """Work on *store*, which telemetry describes by *attributes*; the rest is for its `WriteQueue`.

        Users call the constructors of subclasses.
        """
        self.store = store
        telemetry = store.settings.telemetry
        self._observer = None if telemetry is None else telemetry.observer(attributes)
        self._queue = WriteQueue(store, self._observer, server_of, one_by_one=one_by_one)
        self._runs = Runs()

    def __repr__(self) -> str:
        shown = [repr(self.store.name), *self._shown_options()]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _shown_options(self) -> Sequence[str]:
        ttl = self.store.settings.ttl
        return (f"ttl={None if ttl is None else ttl / 1000}",)

    def __getattr__(self, name: str) -> NoReturn:
        kind = type(self).__name__
        if name.startswith("a") and name in vars(AsyncSaver):
            raise AttributeError(f"{kind} has no {name}: use Async{kind}, which has both {name[1:]} and {name}")
        raise AttributeError(f"{kind} has no attribute {name!r}", name=name, obj=self)

    async def __aenter__(self) -> Self:
        kind = type(self).__name__
        raise TypeError(
            f"{kind} is for a plain `with`: use `async with Async{kind}.from_url(...)`, or leave `async` out"
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Never reached."""

    def __copy__(self) -> Self:
        """Return the saver itself: it is a handle on a store."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return the saver itself: the engine deep-copies configs that carry one."""
        return self

    def __enter__(self) -> Self:
        """Return the saver itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the saver. If the block raised an exception, that one is raised and no other."""
        try:
            self.close()
        except CheckpointError:
            if error is None:
                raise

    def _run(self, operation: Operation[R]) -> R:
        backend = QueuedBackend(self.store.backend, self._queue) if self._queue.is_used else self.store.backend
        if self._observer is None:
            return run(operation, backend)
        with self._observer.observe(operation) as observed:
            return run(observed, backend)

    def _queued(self, config: Config, prepare: Callable[..., PreparedPut | PreparedWrites], *what: Any) -> Write | None:
        """Prepare a write for the queue; None if it can be stored at once."""
        now = read_durability(config, self.store.settings) == "sync"
        if now and not (self._queue.is_used and self._queue.is_busy):
            return None
        prepared = prepare(config, *what)
        return self._queue.write(prepared, stored=now or self._runs.stops_at(prepared, *what))

    @abstractmethod
    def _close(self) -> None:
        """Close the connections that the saver opened, and only those."""

    def close(self) -> None:
        """Store what is queued, and close the connections that the saver opened.

        Every later call raises `BackendUnavailableError`. Closing twice is harmless. Operations that other OS threads are
        running finish.

        Raises:
            CheckpointError: A write with ``durability="async"`` failed. The saver is closed.
        """
        try:
            self._queue.close()
        finally:
            self._close()

    def flush(self, thread_id: str | None = None) -> None:
        """Wait until every write with ``durability="async"`` is stored.

        Args:
            thread_id: The thread; None for all.

        Raises:
            CheckpointError: A write failed; the error names its thread. Earlier writes to that thread are stored, later
                ones are not.
        """
        self._queue.flush(None if thread_id is None else read_id("thread_id", thread_id))

    def get_tuple(self, config: Config) -> CheckpointTuple | None:
        """Read the checkpoint that *config* names, or the newest of its namespace, with its pending writes.

        Returns:
            The tuple, or None if no such checkpoint is stored. On Redis, one round trip.
        """
        return self._run(self.store.operations.get_tuple(config))

    def get(self, config: Config) -> Checkpoint | None:
        """Read the checkpoint as `get_tuple` does, without its config, metadata and writes."""
        return self._run(self.store.operations.get(config))

    def get_by_id(self, checkpoint_id: str, thread_id: str | None = None) -> CheckpointTuple | None:
        """Read a checkpoint by its id, whatever its namespace.

        Args:
            checkpoint_id: The id. If several namespaces have it, the first by name is read.
            thread_id: The thread; None searches all threads, newest first, with one round trip for each.
        """
        return self._run(self.store.operations.get_by_id(checkpoint_id, thread_id))

    def put(self, config: Config, checkpoint: Checkpoint, metadata: CheckpointMetadata) -> Config:
        """Store a checkpoint, atomically. Its parent is the checkpoint that *config* names.

        Storing an id again replaces its content, and keeps its position in the list and its pending writes. The arguments
        are not changed. A checkpoint without an ``id`` gets a new one.

        Returns:
            The config of the stored checkpoint.

        Raises:
            SerializationError: A value cannot be stored; the message says which, and the fix. Nothing was stored.
        """
        write = self._queued(config, self.store.operations.prepare_put, checkpoint, metadata)
        if write is None:
            return self._run(self.store.operations.put(config, checkpoint, metadata))
        self._queue.put(write)
        return write.config

    def put_writes(self, config: Config, writes: Sequence[PendingWrite], task_id: str) -> None:
        """Store the pending writes of a task for the checkpoint that *config* names, atomically.

        The checkpoint may be stored later. A write of the same task and channel replaces the earlier one.

        Args:
            config: Must name a checkpoint.
            writes: ``(task id, channel, value)`` each; an empty task id means *task_id*.
            task_id: The task of writes that name none.

        Raises:
            ConfigError: *config* names no checkpoint (also a ValueError).
            SerializationError: A value cannot be stored. Nothing was stored.
        """
        write = self._queued(config, self.store.operations.prepare_writes, writes, task_id)
        if write is None:
            self._run(self.store.operations.put_writes(config, writes, task_id))
        else:
            self._queue.put(write)

    def get_pending_writes(self, config: Config) -> list[PendingWrite]:
        """Read the pending writes of a checkpoint, ``(task id, channel, value)`` each, in the order stored.

        Returns:
            An empty list also for a config that names no checkpoint.
        """
        return self._run(self.store.operations.get_pending_writes(config))

    def lease(
        self, thread_id: str, ttl: float | timedelta = 30, *, wait: float | None = None, owner: str | None = None
    ) -> Lease:
        """Hold a thread for a block of code: no other worker can write to it meanwhile.

        ```python
        with saver.lease("thread-42", ttl=30) as lease:
            app.invoke(input, lease.config())
        ```

        The lease is renewed in the background while the block runs. `Lease.config` carries its fencing token: once the
        lease expired or was broken, writes under it are refused with `LeaseLostError`. While it is held, writes of other
        workers are refused with `LeaseHeldError`.

        Args:
            thread_id: The thread; it need not exist yet.
            ttl: Seconds, or a timedelta: when the lease expires if its worker stops renewing it.
            wait: Seconds to wait for another worker to release the lease; None not to wait.
            owner: The name that others see; by default host and process id.

        Raises:
            ConfigError: An argument is out of range or of the wrong type (also a ValueError).
            LeaseHeldError: On entering, another worker holds the thread, and held it for all of *wait*.
            LeaseLostError: From writes in the block.
        """
        return Lease(self._run, self.store.settings, self._queue.flush, thread_id, ttl, wait, owner)

    def break_lease(self, thread_id: str) -> str | None:
        """End the lease of a thread that another worker holds, so that others may write.

        For workers that hang, or that died holding a long lease. The next write of such a worker is refused with
        `LeaseLostError`.

        Args:
            thread_id: The thread. If nobody holds it, nothing happens.

        Returns:
            The owner of the lease; None if nobody held the thread.
        """
        return self._run(break_lease(thread_id))

    def prune(
        self,
        thread_id: str,
        keep: int,
        *,
        max_age: float | timedelta | None = None,
        lease_token: int | None = None,
    ) -> int:
        """Drop all but the newest checkpoints of every namespace of a thread, with their pending writes.

        Args:
            thread_id: The thread. An unknown one is a no-op.
            keep: How many to keep per namespace, 0 or more.
            max_age: Seconds, or a timedelta: drop only checkpoints that are older than this.
            lease_token: The token of the lease to write under; not needed in the lease's own block.

        Returns:
            How many checkpoints were dropped, over all namespaces.
        """
        return self._run(self.store.operations.prune(thread_id, keep, max_age, lease_token))

    def delete_thread(self, thread_id: str, *, lease_token: int | None = None) -> None:
        """Delete everything that belongs to a thread, except a lease that is held. An unknown thread is a no-op.

        Args:
            thread_id: The thread.
            lease_token: The token of the lease to write under; not needed in the lease's own block.
        """
        self._run(self.store.operations.delete_thread(thread_id, lease_token))

    def copy_thread(self, source: str, target: str) -> int:
        """Copy a thread: all namespaces, order, parents, metadata and pending writes.

        The copy becomes visible in one step, once it is complete. Writes to *source* during the copy may be missing in it.

        Args:
            source: The thread to copy. An unknown one is a no-op.
            target: A thread that is not stored yet.

        Returns:
            How many checkpoints were copied.

        Raises:
            ConfigError: *target* is not empty.
            SerializationError: *source* is encrypted with keys that this saver does not have.
            BusyThreadError: *source* changed faster than it could be read.
        """
        return self._run(self.store.operations.copy_thread(source, target))

    def list_threads(self, limit: int | None = 100, before: ThreadInfo | str | None = None) -> list[ThreadInfo]:
        """Describe threads, newest activity first.

        Args:
            limit: How many at the most; None for all.
            before: Only threads that follow this one: a `ThreadInfo` of an earlier list, or a thread id (an unknown one
                gives an empty list). To read page by page, pass the last of a page.
        """
        return self._run(self.store.operations.list_threads(limit, before))

    # Last: its name hides the builtin in the annotations that follow.
    def list(
        self,
        config: Config,
        *,
        limit: int | None = 10,
        before: Config | None = None,
        filter: Mapping[str, Any] | None = None,
    ) -> list[CheckpointTuple]:
        """Read the checkpoints of a namespace with their pending writes, newest first.

        Args:
            config: The thread and namespace; a checkpoint id in it is ignored.
            limit: How many at the most; None for all.
            before: A config: only checkpoints stored before the one that it names. An unknown one gives an empty list.
            filter: Metadata keys, and the values that all of them must have.

        Returns:
            The tuples. On Redis, one round trip for every 200 (with a filter, for every 100 read).
        """
        return self._run(self.store.operations.list(config, limit, before, filter))


class AsyncSaver(Saver):
    """A saver with every method of `Saver` twice: blocking, and awaited under a name with a leading ``a``."""

    store: Store[AsyncBackend]  # type: ignore[assignment]

    async def __aenter__(self) -> Self:
        """Return the saver itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the saver. If the block raised an exception, that one is raised and no other."""
        try:
            await self.aclose()
        except CheckpointError:
            if error is None:
                raise

    async def _arun(self, operation: Operation[R]) -> R:
        backend = AsyncQueuedBackend(self.store.backend, self._queue) if self._queue.is_used else self.store.backend
        if self._observer is None:
            return await arun(operation, backend)
        with self._observer.observe(operation) as observed:
            return await arun(observed, backend)

    @abstractmethod
    async def _aclose(self) -> None:
        """Await `_close`."""

    async def aclose(self) -> None:
        """Await `close`."""
        try:
            await self._queue.aclose()
        finally:
            await self._aclose()

    async def aflush(self, thread_id: str | None = None) -> None:
        """Await `flush`."""
        await self._queue.aflush(None if thread_id is None else read_id("thread_id", thread_id))

    async def aget_tuple(self, config: Config) -> CheckpointTuple | None:
        """Await `get_tuple`."""
        return await self._arun(self.store.operations.get_tuple(config))

    async def aget(self, config: Config) -> Checkpoint | None:
        """Await `get`."""
        return await self._arun(self.store.operations.get(config))

    async def aget_by_id(self, checkpoint_id: str, thread_id: str | None = None) -> CheckpointTuple | None:
        """Await `get_by_id`."""
        return await self._arun(self.store.operations.get_by_id(checkpoint_id, thread_id))

    async def aput(self, config: Config, checkpoint: Checkpoint, metadata: CheckpointMetadata) -> Config:
        """Await `put`."""
        write = self._queued(config, self.store.operations.prepare_put, checkpoint, metadata)
        if write is None:
            return await self._arun(self.store.operations.put(config, checkpoint, metadata))
        await self._queue.aput(write)
        return write.config

    async def aput_writes(self, config: Config, writes: Sequence[PendingWrite], task_id: str) -> None:
        """Await `put_writes`."""
        write = self._queued(config, self.store.operations.prepare_writes, writes, task_id)
        if write is None:
            await self._arun(self.store.operations.put_writes(config, writes, task_id))
        else:
            await self._queue.aput(write)

    async def aget_pending_writes(self, config: Config) -> Sequence[PendingWrite]:
        """Await `get_pending_writes`."""
        return await self._arun(self.store.operations.get_pending_writes(config))

    def alease(
        self, thread_id: str, ttl: float | timedelta = 30, *, wait: float | None = None, owner: str | None = None
    ) -> AsyncLease:
        """Hold a thread for a block of code: ``async with saver.alease(...)``; see `lease`."""
        return AsyncLease(self._run, self.store.settings, self._queue.aflush, thread_id, ttl, wait, owner)

    async def abreak_lease(self, thread_id: str) -> str | None:
        """Await `break_lease`."""
        return await self._arun(break_lease(thread_id))

    async def aprune(
        self,
        thread_id: str,
        keep: int,
        *,
        max_age: float | timedelta | None = None,
        lease_token: int | None = None,
    ) -> int:
        """Await `prune`."""
        return await self._arun(self.store.operations.prune(thread_id, keep, max_age, lease_token))

    async def adelete_thread(self, thread_id: str, *, lease_token: int | None = None) -> None:
        """Await `delete_thread`."""
        await self._arun(self.store.operations.delete_thread(thread_id, lease_token))

    async def acopy_thread(self, source: str, target: str) -> int:
        """Await `copy_thread`."""
        return await self._arun(self.store.operations.copy_thread(source, target))

    async def alist_threads(
        self, limit: int | None = 100, before: ThreadInfo | str | None = None
    ) -> Sequence[ThreadInfo]:
        """Await `list_threads`."""
        return await self._arun(self.store.operations.list_threads(limit, before))

    async def alist(
        self,
        config: Config,
        *,
        limit: int | None = 10,
        before: Config | None = None,
        filter: Mapping[str, Any] | None = None,
    ) -> Sequence[CheckpointTuple]:
        """Await `list`."""
        return await self._arun(self.store.operations.list(config, limit, before, filter))
