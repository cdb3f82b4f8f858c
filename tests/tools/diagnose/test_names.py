"""Keys sorted by their names, and the threads that the index has a deadline of."""

from __future__ import annotations

import pytest
from support.data import fill

from zerograph_redis.ids import escape
from zerograph_redis.tools.diagnose import names as module
from zerograph_redis.tools.diagnose.names import Names, read_expiring, sort_keys


def sort(*found, prefix="p", clustered=False):
    names = Names()
    counted = []
    sort_keys(found, prefix, names, lambda: counted.append(1), clustered=clustered)
    assert len(counted) == len(found)
    return names


@pytest.mark.parametrize("thread", ["t", "a:b", "{x}", "threads", "copy:1", "%", "\x1f", "\ud800", "*[?]", "ü 漢"])
def test_every_key_of_a_thread_is_known_whatever_its_id(thread):
    stem = f"p:{{{escape(thread)}}}:"
    kinds = ("thread", "index", "checkpoints", "writes", "log:0", "log:1")
    names = sort(*(f"{stem}{kind}".encode() for kind in kinds))
    assert names == Names(stored={thread})
    names = sort(*(f"{stem}copy:token:{kind}".encode() for kind in kinds))
    assert names == Names(staged={(thread, "token")})


def test_keys_of_the_thread_index_differ_between_server_and_cluster():
    assert sort(b"p:threads", b"p:deadlines") == Names()
    assert sort(b"p:threads:{0}", b"p:threads:{63}", clustered=True) == Names()
    assert sort(b"p:threads:{0}").foreign == ["p:threads:{0}"]
    assert sort(b"p:threads", clustered=True).foreign == ["p:threads"]


def test_on_a_cluster_the_index_of_one_prefix_may_begin_with_another():
    keys = (b"app:threads:{3}", b"app:threads:threads:{4}", b"app:threads:{t}:thread", b"app:threads:{x}")
    names = sort(*keys, prefix="app:threads", clustered=True)
    assert (names.other_prefixes, names.stored, names.foreign) == ({"app"}, {"t"}, ["app:threads:{x}"])
    assert sort(keys[0], prefix="app:threads").foreign == ["app:threads:{3}"]
    assert sort(b"threads:{3}", prefix="threads", clustered=True).foreign == ["threads:{3}"]


def test_keys_of_other_prefixes_and_foreign_keys():
    names = sort(b"p:q:{t}:thread", b"p:q:threads", b"p:q:r:{t}:copy:x:index", b"p:q:threads:{3}")
    assert (names.other_prefixes, names.stored, names.foreign) == ({"p:q", "p:q:r"}, set(), [])
    foreign = [b"p:x", b"p:{t}", b"p:{t}:other", b"p:{t}:thread:x", b"p:{}:thread", b"p:\xff", "p:as text"]
    assert len(sort(*foreign).foreign) == len(foreign)


@pytest.mark.parametrize("page", [1, 2, 3, 7, 100])
def test_threads_with_a_deadline_are_read_page_by_page_each_once(real_store, monkeypatch, page):
    monkeypatch.setattr(module, "PAGE", page)
    client = real_store.client()
    deadlines = {f"%7b{number}%7d": 1000 + number // 4 for number in range(13)}
    client.zadd(f"{real_store.prefix}:deadlines", deadlines)
    assert sorted(read_expiring(client, real_store.prefix)) == sorted(map(str.encode, deadlines))


def test_no_thread_has_a_deadline_without_a_ttl(real_store):
    fill(real_store.open(), 2)
    assert list(read_expiring(real_store.client(), real_store.prefix)) == []
