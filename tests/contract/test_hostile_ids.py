"""Ids are data: whatever characters they have, no two share anything, and none is read as anything else."""

import itertools

import pytest
from support.data import at, ids, place, state, thread_ids

HOSTILE = {
    "braces": "{a}",
    "empty braces": "{}",
    "open brace": "{",
    "closed brace": "}",
    "braces inside": "a{b}c",
    "colon": "a:b",
    "space": " ",
    "spaces": "a b  ",
    "star": "*",
    "question mark": "?",
    "brackets": "[a-z]",
    "bracket": "[",
    "parenthesis": "(",
    "plus": "+",
    "minus": "-",
    "newline": "\n",
    "carriage return": "\r\n",
    "nul": "\x00",
    "nul inside": "a\x00b",
    "unit separator": "\x1f",
    "record separator": "\x1e",
    "separators": "a\x1f0000000000000000\x1fb",
    "delete": "\x7f",
    "percent": "%",
    "escape": "%1f",
    "escape of escape": "%25",
    "escape of brace": "%7b",
    "surrogate": "\ud800",
    "surrogates the wrong way round": "\udc00\ud800",
    "escape of surrogate": "%ud800",
    "four bytes": "𝄞",
    "umlaut": "ä",
    "umlaut of two code points": "a\u0308",
    "right to left": "\u202eab",
    "long": "x" * 10_000,
    "long too": "x" * 9_999 + "y",
    "long and hostile": "{%\x1f\ud800" * 625,
    "default thread": "__default__",
    "dots": "..",
    "path": "../../etc/passwd",
    "quote": "'",
    "quotes": "\"'`",
    "sql": "'; DROP TABLE zerograph_redis_threads; --",
    "lua": "]]..redis.call('FLUSHALL')..[[",
    "backslash": "\\",
    "number": "0",
    "other number": "00",
    "kind": "thread",
    "kinds": "}:index",
    "upper case": "THREAD",
    "prefix": "threads",
    "sql wildcard": "_",
    "none": "None",
}
IDS = list(HOSTILE.values())


def test_any_id_can_be_used_everywhere(saver):
    for hostile in IDS:
        use_everywhere(saver, hostile)
        saver.delete_thread(hostile + "copy")


def use_everywhere(saver, hostile):
    first = saver.put(at(hostile, hostile), state(hostile, n=1), {hostile: hostile})
    assert place(first) == (hostile, hostile, hostile)
    second = saver.put(first, state(hostile + "2", n=2), {})
    saver.put_writes(first, [(hostile, hostile, hostile), (hostile, "b", 2)], hostile)
    saver.put_writes(first, [("", hostile, "again")], hostile)
    found = saver.get_tuple(first)
    assert found.config == first
    assert found.checkpoint == state(hostile, n=1)
    assert found.metadata == {hostile: hostile}
    assert found.pending_writes == [(hostile, hostile, "again"), (hostile, "b", 2)]
    assert saver.get_pending_writes(first) == found.pending_writes
    assert saver.get_tuple(at(hostile, hostile)).parent_config == first
    assert ids(saver.list(at(hostile, hostile), before=second)) == [hostile]
    assert saver.get_by_id(hostile, hostile).config == first
    assert saver.get_by_id(hostile).config == first
    assert thread_ids(saver) == [hostile]
    assert saver.copy_thread(hostile, hostile + "copy") == 2
    assert saver.get_tuple(at(hostile + "copy", hostile)).parent_config == at(hostile + "copy", hostile, hostile)
    assert thread_ids(saver, before=hostile + "copy") == [hostile]
    assert saver.prune(hostile, 1) == 1
    saver.delete_thread(hostile)
    assert thread_ids(saver) == [hostile + "copy"]


@pytest.mark.stored  # threads are listed in the order in which they were stored
def test_no_two_threads_share_anything(saver):
    for number, name in enumerate(IDS):
        saver.put(at(name), state("c", n=number), {})
        saver.put_writes(at(name, id="c"), [("t", "a", number)], "")
    for number, name in enumerate(IDS):
        (found,) = saver.list(at(name))
        assert found.checkpoint["channel_values"] == {"n": number}
        assert found.pending_writes == [("t", "a", number)]
    assert thread_ids(saver, limit=None) == IDS[::-1]
    for deleted, name in enumerate(IDS):
        saver.delete_thread(name)
        assert saver.get_tuple(at(name)) is None
        assert len(saver.list_threads(limit=None)) == len(IDS) - deleted - 1


def test_no_two_namespaces_share_anything(saver):
    for number, name in enumerate(IDS):
        saver.put(at(ns=name), state("c", n=number), {})
        saver.put_writes(at(ns=name, id="c"), [("t", "a", number)], "")
        saver.put(at(ns=name), state("d", n=number), {})
    for number, name in enumerate(IDS):
        second, first = saver.list(at(ns=name))
        assert first.checkpoint["channel_values"] == second.checkpoint["channel_values"] == {"n": number}
        assert first.pending_writes == [("t", "a", number)]
        assert second.pending_writes == []
    assert saver.list(at()) == []
    assert saver.prune("thread", 1) == len(IDS)


def test_no_two_checkpoints_share_anything(saver):
    for number, name in enumerate(IDS):
        saver.put(at(), state(name, n=number), {})
        saver.put_writes(at(id=name), [("t", "a", number)], "")
    for number, name in enumerate(IDS):
        found = saver.get_tuple(at(id=name))
        assert found.checkpoint["channel_values"] == {"n": number}
        assert found.pending_writes == [("t", "a", number)]
        assert ids(saver.list(at(), before=at(id=name), limit=None)) == IDS[:number][::-1]


def test_no_two_writes_share_anything(saver):
    pairs = [*itertools.product(IDS, ["a", "\x1e", "%1e"]), *itertools.product(["a", "\x1e", "%1e"], IDS)]
    pairs = list(dict.fromkeys(pairs))
    saver.put_writes(at(id="c"), [(task, channel, n) for n, (task, channel) in enumerate(pairs)], "")
    assert saver.get_pending_writes(at(id="c")) == [(task, channel, n) for n, (task, channel) in enumerate(pairs)]


def test_an_id_cannot_be_moved_from_one_part_of_an_address_to_another(saver):
    addresses = [
        (thread, ns, name)
        for thread, ns, name in itertools.product(["a", "a\x1fb", "a:b"], ["", "b", "b\x1fc", "b:c"], ["c", "b\x1fc"])
    ]
    for address in addresses:
        saver.put(at(*address), state(address[2], where=address), {})
    for address in addresses:
        assert saver.get(at(*address))["channel_values"] == {"where": address}


def test_a_prefix_of_redis_shares_nothing_with_another(redis_store):
    root = redis_store.prefix
    prefixes = [root, root + ":a", root + ":threads", root + "2"]
    savers = [redis_store.open(prefix=prefix) for prefix in prefixes]
    for number, saver in enumerate(savers):
        saver.put(at("a"), state("c", n=number), {})
        saver.put(at("{a}"), state("c", n=number), {})
    for number, saver in enumerate(savers):
        assert saver.get(at("a"))["channel_values"] == {"n": number}
        assert thread_ids(saver) == ["{a}", "a"]
    savers[0].delete_thread("a")
    assert [thread_ids(saver) for saver in savers] == [["{a}"], *[["{a}", "a"]] * 3]
