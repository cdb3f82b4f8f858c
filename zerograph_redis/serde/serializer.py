"""`MsgpackSerializer`, which savers use by default, and what a saver needs of any serializer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, Protocol

import msgspec

from zerograph_redis.errors import CorruptCheckpointError, SerializationError

from . import arrays, builtin, codes, stdlib
from .classes import ClassCodec
from .codes import Checks, Decoders, Encoders, expect
from .explanation import explain
from .packing import MAX_DEPTH, NATIVE, NotPlainError, ThreadPackers, msgpack, pack_exact
from .registered import ENGINE_TYPES, PairCodec, Registered
from .reprs import describe

_TYPES: Final = builtin.TYPES | stdlib.TYPES
_ENCODERS: Final[Encoders] = {kind: (code, encode) for kind, (code, encode, _) in _TYPES.items()}
_DECODERS: Final[Decoders] = {code: decode for code, _, decode in _TYPES.values()} | arrays.DECODERS
_BUILTIN: Final = frozenset({type(None), bool, int, float, str, bytes, list, dict}) | NATIVE
_OPTIONS: Final[dict[str, Any]] = {"strict_map_key": False, "unicode_errors": "surrogatepass"}
_SHALLOW: Final = 8  # msgpack.unpackb keeps its 1024 levels on the C stack, an Unpacker on the heap


class _Depth(threading.local):
    depth = 0


class Serializer(Protocol):
    """Turns a value to bytes and back; used by many OS threads at once."""

    def pack(self, value: Any, *, root: str = "") -> bytes:
        """Return *value* as bytes.

        Args:
            value: What to store.
            root: What to call *value* in an error message, such as ``writes[0]``.

        Raises:
            SerializationError: Something in *value* cannot be stored. The message names its place, its type, and the fix,
                such as the line that registers the type.
        """

    def unpack(self, data: bytes) -> Any:
        """Return the value that *data* was packed from.

        Raises:
            CorruptCheckpointError: *data* is damaged, or was not written by this serializer.
            SerializationError: *data* is whole, but has a type that is not registered here, or fields that the class does
                not have today, or a *decode* function raised.
        """


class MsgpackSerializer:
    """Stores values as MessagePack, with every type and value exact.

    Subclasses of known types are refused, never flattened. Reading runs no code but the registered *decode*
    functions and the default factories of registered classes, and imports nothing by a stored name.
    Many OS threads may use one serializer at once.
    """

    def __init__(self, types: Iterable[type | Registered] = ()) -> None:
        """Make a serializer that knows *types* besides those of Python, numpy and ZeroGraph.

        Args:
            types: Classes, each under its own name, or `Registered` for another name or for a class that
                needs a pair of functions.

        Raises:
            TypeError: One is not a class, or needs a pair of functions.
            ValueError: A name or a class is registered twice, or needs no registration.
        """
        self._encoders: Encoders = dict(_ENCODERS)
        self._decoders: Decoders = _DECODERS | {codes.REGISTERED: self._registered}
        self._codecs: dict[str, ClassCodec] = {}
        self._checks: Checks = {}
        for name, (cls, codec) in ENGINE_TYPES.items():
            self._add(name, cls, codec)
        for each in types:
            registered = each if isinstance(each, Registered) else Registered(getattr(each, "__name__", "?"), each)
            self._check(registered)
            self._add(registered.name, registered.cls, registered.codec)
        self._packers = ThreadPackers(self._encoders, self._checks)
        self._nesting = _Depth()
        self._fast = msgspec.msgpack.Decoder(ext_hook=lambda code, data: self._extension(code, bytes(data)))

    def pack(self, value: Any, *, root: str = "") -> bytes:
        """Return *value* as bytes, or raise as `Serializer.pack` does; what an *encode* function raised is ``__cause__``."""
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
        """Return the value that *data* was packed from, or raise as `Serializer.unpack` does."""
        stdlib.PATTERNS.begin()
        try:
            # Much faster, and exact for what it accepts. What it refuses (rare keys, lone surrogates), msgpack decodes.
            return self._fast.decode(data)
        except Exception:  # noqa: BLE001, S110 - the same error is raised again below
            pass
        if stdlib.PATTERNS.left >= 0:
            stdlib.PATTERNS.begin()
        try:
            return msgpack.unpackb(data, ext_hook=self._extension, **_OPTIONS)
        except (SerializationError, CorruptCheckpointError):
            raise
        except Exception as error:
            # Without the error's own message, which may quote a value: logs report damage, but never content.
            raise CorruptCheckpointError(
                f"the stored bytes are damaged or of an unknown format: {type(error).__name__}"
            ) from error

    def unpack_around(self, data: bytes, known: Sequence[tuple[int, int, Any]]) -> Any:
        """Unpack *data*, but take the values in it that are already known as they are.

        Args:
            data: What `pack` returned.
            known: Where in *data* each known value starts and stops, and the value; in the order of *data*.
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
                return waiting.pop(int.from_bytes(content, "big"))  # each is referred to once
            return self._extension(code, bytes(content))

        stdlib.PATTERNS.begin()
        try:
            return msgspec.msgpack.Decoder(ext_hook=extension).decode(b"".join(chunks))
        except Exception:  # noqa: BLE001 - the same error is raised again below
            return self.unpack(data)

    def _add(self, name: str, cls: type, codec: ClassCodec) -> None:
        encode = codec.encode
        self._codecs[name] = codec
        self._encoders[cls] = codes.REGISTERED, lambda value: [name, *encode(value)]
        if isinstance(codec, PairCodec):
            check, unpack = codec.check, partial(self._extension, codes.REGISTERED)
            self._checks[cls] = lambda value, data, pack: check(value, data, pack, unpack)

    def _check(self, registered: Registered) -> None:
        name, cls = registered.name, registered.cls
        if name in self._codecs:
            raise ValueError(
                f"the name {name!r} is registered twice; give one of them another name: Registered(name, {cls.__name__})"
            )
        known = self._encoders.get(cls)
        is_engines = any(cls is kind for kind, _ in ENGINE_TYPES.values())
        is_ours = is_engines or (known is not None and known[0] != codes.REGISTERED)
        if is_ours or cls in _BUILTIN or arrays.entry(cls):
            raise ValueError(f"{describe(cls)} needs no registration; remove it from types")
        if known is not None:
            raise ValueError(f"{describe(cls)} is registered twice; remove one of them from types")

    def _extension(self, code: int, data: bytes) -> Any:
        decode: Callable[[Any], Any] | None = self._decoders.get(code)
        if decode is None:
            raise CorruptCheckpointError(
                f"the stored bytes have a value of code {code}, which this version of zerograph_redis does not know: a "
                f"newer version wrote it, or it is damaged"
            )
        nesting = self._nesting
        depth = nesting.depth
        if depth >= MAX_DEPTH:
            raise CorruptCheckpointError(f"the stored bytes are damaged: they nest types deeper than {MAX_DEPTH}")
        nesting.depth = depth + 1
        try:
            if depth < _SHALLOW:
                return decode(msgpack.unpackb(data, ext_hook=self._extension, **_OPTIONS))
            unpacker = msgpack.Unpacker(max_buffer_size=len(data), ext_hook=self._extension, **_OPTIONS)
            unpacker.feed(data)
            stored = unpacker.unpack()
            if unpacker.tell() != len(data):
                raise CorruptCheckpointError("the stored bytes are damaged: they do not end with the value")
            return decode(stored)
        finally:
            nesting.depth = depth

    def _registered(self, stored: Any) -> Any:
        name, *parts = expect(list, stored)
        codec = self._codecs.get(expect(str, name))
        if codec is None:
            fields = parts[0] if parts and type(parts[0]) is dict else {}
            listed = f" with the fields {', '.join(map(str, fields))}" if fields else ""
            raise SerializationError(
                f"the stored value has the type {name!r}{listed}, which is not registered here; register its class: "
                f"MsgpackSerializer(types=[Registered({name!r}, …)])"
            )
        return codec.decode(parts)
