"""Checkpoint values to bytes and back, with every type and value exact.

The bytes are plain MessagePack: dict, list, str, bytes, int, float, bool and None are what they always are, every other
type is one of the extension codes in :mod:`zerograph_redis.serde.codes`, whose payload is MessagePack again.
"""

from zerograph_redis.serde.encrypted import EncryptedSerializer
from zerograph_redis.serde.protocol import Serializer
from zerograph_redis.serde.registered import Registered
from zerograph_redis.serde.serializer import MsgpackSerializer

__all__ = ("EncryptedSerializer", "MsgpackSerializer", "Registered", "Serializer")
