"""Dumps of stores, which any later version must load. ``python tests/formats/dumps.py`` makes the missing ones."""

from __future__ import annotations

import base64
import json
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

import fakeredis

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from formats.content import VARIANTS, fill
from support.moves import export

from zerograph_redis import InMemorySaver, RedisSaver, SqliteSaver

HERE = Path(__file__).parent
RELEASE = "0.1"


def dump_redis(client: Any) -> str:
    """Return every key of a Redis with its content as JSON; all bytes are in base64."""
    found = {}
    for key in sorted(client.scan_iter()):
        match client.type(key):
            case b"hash":
                content: Any = {_encode(name): _encode(value) for name, value in sorted(client.hgetall(key).items())}
            case b"zset":
                content = [[_encode(member), score] for member, score in client.zrange(key, 0, -1, withscores=True)]
            case _:
                content = _encode(client.get(key))
        found[_encode(key)] = content
    return json.dumps(found, indent=1)


def load_redis(client: Any, dump: str) -> None:
    """Store the content of a dump."""
    for key, content in json.loads(dump).items():
        if isinstance(content, dict):
            client.hset(_decode(key), mapping={_decode(name): _decode(value) for name, value in content.items()})
        elif isinstance(content, list):
            client.zadd(_decode(key), {_decode(member): score for member, score in content})
        else:
            client.set(_decode(key), _decode(content))


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text)


def _make(name: str, options: dict[str, Any]) -> None:
    redis_dump, sqlite_dump = HERE / f"{RELEASE}-redis-{name}.json", HERE / f"{RELEASE}-sqlite-{name}.sql"
    if not redis_dump.exists():
        client = fakeredis.FakeRedis()
        fill(RedisSaver(client, **options))
        redis_dump.write_text(dump_redis(client))
    if not sqlite_dump.exists():
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "checkpoints.db"
            with SqliteSaver(path, **options) as saver:
                fill(saver)
            connection = sqlite3.connect(path)
            sqlite_dump.write_text("\n".join(connection.iterdump()))
            connection.close()
    file = HERE / f"{RELEASE}-file-{name}.zst"
    if not file.exists():
        with InMemorySaver(max_per_thread=None, **options) as saver:
            fill(saver)
            export(saver, file, level=19)


if __name__ == "__main__":
    for each in VARIANTS.items():
        _make(*each)
