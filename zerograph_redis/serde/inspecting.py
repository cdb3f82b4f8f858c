"""Reading values whose types are not registered here: for looking at them, never for using or storing them."""

from __future__ import annotations

from typing import Any

from zerograph_redis.errors import CorruptCheckpointError
from zerograph_redis.serde.protocol import Serializer
from zerograph_redis.serde.serializer import MsgpackSerializer
from zerograph_redis.serde.spelling import spell
from zerograph_redis.serde.table import want


class StandIn:
    """Stands for a value of a type that is not registered here, or that has other fields today."""

    __slots__ = ("name", "parts")

    def __init__(self, name: str, parts: list[Any]) -> None:
        """Stand for a *name* that was stored with these *parts*."""
        self.name = name
        self.parts = parts

    @property
    def fields(self) -> dict[str, Any] | None:
        """Its fields, None if it was stored as a single value."""
        first = self.parts[0] if self.parts else None
        if type(first) is not dict:
            return None
        more = self.parts[2] if len(self.parts) > 2 else None  # what a pydantic model has besides its fields
        return {str(name): value for name, value in (first | more if type(more) is dict else first).items()}

    def __repr__(self) -> str:
        """Look like a call of its type."""
        if self.fields is None:
            return f"{_bare(self.name)}({', '.join(map(spell, self.parts))})"
        return (
            f"{_bare(self.name)}({', '.join(f'{_bare(name)}={spell(value)}' for name, value in self.fields.items())})"
        )

    def __eq__(self, other: object) -> bool:
        """Two are equal that were stored equal."""
        return isinstance(other, StandIn) and (self.name, self.parts) == (other.name, other.parts)

    def __hash__(self) -> int:
        """May stand in sets, and as a key."""
        return hash(self.name)


def _bare(name: str) -> str:
    """Spell a name without quotes, as long as it can be printed."""
    return name if name.isprintable() else ascii(name)[1:-1]


class InspectingSerializer(MsgpackSerializer):
    """Knows what another serializer knows, and builds a `StandIn` for everything else."""

    def __init__(self, known: MsgpackSerializer) -> None:
        """Know the types of *known*."""
        super().__init__()
        self._kinds = known._kinds  # noqa: SLF001 - of its own kind

    def _registered(self, stored: Any) -> Any:
        name, *parts = want(list, stored)
        kind = self._kinds.get(want(str, name))
        if kind is not None:
            try:
                return kind.build(parts)
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
    """Return a serializer that reads what *serializer* reads, and what it refuses as a `StandIn`.

    One of another kind than `MsgpackSerializer` is returned as it is.
    """
    return InspectingSerializer(serializer) if type(serializer) is MsgpackSerializer else serializer
