"""What a saver asks of a serializer."""

from __future__ import annotations

from typing import Any, Protocol


class Serializer(Protocol):
    """Turns a value to bytes and back; used by many threads at once."""

    def pack(self, value: Any, *, root: str = "") -> bytes:
        """Return *value* as bytes.

        Args:
            value: What to store.
            root: What to call *value* in an error message, such as ``writes[0]``.

        Raises:
            SerializationError: Something in *value* cannot be stored; the message says where.
        """

    def unpack(self, data: bytes) -> Any:
        """Return the value that *data* was packed from.

        Raises:
            CorruptCheckpointError: *data* is damaged, or was not written by this serializer.
            SerializationError: *data* is whole, but has a registered type that is unknown or different here.
        """
