"""``diff``: what changed from one checkpoint to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from zerograph_redis.tools.inspect.differences import differences
from zerograph_redis.tools.inspect.finding import find_before
from zerograph_redis.tools.inspect.states import read_state

from .naming import NAMED, named_state
from .output import console, note, print_json
from .parameters import Json, Namespace, Thread
from .session import Session
from .tables import phrase, shown
from .values import brief, excerpts, on_one_line, pretty, spell_path

if TYPE_CHECKING:
    from rich.console import Console

    from zerograph_redis.tools.inspect.differences import Difference
    from zerograph_redis.tools.inspect.states import State


_SIDE = 3  # members that are shown from either end of many
_STYLES = {"added": "green", "appended": "green", "removed": "red", "changed": "yellow"}
_SIGNS = {"added": "+", "appended": "+", "removed": "-", "changed": "~"}


def diff(
    context: typer.Context,
    thread: Thread,
    a: Annotated[
        str | None, typer.Argument(metavar="A", help="The older checkpoint; alone, it is the newer one.")
    ] = None,
    b: Annotated[str | None, typer.Argument(metavar="B", help=f"The newer one. {NAMED}")] = None,
    namespace: Namespace = None,
    *,
    full: Annotated[bool, typer.Option("--full", help="Show long values whole.")] = False,
    json: Json = False,
) -> None:
    """Show what changed between two checkpoints.

    Channel by channel: added (+), removed (-), changed (~). Of one alone, or the newest, against its parent.
    """
    session: Session = context.obj
    # A single id is the newer one: what it changed is what one wants to know.
    said, older = (b, a) if b is not None else (a, None)
    after = named_state(session, thread, said, namespace)
    before = named_state(session, thread, older, namespace) if older is not None else _base(session, thread, after)
    found = differences({} if before is None else before.channels, after.channels)
    if json:
        print_json(
            {
                "thread_id": thread,
                "before": None if before is None else _place(before),
                "after": _place(after),
                "changes": [_as_json(each) for each in found],
            }
        )
        return
    out = console()
    _print_head(out, before, after)
    if not found:
        out.print("No channel changed.")
    for each in found:
        _print(out, each, full=full)


def _base(session: Session, thread: str, after: State) -> State | None:
    """Its parent; of one that begins anew, what was stored before it."""
    settings = session.lenient_settings
    if after.parent is not None:
        parent = session.run(read_state(settings, thread, after.namespace, after.parent))
        if parent is not None:
            return parent
    found = session.run(find_before(thread, after.namespace, after.checkpoint_id))
    why = "has no parent" if after.parent is None else f"has a parent that is not there, {after.parent!r}"
    against = "an empty state" if found is None else "what was stored before it"
    note(f"{after.checkpoint_id!r} {why}: compared with {against}.")
    return None if found is None else session.run(read_state(settings, thread, *found))


def _print_head(out: Console, before: State | None, after: State) -> None:
    out.print(
        shown(f"{before.checkpoint_id if before else '(nothing)'} → {after.checkpoint_id}", "bold"), soft_wrap=True
    )
    told = [
        f"{name} {_spelled(None if before is None else getattr(before, name))} → {_spelled(getattr(after, name))}"
        for name in ("step", "next")
        if before is None or getattr(before, name) != getattr(after, name)
    ]
    if told:
        out.print(shown(", ".join(told), "dim"), soft_wrap=True)
    out.print()


def _spelled(value: Any) -> str:
    if isinstance(value, list):
        return "+".join(value) or "nothing"
    return "nothing" if value is None else brief(value)


def _print(out: Console, found: Difference, *, full: bool) -> None:
    sign, style = _SIGNS[found.kind], _STYLES[found.kind]
    path = spell_path(found.channel, found.path)
    before, after = found.before, found.after
    told = None
    if found.members:
        _print_members(out, found, path, full=full)
        return
    if found.kind == "changed":
        told = on_one_line(before, after, out.width - len(path) - 4)
    out.print(phrase((f"{sign} {path}", f"bold {style}"), (f"  {told}" if told else "", "")), soft_wrap=True)
    if told is not None:
        return
    if isinstance(before, str) and isinstance(after, str) and not full:
        for each in excerpts(before, after, out.width):
            out.print(each, soft_wrap=True)
        return
    if found.kind in {"removed", "changed"}:
        _print_value(out, before, "-", full=full)
    if found.kind in {"added", "changed"}:
        _print_value(out, after, "+", full=full)


def _print_members(out: Console, found: Difference, path: str, *, full: bool) -> None:
    sign, style = _SIGNS[found.kind], _STYLES[found.kind]
    members = found.before if found.kind == "removed" else found.after
    words = {
        "appended": "added at the end",
        "added": f"added at {found.place}",
        "removed": f"removed from {found.place}",
    }
    told = f"  {len(members):,} {words[found.kind]}"
    out.print(phrase((f"{sign} {path}", f"bold {style}"), (told, "")), soft_wrap=True)
    half = len(members) if full or len(members) <= 2 * _SIDE + 1 else _SIDE
    for member in members[:half]:
        _print_value(out, member, sign, full=full)
    if half < len(members):
        out.print(shown(f"    … {len(members) - 2 * half:,} more …", "dim"))
        for member in members[-half:]:
            _print_value(out, member, sign, full=full)


def _print_value(out: Console, value: Any, sign: str, *, full: bool) -> None:
    style = "red" if sign == "-" else "green"
    out.print(pretty(value, out.width, full=full, style=style, indent="    ", first=f"  {sign} "), soft_wrap=True)


def _place(state: State) -> dict[str, str]:
    return {"namespace": state.namespace, "checkpoint_id": state.checkpoint_id}


def _as_json(found: Difference) -> dict[str, Any]:
    told: dict[str, Any] = {"channel": found.channel, "path": found.path, "kind": found.kind}
    if found.members:
        told["place"] = found.place
        return told | {"members": found.before if found.kind == "removed" else found.after}
    if found.kind in {"removed", "changed"}:
        told["before"] = found.before
    if found.kind in {"added", "changed"}:
        told["after"] = found.after
    return told
