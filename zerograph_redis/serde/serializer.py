"""The serializer that savers use unless told otherwise."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, NoReturn

import msgspec

from zerograph_redis.errors import CorruptCheckpointError, SerializationError
from zerograph_redis.serde import arrays, builtin, codes, stdlib
from zerograph_redis.serde.engine_types import ENGINE_TYPES
from zerograph_redis.serde.kinds import Kind
from zerograph_redis.serde.locate import explain
from zerograph_redis.serde.packing import MAX_DEPTH, NATIVE, Boxed, NotPlainError, ThreadPackers, pack_exact
from zerograph_redis.serde.pairs import PairKind
from zerograph_redis.serde.registered import Registered, describe
from zerograph_redis.serde.table import Checks, Decoders, Encoders, want
from zerograph_redis.serde.wire import msgpack

_BUILTIN: Final = frozenset({type(None), bool, int, float, str, bytes, list, dict}) | NATIVE
_OPTIONS: Final[dict[str, Any]] = {"strict_map_key": False, "unicode_errors": "surrogatepass"}
_SHALLOW: Final = 8  # unpackb has its 1024 levels on the C stack, an Unpacker has them on the heap


class _Depth(threading.local):
    depth = 0


class MsgpackSerializer:
    """Stores values as MessagePack, with every type and value exact.

    Subclasses of what it knows are refused, never flattened. Reading runs no code but the registered *decode*
    functions and the default factories of registered classes, and imports nothing by a stored name.
    One serializer is used by many threads at once.
    """

    def __init__(self, types: Iterable[type | Registered] = ()) -> None:
        """Make a serializer that knows *types* besides the ones of Python, numpy and ZeroGraph.

        Args:
            types: Classes, each under its own name, or `Registered` for another name or for a class that
                needs a pair of functions.

        Raises:
            TypeError: One is no class, or of a kind that needs a pair of functions.
            ValueError: A name or a class is registered twice, or is handled already.
        """
        self._encoders: Encoders = builtin.ENCODERS | stdlib.ENCODERS
        self._decoders: Decoders = builtin.DECODERS | stdlib.DECODERS | arrays.DECODERS
        self._decoders[codes.REGISTERED] = self._registered
        self._kinds: dict[str, Kind] = {}
        self._checks: Checks = {}
        for name, (cls, kind) in ENGINE_TYPES.items():
            self._add(name, cls, kind)
        for each in types:
            registered = each if isinstance(each, Registered) else Registered(getattr(each, "__name__", "?"), each)
            self._check(registered)
            self._add(registered.name, registered.cls, registered.kind)
        self._packers = ThreadPackers(self._encoders, self._checks)
        self._nesting = _Depth()
        self._fast = msgspec.msgpack.Decoder(ext_hook=lambda code, data: self._extension(code, bytes(data)))

    def pack(self, value: Any, *, root: str = "") -> bytes:
        """Return *value* as bytes.

        Args:
            value: What to store.
            root: What to call *value* in an error message, such as ``writes[0]``.

        Raises:
            SerializationError: Something in *value* cannot be stored. The message has its place, its type, and the
                line that registers the type; what an *encode* function raised is ``__cause__``.
        """
        try:
            return pack_exact(value)
        except NotPlainError:
            pass
        stdlib.PATTERNS.begin()
        try:
            return self._packers.pack(value)
        except Exception as error:  # an encode function may raise anything
            raise SerializationError(
                explain(value, root, self._encoders, self._checks, self._packers, error)
            ) from error

    def unpack(self, data: bytes) -> Any:
        """Return the value that *data* was packed from.

        Raises:
            CorruptCheckpointError: *data* is damaged, or was not written by this serializer.
            SerializationError: *data* is whole, but has a type that is not registered here, whose fields do not fit
                the class of today, or whose *decode* function raised.
        """
        stdlib.PATTERNS.begin()
        try:
            # Much faster, and exact for what it accepts; what it refuses (rare keys, lone surrogates), msgpack judges.
            return self._fast.decode(data)
        except Exception:  # noqa: BLE001, S110 - whatever it was, it comes again below
            pass
        if stdlib.PATTERNS.left >= 0:
            stdlib.PATTERNS.begin()
        try:
            return msgpack.unpackb(data, ext_hook=self._extension, **_OPTIONS)
        except (SerializationError, CorruptCheckpointError):
            raise
        except Exception as error:
            # Without the error's own words, which may have a value in them: logs tell of damage, and never of content.
            msg = f"the stored bytes are damaged or of an unknown format: {type(error).__name__}"
            raise CorruptCheckpointError(msg) from error

    def unpack_around(self, data: bytes, known: Sequence[tuple[int, int, Any]]) -> Any:
        """Do as `unpack`, when some of the values in *data* are known.

        Args:
            data: What `pack` returned.
            known: Of each, in their order, from where to where in *data* it stands, and the value.
        """
        chunks: list[bytes] = []
        position = 0
        for number, (start, stop, _) in enumerate(known):
            chunks += (data[position:start], b"\xd6%c%b" % (codes.EXTERNAL, number.to_bytes(4, "big")))
            position = stop
        chunks.append(data[position:])
        waiting = {number: value for number, (_, _, value) in enumerate(known)}

        def extension(code: int, content: memoryview) -> Any:
            if code == codes.EXTERNAL:
                return waiting.pop(int.from_bytes(content, "big"))  # none is there twice
            return self._extension(code, bytes(content))

        stdlib.PATTERNS.begin()
        try:
            return msgspec.msgpack.Decoder(ext_hook=extension).decode(b"".join(chunks))
        except Exception:  # noqa: BLE001 - whatever it was, it comes again below
            return self.unpack(data)

    def _add(self, name: str, cls: type, kind: Kind) -> None:
        take = kind.take
        self._kinds[name] = kind
        self._encoders[cls] = codes.REGISTERED, lambda value: [name, *take(value)]
        if isinstance(kind, PairKind):
            check, unpack = kind.check, partial(self._extension, codes.REGISTERED)
            self._checks[cls] = lambda value, data, pack: check(value, data, pack, unpack)

    def _check(self, registered: Registered) -> None:
        name, cls = registered.name, registered.cls
        if name in self._kinds:
            msg = f"the name {name!r} is registered twice; give one of them another: Registered(name, {cls.__name__})"
            raise ValueError(msg)
        if cls in _BUILTIN or cls is Boxed or arrays.entry(cls):
            msg = f"{describe(cls)} needs no registration, and cannot have one"
            raise ValueError(msg)
        known = self._encoders.get(cls)
        if known is not None:
            own = known[0] != codes.REGISTERED or any(cls is engine for engine, _ in ENGINE_TYPES.values())
            msg = f"{describe(cls)} " + ("needs no registration, and cannot have one" if own else "is registered twice")
            raise ValueError(msg)

    def _extension(self, code: int, data: bytes) -> Any:
        decode: Callable[[Any], Any] | None = self._decoders.get(code)
        if decode is None:
            msg = f"the stored bytes have a value of code {code}, which this version does not know"
            raise CorruptCheckpointError(msg)
        nesting = self._nesting
        depth = nesting.depth
        if depth >= MAX_DEPTH:
            msg = f"the stored bytes nest types deeper than {MAX_DEPTH}"
            raise CorruptCheckpointError(msg)
        nesting.depth = depth + 1
        try:
            if depth < _SHALLOW:
                return decode(msgpack.unpackb(data, ext_hook=self._extension, **_OPTIONS))
            unpacker = msgpack.Unpacker(max_buffer_size=len(data), ext_hook=self._extension, **_OPTIONS)
            unpacker.feed(data)
            stored = unpacker.unpack()
            if unpacker.tell() != len(data):
                _trailing()
            return decode(stored)
        finally:
            nesting.depth = depth

    def _registered(self, stored: Any) -> Any:
        name, *parts = want(list, stored)
        kind = self._kinds.get(want(str, name))
        if kind is None:
            fields = parts[0] if parts and type(parts[0]) is dict else {}
            listed = f" with the fields {', '.join(map(str, fields))}" if fields else ""
            msg = (
                f"the stored value has the type {name!r}{listed}, which is not registered here; register its class: "
                f"MsgpackSerializer(types=[Registered({name!r}, …)])"
            )
            raise SerializationError(msg)
        return kind.build(parts)


def _trailing() -> NoReturn:
    msg = "the stored bytes have more after their end"
    raise CorruptCheckpointError(msg)
