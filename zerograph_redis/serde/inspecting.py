"""Reads values whose classes are not registered here: to show them, never to use or store them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zerograph_redis.errors import CorruptCheckpointError

from .codes import expect
from .reprs import safe_repr
from .serializer import MsgpackSerializer, Serializer


@dataclass(slots=True, repr=False)
class StandIn:
    """Stands for a value whose class is not registered here, or has other fields today."""

    name: str
    """The name of its type."""
    parts: list[Any]
    """What is stored of it."""

    @property
    def fields(self) -> dict[str, Any] | None:
        """Its fields; None if it was stored as a single value."""
        first = self.parts[0] if self.parts else None
        if type(first) is not dict:
            return None
        more = self.parts[2] if len(self.parts) > 2 else None  # the extra fields of a pydantic model
        return {str(name): value for name, value in (first | more if type(more) is dict else first).items()}

    def __repr__(self) -> str:
        """Write it as a call of its type."""
        if self.fields is None:
            shown = [safe_repr(each) for each in self.parts]
        else:
            shown = [f"{_bare(name)}={safe_repr(value)}" for name, value in self.fields.items()]
        return f"{_bare(self.name)}({', '.join(shown)})"

    def __hash__(self) -> int:
        """By the name, so that it may be in a set, and a key."""
        return hash(self.name)


def _bare(name: str) -> str:
    """Return a name without quotes, with escapes if it cannot be printed."""
    return name if name.isprintable() else ascii(name)[1:-1]


class InspectingSerializer(MsgpackSerializer):
    """Knows what another serializer knows, and builds a `StandIn` for everything else."""

    def __init__(self, known: MsgpackSerializer) -> None:
        """Know the types of *known*."""
        super().__init__()
        self._codecs = known._codecs  # noqa: SLF001 - another object of the same class

    def _registered(self, stored: Any) -> Any:
        name, *parts = expect(list, stored)
        codec = self._codecs.get(expect(str, name))
        if codec is not None:
            try:
                return codec.decode(parts)
            except Exception:  # noqa: BLE001, S110 - a user's decode function may raise anything
                pass
        return StandIn(name, parts)

    def _extension(self, code: int, data: bytes) -> Any:
        if code not in self._decoders:
            return StandIn(f"code {code}", [data])
        try:
            return super()._extension(code, data)
        except CorruptCheckpointError:
            raise
        except Exception as error:  # noqa: BLE001 - such as an array, where numpy is not installed
            return StandIn(f"code {code}", [data, f"{type(error).__name__}: {error}"])


def inspecting(serializer: Serializer) -> Serializer:
    """Return a serializer that reads what *serializer* reads, and a `StandIn` for each value that it refuses.

    Another serializer than a `MsgpackSerializer` is returned as it is.
    """
    return InspectingSerializer(serializer) if type(serializer) is MsgpackSerializer else serializer
