"""``diff``: what changed from one checkpoint to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from zerograph_redis.core.checkpoint_operations import find_namespace
from zerograph_redis.tools.inspect.changes import find_differences
from zerograph_redis.tools.inspect.checkpoints import CheckpointReader

from .naming import NAMED, named_checkpoint
from .output import console, note, print_json
from .parameters import Full, Json, Namespace, Thread
from .session import Session
from .text import phrase, shown
from .values import brief, brief_change, excerpts, path_text, pretty

if TYPE_CHECKING:
    from rich.console import Console

    from zerograph_redis.tools.inspect.changes import Difference
    from zerograph_redis.tools.inspect.checkpoints import Entry


_SIDE = 3  # members that are shown from either end of many
_STYLES = {"added": "green", "appended": "green", "removed": "red", "changed": "yellow"}
_SIGNS = {"added": "+", "appended": "+", "removed": "-", "changed": "~"}


def diff(
    context: typer.Context,
    thread: Thread,
    a: Annotated[
        str | None, typer.Argument(metavar="A", help="The older checkpoint. If B is not given, the newer one.")
    ] = None,
    b: Annotated[str | None, typer.Argument(metavar="B", help=f"The newer checkpoint. {NAMED}")] = None,
    namespace: Namespace = None,
    *,
    full: Full = False,
    json: Json = False,
) -> None:
    """Show what changed between two checkpoints.

    Channel by channel: added (+), removed (-), changed (~). One checkpoint, or the newest, is compared with its parent.
    """
    session: Session = context.obj
    reader = CheckpointReader(session.inspecting_settings, thread)
    newer, older = (b, a) if b is not None else (a, None)
    after = named_checkpoint(session, reader, thread, newer, namespace)
    if older is None:
        before = _base(session, reader, thread, after)
    else:
        before = named_checkpoint(session, reader, thread, older, namespace)
    found = find_differences({} if before is None else before.channels, after.channels)
    if json:
        names = [
            each and {"namespace": each.namespace, "checkpoint_id": each.checkpoint_id} for each in (before, after)
        ]
        document = {"thread_id": thread, "before": names[0], "after": names[1]}
        print_json({**document, "changes": [_as_json(each) for each in found]})
        return
    out = console()
    _print_head(out, before, after)
    if not found:
        out.print("No channel changed.")
    for each in found:
        _print(out, each, full=full)


def _base(session: Session, reader: CheckpointReader, thread: str, after: Entry) -> Entry | None:
    """Read the parent; if there is none in the namespace, what was stored before."""
    reason = "has no parent"
    if after.parent is not None:
        parent = session.run(reader.get(after.namespace, after.parent))
        if parent is not None:
            return parent
        namespace = session.run(find_namespace(thread, after.parent))
        if namespace is None:
            reason = f"has a parent that is no longer stored, {after.parent!r}"
        else:
            reason = f"starts a subgraph: its parent {after.parent!r} is in the namespace {namespace!r}"
    before = session.run(reader.get_before(after.namespace, after.checkpoint_id))
    against = "an empty state" if before is None else "the checkpoint stored before it"
    note(f"{after.checkpoint_id!r} {reason}; compared with {against}.")
    return before


def _print_head(out: Console, before: Entry | None, after: Entry) -> None:
    name = before.checkpoint_id if before else "(nothing)"
    out.print(shown(f"{name} → {after.checkpoint_id}", "bold"), soft_wrap=True)
    (step, nodes), (new_step, new_nodes) = _run(before), _run(after)
    changes = [f"step {step} → {new_step}"] if before is None or step != new_step else []
    changes += [f"next {nodes} → {new_nodes}"] if before is None or nodes != new_nodes else []
    if changes:
        out.print(shown(", ".join(changes), "dim"), soft_wrap=True)
    out.print()


def _run(entry: Entry | None) -> tuple[str, str]:
    """Show the step of a checkpoint, and the nodes that come next."""
    if entry is None:
        return "nothing", "nothing"
    return "nothing" if entry.step is None else brief(entry.step), "+".join(entry.next) or "nothing"


def _print(out: Console, found: Difference, *, full: bool) -> None:
    sign, style = _SIGNS[found.kind], f"bold {_STYLES[found.kind]}"
    path = path_text(found.channel, found.path)
    before, after = found.before, found.after
    words = None
    if found.members:
        members = before if found.kind == "removed" else after
        how = {"appended": "added at the end", "added": "added at", "removed": "removed at"}[found.kind]
        words = f"{len(members):,} {how}{'' if found.kind == 'appended' else f' {found.place}'}"
    elif found.kind == "changed":
        words = brief_change(before, after, out.width - len(path) - 4)
    out.print(phrase((f"{sign} {path}", style), (f"  {words}" if words else "", "")), soft_wrap=True)
    if found.members:
        _print_members(out, members, sign, full=full)
    elif found.kind == "changed" and words is None and not full and isinstance(before, str) and isinstance(after, str):
        for each in excerpts(before, after, out.width):
            out.print(each, soft_wrap=True)
    elif words is None:
        if found.kind != "added":
            _print_value(out, before, "-", full=full)
        if found.kind != "removed":
            _print_value(out, after, "+", full=full)


def _print_members(out: Console, members: list[Any], sign: str, *, full: bool) -> None:
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


def _as_json(found: Difference) -> dict[str, Any]:
    document: dict[str, Any] = {"channel": found.channel, "path": found.path, "kind": found.kind}
    if found.members:
        members = found.before if found.kind == "removed" else found.after
        return document | {"place": found.place, "members": members}
    if found.kind != "added":
        document["before"] = found.before
    if found.kind != "removed":
        document["after"] = found.after
    return document
