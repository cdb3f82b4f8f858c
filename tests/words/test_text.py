r"""Ids, names and values of any characters: what is shown of them has no character that a terminal or a log acts upon.

``visible`` itself is measured by Unicode's own lists, not by the code it is made of.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import unicodedata
from collections import Counter
from contextlib import suppress

import pytest
from support.commands import options_of, run
from support.data import at, state
from support.stores import make_store
from zerograph.types import Interrupt

from zerograph_redis import CheckpointError
from zerograph_redis.display import about, quoted, visible

CLASSES = {
    "C0": "".join(map(chr, range(32))),
    "C1": "".join(map(chr, range(0x7F, 0xA0))),
    "bidi": "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c",
    "invisible": "\u200b\u200c\u200d\u00ad\u3164\u2060\ufeff\u115f\u1160\uffa0\u034f\u180e\u2800\ufe0f\U000e0100",
    "tags": "".join(map(chr, range(0xE0020, 0xE0080))),
    "lines": "\n\r\u2028\u2029\x0b\x0c\x85",
    "surrogates": "\ud800\udc00\udfff",
    "spaces": " \xa0\u3000\u2003\u1680",
    "odd": "\ue000\U0010ffff\ufffe\u0300\u20dd\ufffd",
    "words": "aZ09{}[]()%\\/'\":;,.|<>*?&$`=+-_~#@!^äß中🔑",
}
SEQUENCES = [
    "\x1b[2J", "\x1b]0;title\x07", "\x1b]8;;http://x\x1b\\here\x1b]8;;\x1b\\", "\x9b31m", "\r\n2026 ERROR forged",
    "[bold]x[/]", ":smile:", "\x1b[6n", "\x08\x08", "%s%n", "{0}",
]  # fmt: skip
# Unicode's Default_Ignorable_Code_Point, of DerivedCoreProperties.
IGNORABLE = [
    (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x200B, 0x200F),
    (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
]  # fmt: skip


def is_hidden(each):
    """Whether a character must not be shown as it is."""
    return unicodedata.category(each) in {"Cc", "Cf", "Cs", "Zl", "Zp", "Cn", "Co"} or any(
        first <= ord(each) <= last for first, last in IGNORABLE
    )


def hidden_in(text):
    return sorted({hex(ord(each)) for each in text if each != "\n" and is_hidden(each)})


def text_of(chance):
    parts = [chance.choice(CLASSES[chance.choice([*CLASSES])]) for _ in range(chance.randint(1, 10))]
    if chance.random() < 0.3:
        parts.insert(chance.randint(0, len(parts)), chance.choice(SEQUENCES))
    if chance.random() < 0.1:
        parts.append(chance.choice(parts) * 60)
    # Two halves of one character would be read as that character: JSON cannot tell them apart.
    return re.sub("[\ud800-\udbff]+(?=[\udc00-\udfff])", "", "".join(parts))


def test_every_character_of_unicode_is_shown_or_escaped():
    spaces = {0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000}  # like a space, and yet none
    blank = {0x2800, 0x16FE4, 0x1D159}  # symbols that show nothing
    wrong = []
    for code in range(sys.maxunicode + 1):
        each = chr(code)
        shown = visible(each)
        if is_hidden(each) or code in spaces or code in blank:
            right = shown != each and shown.isascii() and shown.isprintable()
        else:
            right = shown == each
        if not right:
            wrong.append(hex(code))
    assert not wrong
    assert visible("a\x1b\u200b\U000e0041é") == "a\\x1b\\u200b\\U000e0041é"
    assert quoted("a\n\u3164") == "'a\\n\\u3164'"
    assert about("a\nb") == {"thread_id": "a\\nb"}


@pytest.fixture(params=["redis-sync", "sqlite-sync"])
def store(request, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made = make_store(request.param, request)
    yield made
    made.close()


def filled(chance, saver):
    """Store threads with hostile names and values; return what was stored of one."""
    thread, namespace = text_of(chance), chance.choice(["", text_of(chance)])
    ids = [f"{text_of(chance)}{number}" for number in range(2)]
    task, channel, owner = text_of(chance), text_of(chance), text_of(chance)
    values = {
        text_of(chance): text_of(chance),
        "map": {text_of(chance): [text_of(chance), text_of(chance).encode(errors="replace")]},
    }
    config = at(thread, ns=namespace)
    metadata = {
        "source": text_of(chance),
        "step": chance.choice([1, text_of(chance)]),
        text_of(chance): text_of(chance),
    }
    for number, each in enumerate(ids):
        config = saver.put(
            config, state(each, **values, changed=[text_of(chance) for _ in range(number + 1)]), metadata
        )
    saver.put_writes(
        config,
        [
            (task, channel, text_of(chance)),
            (task, "__interrupt__", [Interrupt(text_of(chance).encode(errors="replace").decode())]),
        ],
        task,
    )
    return thread, namespace, ids, owner, values, (task, channel)


def commands_of(chance, found, directory):
    thread, namespace, ids, *_ = found
    name = "--namespace"
    every = (
        ["threads"], ["threads", "--match", thread[:1]], ["threads", "--limit", "5"],
        ["history", "--", thread], ["history", name, namespace, "--", thread],
        ["show", "--", thread], ["show", "--full", name, namespace, "--", thread, ids[0]],
        ["diff", "--", thread], ["diff", "--full", name, namespace, "--", thread, *ids],
        ["stats"], ["doctor"], ["doctor", "--quick"],
        ["unlock", "--", thread], ["copy", "--", thread, text_of(chance)], ["prune", "--keep", "1", "--", thread],
        ["delete", "--", thread], ["export", str(directory / "x.export")], ["migrate", "memory://", "memory://"],
        ["show", "--", text_of(chance)], ["show", "--", thread, text_of(chance)],
        ["history", name, text_of(chance), "--", thread],
    )  # fmt: skip
    return chance.sample(every, 7)


def strings_of(value):
    """All strings within a document, keys and values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from strings_of(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings_of(each)


def damaged(chance, store, found):
    """Write foreign bytes where names and records are."""
    garbage = text_of(chance).encode(errors="replace")
    if store.kind != "redis":
        import sqlite3

        with sqlite3.connect(store.path) as file:
            file.execute("UPDATE zerograph_redis_checkpoints SET record = ?", (garbage,))
        file.close()
        return
    client = store.client()
    for key in store.all_keys():
        kind = key.rpartition(b":")[2]
        if kind in {b"checkpoints", b"writes"}:
            for field in client.hkeys(key):
                client.hset(key, chance.choice([field, garbage]), garbage)
        elif kind == b"thread":
            client.hset(key, garbage, garbage)
        elif kind == b"index":
            client.zadd(key, {garbage: 0})


def test_nothing_hidden_leaves_the_command_line(rounds, store, tmp_path, capsys):
    faults, first = Counter(), {}
    done = 0

    def note(what, *about):
        faults[what] += 1
        first.setdefault(what, about)

    for number, chance in rounds:
        if number % 5:  # it takes so much longer than other tests of this folder
            continue
        saver = store.open_bare()
        found = filled(chance, saver)
        thread, namespace, ids, owner, values, write = found
        lease = saver.lease(thread, owner=owner)
        lease.__enter__()
        directory = tmp_path / str(number)
        directory.mkdir()
        for command in commands_of(chance, found, directory):
            if any("\0" in each for each in command):
                continue  # no argument can hold it
            for more in ([], ["--json"]):
                name, *rest = command
                done += 1
                try:
                    outcome = run(*options_of(store), name, *more, *rest)
                except (
                    UnicodeEncodeError
                ):  # of the test's own runner: the bytes of an argument that is half a character
                    continue
                messages = outcome.out + outcome.err
                if hidden := hidden_in(messages):
                    note(f"{name} {more} shows {hidden}", number, command, messages)
                if more and outcome.code == 0:
                    try:
                        read = json.loads(outcome.out)
                    except ValueError:
                        note(f"{name} writes no JSON", number, command, messages)
                        continue
                    wanted = {"threads": [thread], "history": [thread, namespace, *ids, *write], "stats": [thread],
                              "unlock": [thread, owner]}.get(name, [])  # fmt: skip
                    if name == "show" and len(rest) < 4:
                        wanted = [thread, namespace, ids[1], *write, *strings_of({**values, "map": {}})]
                    if name == "history" and "--namespace" not in rest:
                        wanted = [thread, *ids]
                    if missing := set(wanted) - set(strings_of(read)):
                        note(f"{name} --json lost a string", number, command, missing)
                if outcome.code == 1 and name != "doctor" and "Error" in outcome.err:
                    note(f"{name}: {outcome.err[:120]}", number, command)
        lease.__exit__(None, None, None)
        for each in saver.list_threads(None):
            saver.delete_thread(each.thread_id)
    assert not faults, f"{faults.total()} of {done}: {dict(faults.most_common(20))}\n{dict([*first.items()][:3])}"


def test_nothing_hidden_leaves_errors_and_the_log(rounds, store, log, capsys):
    faults, first = Counter(), {}
    done = 0
    formatter = logging.Formatter("%(name)s %(thread_id)s %(message)s")
    for number, chance in rounds:
        if number % 5:
            continue
        saver = store.open_bare()
        found = filled(chance, saver)
        thread, namespace, ids, owner, _, write = found
        config = at(thread, ns=namespace)
        messages = []

        def note(call, messages=messages):
            try:
                call()
            except CheckpointError as error:
                messages.append(str(error))
            except Exception as error:  # noqa: BLE001 - other tests cover errors outside the tree
                messages.append(visible(repr(error)))

        with saver.lease(thread, owner=owner):
            stranger = store.open()
            note(lambda: stranger.stranger().put(config, state("x"), {}))  # noqa: B023 - called at once
            note(lambda: saver.put(at(thread, lease_token=7), state("x"), {}))  # noqa: B023
            expecting = {"configurable": {**config["configurable"], "expect_checkpoint_id": owner}}
            note(lambda: saver.put(expecting, state("x"), {}))  # noqa: B023
        note(lambda: saver.copy_thread(thread, thread))  # noqa: B023
        note(lambda: saver.put(config, state("x", **{owner: object()}), {}))  # noqa: B023
        note(lambda: saver.put_writes(at(thread, ns=namespace, id=ids[0]), [(*write, {owner: object()})], ""))  # noqa: B023
        note(lambda: saver.get({"configurable": owner}))  # noqa: B023
        note(lambda: saver.lease(thread).token)  # noqa: B023
        damaged(chance, store, found)
        other = store.open_bare()
        for call in (
            lambda: other.get_tuple(config),  # noqa: B023
            lambda: other.get_tuple(at(thread, ns=namespace, id=ids[0])),  # noqa: B023
            lambda: other.list(config),  # noqa: B023
            lambda: other.get_pending_writes(at(thread, ns=namespace, id=ids[1])),  # noqa: B023
            lambda: other.list_threads(),  # noqa: B023
            lambda: other.copy_thread(thread, "copy"),  # noqa: B023
            lambda: other.prune(thread, 0),  # noqa: B023
        ):
            note(call)
        for command in (
            ["threads"],
            ["show", "--", thread],
            ["history", "--", thread],
            ["doctor"],
            ["doctor", "--json"],
        ):
            with suppress(Exception):
                outcome = run(*options_of(store), *command)
                messages += (outcome.out + outcome.err).split("\n")
        messages += [formatter.format(record) for record in log]
        log.clear()
        done += len(messages)
        for each in messages:
            if hidden := hidden_in(each.replace("\n", "\x01")):
                faults[str(hidden)] += 1
                first.setdefault(str(hidden), (number, each))
        store.clear() if store.kind == "redis" else [saver.delete_thread(each) for each in [thread]]
    assert not faults, f"{faults.total()} of {done}: {dict(faults.most_common(20))}\n{dict([*first.items()][:3])}"
