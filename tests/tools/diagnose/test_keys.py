"""Keys told apart by their names, and the threads that are noted to expire."""

from __future__ import annotations

import pytest
from support.data import fill

from zerograph_redis.ids import escape
from zerograph_redis.tools.diagnose import keys
from zerograph_redis.tools.diagnose.examination import Names
from zerograph_redis.tools.diagnose.keys import expiring, sort_keys


def sorted_out(*found, clustered=False):
    names = Names()
    seen = []
    sort_keys(found, "p", names, lambda: seen.append(1), clustered=clustered)
    assert len(seen) == len(found)
    return names


@pytest.mark.parametrize("thread", ["t", "a:b", "{x}", "threads", "copy:1", "%", "\x1f", "\ud800", "*[?]", "ü 漢"])
def test_every_key_of_a_thread_is_known_whatever_its_id(thread):
    stem = f"p:{{{escape(thread)}}}:"
    kinds = ("thread", "index", "checkpoints", "writes", "log:0", "log:1")
    names = sorted_out(*(f"{stem}{kind}".encode() for kind in kinds))
    assert names == Names(stored={thread})
    names = sorted_out(*(f"{stem}copy:token:{kind}".encode() for kind in kinds))
    assert names == Names(staged={(thread, "token")})


def test_keys_across_threads_are_those_of_the_kind_of_server():
    assert sorted_out(b"p:threads", b"p:deadlines") == Names()
    assert sorted_out(b"p:threads:{0}", b"p:threads:{63}", clustered=True) == Names()
    assert sorted_out(b"p:threads:{0}").strays == ["p:threads:{0}"]
    assert sorted_out(b"p:threads", clustered=True).strays == ["p:threads"]


def test_what_is_of_another_prefix_or_of_nobody():
    names = sorted_out(b"p:q:{t}:thread", b"p:q:threads", b"p:q:r:{t}:copy:x:index", b"p:q:threads:{3}")
    assert (names.others, names.stored, names.strays) == ({"p:q", "p:q:r"}, set(), [])
    strays = [b"p:x", b"p:{t}", b"p:{t}:other", b"p:{t}:thread:x", b"p:{}:thread", b"p:\xff", "p:as text"]
    assert len(sorted_out(*strays).strays) == len(strays)


@pytest.mark.parametrize("page", [1, 2, 3, 7, 100])
def test_threads_that_expire_are_read_page_by_page_each_once(real_store, monkeypatch, page):
    monkeypatch.setattr(keys, "PAGE", page)
    client = real_store.client()
    noted = {f"%7b{number}%7d": 1000 + number // 4 for number in range(13)}
    client.zadd(f"{real_store.prefix}:deadlines", noted)
    assert sorted(expiring(client, real_store.prefix)) == sorted(map(str.encode, noted))


def test_none_expire_where_no_thread_has_a_ttl(real_store):
    fill(real_store.open(), 2)
    assert list(expiring(real_store.client(), real_store.prefix)) == []
