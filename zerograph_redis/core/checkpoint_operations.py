"""The operations of a saver on the checkpoints of one thread: generators of requests, without any I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import uuid4

from zerograph.checkpoint import Checkpoint, CheckpointMetadata, CheckpointTuple, PendingWrite

from zerograph_redis.display import quoted
from zerograph_redis.errors import CheckpointError, ConfigError, CorruptCheckpointError

from .batches import Batch
from .configs import Address, is_empty, read_age, read_config, read_id, read_token
from .leasing import fence
from .paging import read_pages
from .records import CheckpointKey, name_of, pack_writes
from .requests import (
    DeleteThread,
    Fence,
    FindNamespace,
    GetCheckpoint,
    GetWrites,
    ListCheckpoints,
    Operation,
    PruneThread,
    PutCheckpoint,
    PutWrites,
    StoredWrite,
    WriteBatch,
)
from .settings import MOST, Settings
from .states import PreparedPut, ReadCheckpoint, States
from .unpacking import StateUnpacker
from .verification import Lineage
from .writes import EncryptedWrites, decode_writes, identity_of

P_contra = TypeVar("P_contra", contravariant=True)

PAGE = 200  # checkpoints that one request reads, so that it does not block a server for long
FILTERED_PAGE = 100
BATCH_BYTES = 256 * 1024  # that a batch appends, give or take a put, for the same reason


class PreparedWrites(NamedTuple):
    """Pending writes that are packed, and not stored yet."""

    address: Address
    checkpoint_id: str
    packed: Mapping[str, bytes]
    """The values by identity of the write."""
    fence: Fence

    @property
    def size(self) -> int:
        """How many bytes they take in memory."""
        return sum(len(identity) + len(value) for identity, value in self.packed.items())


class CheckpointOperations:
    """The operations on the checkpoints of one thread."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.serializer = settings.serializer
        self._states = States(settings)
        self._encrypted = EncryptedWrites()

    def get_tuple(self, config: Any) -> Operation[CheckpointTuple | None]:
        """Read the named checkpoint, or the newest."""
        address = read_config(config, self.settings)
        found = yield from self._get(address)
        if found:
            return found[0]
        if self.settings.require_checkpoint and address.checkpoint_id is not None:
            yield from _require(address, address.checkpoint_id)
        return None

    def get(self, config: Any) -> Operation[Checkpoint | None]:
        """Read the named checkpoint, or the newest, alone."""
        found = yield from self.get_tuple(config)
        return None if found is None else found.checkpoint

    def get_in_thread(self, thread: str, checkpoint_id: str) -> Operation[CheckpointTuple | None]:
        """Read a checkpoint of a thread, in any namespace."""
        namespace = yield from find_namespace(thread, checkpoint_id)
        if namespace is None:
            return None
        found = yield from self._get(Address(thread, namespace, checkpoint_id, None))
        return found[0] if found else None

    def put(self, config: Any, checkpoint: Any, metadata: Any) -> Operation[dict[str, Any]]:
        """Store a checkpoint under the config's checkpoint as its parent."""
        prepared = self.prepare_put(config, checkpoint, metadata)
        yield from self._states.put(prepared)
        return prepared.address.config(prepared.checkpoint_id)

    def prepare_put(self, config: Any, checkpoint: Any, metadata: Any) -> PreparedPut:
        """Check and pack a checkpoint; later changes of its objects do not matter."""
        address = read_config(config, self.settings)
        if type(checkpoint) is not dict and not isinstance(checkpoint, Mapping):
            raise ConfigError(f"a checkpoint is a dict, not a {type(checkpoint).__name__}")
        if type(metadata) is not dict and metadata is not None and not isinstance(metadata, Mapping):
            raise ConfigError(f"a checkpoint's metadata is a dict, not a {type(metadata).__name__}")
        named = checkpoint.get("id")
        if type(named) is str and named:
            checkpoint_id = named
        else:
            checkpoint_id = str(uuid4()) if is_empty(named) else read_id("checkpoint['id']", named)
        state = (
            checkpoint if type(checkpoint) is dict and named is checkpoint_id else {**checkpoint, "id": checkpoint_id}
        )
        packed = self.serializer.pack({} if metadata is None else metadata, root="metadata")
        return self._states.prepare(address, checkpoint_id, state, packed)

    def store_put(self, prepared: PreparedPut) -> Operation[None]:
        """Store what `prepare_put` made."""
        return self._states.put(prepared)

    def put_writes(self, config: Any, writes: Any, task_id: Any) -> Operation[None]:
        """Store the pending writes of a task beside a checkpoint."""
        yield from self.store_writes(self.prepare_writes(config, writes, task_id))

    def prepare_writes(self, config: Any, writes: Any, task_id: Any) -> PreparedWrites:
        """Check and pack pending writes."""
        address = read_config(config, self.settings)
        if address.checkpoint_id is None:
            raise ConfigError("config['configurable']['checkpoint_id'] is required to store writes")
        if not isinstance(writes, Iterable):
            raise ConfigError(f"writes must be a sequence of (task id, channel, value), not {quoted(writes)}")
        packed: dict[str, bytes] = {}
        for number, write in enumerate(writes):
            task, channel, value = _read_write(number, write, task_id)
            packed[identity_of(task, channel)] = self.serializer.pack(value, root=f"writes[{number}]")
        held = fence(address.thread, address.token, self.settings) if packed else None
        return PreparedWrites(address, address.checkpoint_id, packed, held)

    def store_writes(self, prepared: PreparedWrites) -> Operation[None]:
        """Store what `prepare_writes` made."""
        address, checkpoint_id, packed, held = prepared
        if not packed:
            return
        cipher = self.settings.cipher(address.thread)
        if cipher is not None:
            yield from self._encrypted.put(address, checkpoint_id, packed, cipher, held, replace=True)
            return
        yield _request_of(prepared)

    def store_batch(self, batch: Sequence[PreparedPut | PreparedWrites]) -> Operation[int]:
        """Store the first of several writes to one thread at once. Returns how many; 0 if each must be stored alone.

        They have the same lease and ttl, no conditions, and are not encrypted.
        """
        address, held = batch[0].address, batch[0].fence
        puts = Batch(address.thread, self.settings, self._states.known)
        requests: list[PutCheckpoint | PutWrites] = []
        for prepared in batch:
            requests.append(puts.put(prepared) if isinstance(prepared, PreparedPut) else _request_of(prepared))
            if puts.size > BATCH_BYTES:
                break
        placed = yield from WriteBatch(address.thread, requests, address.ttl, held)
        if placed is None:
            return 0
        puts.note(placed)
        return len(requests)

    def get_pending_writes(self, config: Any) -> Operation[list[PendingWrite]]:
        """Read the pending writes of a checkpoint, in the order stored."""
        address = read_config(config, self.settings)
        if address.checkpoint_id is None:
            return []
        stored = yield from GetWrites(
            address.thread, address.namespace, address.checkpoint_id, self.settings.refresh_on_read
        )
        return self._writes(address, address.checkpoint_id, stored)

    def prune(self, thread: Any, keep: int, max_age: Any, token: int | None) -> Operation[int]:
        """Drop all but the newest checkpoints of every namespace, or only the old ones of these, a slice at a time."""
        thread = read_id("thread_id", thread)
        if type(keep) is not int or keep < 0:
            raise ConfigError(f"keep must be a whole number of at least 0, not {quoted(keep)}")
        keep, age = min(keep, MOST), read_age("max_age", max_age)
        call, numbers = uuid4().hex, count()
        pages = yield from read_pages(
            lambda cursor: PruneThread(
                thread,
                keep,
                age,
                f"{call}:{next(numbers)}",
                cursor,
                fence(thread, read_token(token), self.settings),
            )
        )
        return sum(page.found for page in pages)

    def delete_thread(self, thread: Any, token: int | None) -> Operation[None]:
        """Remove all that belongs to a thread."""
        thread = read_id("thread_id", thread)
        yield from DeleteThread(thread, fence(thread, read_token(token), self.settings))

    def _get(self, address: Address) -> Operation[list[CheckpointTuple]]:
        request = GetCheckpoint(
            address.thread, address.namespace, address.checkpoint_id, self.settings.refresh_on_read, ()
        )
        return self._states.read(address, request, partial(self._tuple, address))

    def _tuple(self, address: Address, found: ReadCheckpoint, states: StateUnpacker | None = None) -> CheckpointTuple:
        stored, record, state = found
        key = address.key(stored.checkpoint_id)
        checkpoint: Checkpoint = (
            unpack_map(self.serializer, state.packed, "the state of", key)
            if states is None
            else unpack_map(states, state, "the state of", key)
        )
        metadata: CheckpointMetadata = unpack_map(self.serializer, record.metadata, "the metadata of", key)
        return CheckpointTuple(
            address.config(stored.checkpoint_id),
            checkpoint,
            metadata,
            None if record.parent is None else address.config(record.parent),
            self._writes(address, stored.checkpoint_id, stored.writes),
        )

    def _matches(self, address: Address, found: ReadCheckpoint, filter: Mapping[str, Any]) -> bool:
        stored, record, _ = found
        key = address.key(stored.checkpoint_id)
        metadata = unpack_map(self.serializer, record.metadata, "the metadata of", key)
        return all(key in metadata and _equal(metadata[key], value) for key, value in filter.items())

    def _writes(self, address: Address, checkpoint_id: str, writes: Sequence[StoredWrite]) -> list[PendingWrite]:
        if not writes:
            return []
        key = address.key(checkpoint_id)
        return [
            (task, channel, unpack_named(self.serializer, packed, "a pending write of", key))
            for task, channel, packed in decode_writes(key, writes, self.settings.cipher(address.thread))
        ]

    # Last, since its name hides the builtin for the annotations that follow it.
    def list(
        self, config: Any, limit: int | None, before: Any, filter: Mapping[str, Any] | None
    ) -> Operation[list[CheckpointTuple]]:
        """Read checkpoints, newest first, a page at a time."""
        address = read_config(config, self.settings)
        check_limit(limit)
        if filter is not None and not isinstance(filter, Mapping):
            raise ConfigError(f"filter must be a dict of metadata, or None, not {quoted(filter)}")
        before_id = None if before is None else read_config(before, self.settings, address.thread).checkpoint_id
        before_order = None
        found: list[CheckpointTuple] = []
        lineage, states = Lineage(address.thread, address.namespace), StateUnpacker(self.serializer)

        def take(read: ReadCheckpoint) -> tuple[str, CheckpointTuple | None]:
            stored, record, _ = read
            if self.settings.encryption is not None:
                lineage.add(stored.checkpoint_id, record)
            is_wanted = not filter or self._matches(address, read, filter)
            return record.order, self._tuple(address, read, states) if is_wanted else None

        while limit is None or len(found) < limit:
            wanted = PAGE if limit is None else min(PAGE, limit - len(found))
            size = FILTERED_PAGE if filter else wanted
            request = ListCheckpoints(
                address.thread, address.namespace, before_id, before_order, size, self.settings.refresh_on_read, ()
            )
            page = yield from self._states.read(address, request, take)
            found += [each for _, each in page if each is not None]
            if len(page) < size:
                break
            before_id, before_order = None, page[-1][0]
        return found[:limit]


def _request_of(prepared: PreparedWrites) -> PutWrites:
    """Build the request for pending writes that are not encrypted."""
    address, checkpoint_id, packed, held = prepared
    stored = pack_writes(address.namespace, checkpoint_id, packed, None)
    return PutWrites(
        address.thread, address.namespace, checkpoint_id, stored, replace=True, ttl=address.ttl, fence=held
    )


def _require(address: Address, checkpoint_id: str) -> Operation[None]:
    # The engine reads the namespace of a subgraph with the id of a checkpoint of the graph around it.
    if (yield from find_namespace(address.thread, checkpoint_id)) is None:
        raise ConfigError(
            f"{name_of(*address.key(checkpoint_id))} is not stored, and require_checkpoint is set: it "
            f"was never put, or was pruned; leave checkpoint_id out to read the newest"
        )


def find_namespace(thread: str, checkpoint_id: str) -> Operation[str | None]:
    """Find the namespace that has a checkpoint, the first by name; None if no namespace has it."""
    pages = yield from read_pages(
        lambda cursor: FindNamespace(thread, checkpoint_id, cursor), enough=lambda page: page.found is not None
    )
    return pages[-1].found


class Unpacks(Protocol[P_contra]):
    """A serializer, or something that unpacks with one."""

    def unpack(self, packed: P_contra, /) -> Any:
        """Unpack a value."""


def unpack_named(unpacker: Unpacks[P_contra], packed: P_contra, what: str, key: CheckpointKey) -> Any:
    """Unpack a value of a checkpoint, which an error names."""
    try:
        return unpacker.unpack(packed)
    except CheckpointError as error:
        raise type(error)(f"{what} {name_of(*key)} cannot be read: {error}") from error


def unpack_map(unpacker: Unpacks[P_contra], packed: P_contra, what: str, key: CheckpointKey) -> Any:
    """Unpack a value that must be a map: a state, or metadata."""
    value = unpack_named(unpacker, packed, what, key)
    if type(value) is not dict and not isinstance(value, Mapping):
        raise CorruptCheckpointError(
            f"{what} {name_of(*key)} cannot be read: it is not a map, but {type(value).__name__}"
        )
    return value


def check_limit(limit: Any) -> None:
    """Refuse a limit that is neither None nor a whole number of at least 0."""
    if limit is not None and (type(limit) is not int or limit < 0):
        raise ConfigError(f"limit must be a whole number of at least 0, or None for all, not {quoted(limit)}")


def _equal(stored: Any, wanted: Any) -> bool:
    try:
        return bool(stored == wanted)
    except (TypeError, ValueError):  # arrays have no truth value
        return False


def _read_write(number: int, write: Any, task_id: Any) -> tuple[str, str, Any]:
    try:
        task, channel, value = write
    except (TypeError, ValueError):
        raise ConfigError(f"writes[{number}] must be (task id, channel, value), not {quoted(write)}") from None
    if type(task) is str and task and type(channel) is str:
        return task, channel, value
    if is_empty(task):
        task = task_id
    if not isinstance(task, str) or not isinstance(channel, str):
        raise ConfigError(
            f"writes[{number}]: task id and channel must be strings, not {quoted(task)} and {quoted(channel)}"
        )
    return str.__str__(task), str.__str__(channel), value
