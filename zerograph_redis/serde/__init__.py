"""Values to bytes and back, with every type and every value exact.

The bytes are plain MessagePack. Dict, list, str, bytes, int, float, bool and None are what they are in MessagePack; every
other type is an extension code, whose payload is MessagePack again.

- ``serializer``: `MsgpackSerializer`, which savers use by default, and the `Serializer` protocol.
- ``codes``: the extension codes, which are the format, and the types of the tables that list how a code is used.
- ``builtin``, ``stdlib``, ``arrays``: how the types of Python, its standard library and numpy are encoded and decoded.
- ``registered``: classes of the user, and those of ZeroGraph, which are stored under names.
- ``classes``: how objects of dataclasses, attrs classes, pydantic models, NamedTuples and Enums are encoded and decoded.
- ``attributes``: reads and writes what an object holds, past every property and hook of its class.
- ``packing``: the packers, and the fast path for values of plain types.
- ``explanation``: which value cannot be stored, where it is, and the fix.
- ``inspecting``: reads values whose classes are not registered here, to show them.
- ``encrypted``: `EncryptedSerializer`, which has a saver encrypt what it stores.
- ``reprs``: text for any value and any error, in messages.
"""

from .encrypted import EncryptedSerializer
from .registered import Registered
from .serializer import MsgpackSerializer, Serializer

__all__ = ("EncryptedSerializer", "MsgpackSerializer", "Registered", "Serializer")
