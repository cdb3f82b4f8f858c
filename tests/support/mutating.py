"""Bytes that no saver stores: random ones, slightly changed ones, and forgeries whose checksums match."""

from __future__ import annotations

from random import Random
from typing import Any

import msgpack
from xxhash import xxh3_64

from zerograph_redis.core import records
from zerograph_redis.ids import SEPARATOR, escape

US = SEPARATOR.encode()

NUMBERS: tuple[bytes, ...] = (
    *(b"", b"0", b"1", b"-1", b"+5", b"1_0", b" 5", b"1.5", b"0x10", b"1e308", b"inf", b"nan", b"007"),
    *(b"3000000", b"9223372036854775807", b"18446744073709551616", b"-9223372036854775808"),
    *(b"253402300800000000", b"9" * 14, b"9" * 15, b"9" * 16, b"9" * 20, b"9" * 400, b"9" * 5000, "٣".encode()),
)
WORDS: tuple[bytes, ...] = (
    b"abc",
    b"\xff\xfe",
    b"\x00",
    b"%zz",
    b"%41",
    b"{",
    b"}",
    US,
    US * 3,
    b"\x1e",
    "\ud800".encode("utf-8", "surrogatepass"),
)


def junk(rng: Random) -> bytes:
    """Random bytes, short or long, or a packed value."""
    match rng.randrange(6):
        case 0 | 1:
            return rng.choice(NUMBERS)
        case 2:
            return rng.choice(WORDS)
        case 3:
            return rng.randbytes(rng.randrange(64))
        case 4:
            return packed(rng)
        case _:
            return rng.randbytes(rng.choice((1_000, 100_000)))


def near(rng: Random, data: bytes) -> bytes:
    """*data* with a small change."""
    if not data:
        return junk(rng)
    first, last = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    match rng.randrange(7):
        case 0:
            place = rng.randrange(len(data))
            return data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]
        case 1:
            return data[:first] + data[last:]
        case 2:
            return data[:first] + junk(rng) + data[first:]
        case 3:
            return data[:last] + data[first:]
        case 4:
            return data[:first]
        case 5:
            return data + junk(rng)
        case _:
            return _other_number(rng, data)


def _other_number(rng: Random, data: bytes) -> bytes:
    """Replace one of the numbers in *data*."""
    places = [place for place, byte in enumerate(data[:200]) if chr(byte).isdecimal()]
    if not places:
        return junk(rng) + data
    start = stop = rng.choice(places)
    while stop < len(data) and chr(data[stop]).isdecimal():
        stop += 1
    return data[:start] + rng.choice(NUMBERS) + data[stop:]


def other_words(rng: Random, data: bytes) -> bytes:
    """Replace some of the words of *data* with numbers."""
    words = data.split(b" ")
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        words[rng.randrange(len(words))] = rng.choice((*NUMBERS, b"%d" % rng.randrange(2000), rng.choice(words)))
    return b" ".join(words)


def anything(rng: Random, depth: int = 0) -> Any:
    """A value that msgpack can pack, with extension types of any code."""
    kind = rng.randrange(12 if depth < 4 else 8)
    match kind:
        case 0:
            return None
        case 1:
            return rng.choice((True, False))
        case 2:
            return rng.choice((0, 1, -1, 2**31, 2**63 - 1, 2**64 - 1, -(2**63), rng.randrange(1000)))
        case 3:
            return rng.choice((0.0, -1.5, float("nan"), float("inf"), 1e308))
        case 4 | 5:
            return rng.choice(("", "a", "\x1b[2J", "x" * 600, "id", "step", "source", "<f8", "1e9"))
        case 6:
            return rng.randbytes(rng.randrange(20))
        case 7:
            return msgpack.ExtType(rng.randrange(128), rng.randbytes(rng.randrange(10)))
        case 8:
            return [anything(rng, depth + 1) for _ in range(rng.randrange(5))]
        case 9:
            return {str(rng.randrange(5)): anything(rng, depth + 1) for _ in range(rng.randrange(5))}
        case _:
            return msgpack.ExtType(rng.randrange(36), msgpack.packb(anything(rng, depth + 1)))


def packed(rng: Random) -> bytes:
    """A packed value of any kind, or bytes that claim a length they do not have."""
    lies = (
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x91" * 5000,
        b"",
        b"\xc1",
        b"\xc0\xc0",
    )
    return rng.choice(lies) if rng.randrange(5) == 0 else msgpack.packb(anything(rng))


def segments(rng: Random, sound: bytes) -> bytes:
    """Segments that no put stores."""
    if rng.randrange(3) == 0:
        return near(rng, sound)
    words = []
    for _ in range(rng.choice((1, 1, 2, 5, 2000))):
        numbers = [rng.choice((*NUMBERS, b"%d" % rng.randrange(2000))) for _ in range(rng.choice((2, 2, 5, 3)))]
        words.append(rng.choice((b"", b"+")) + b":".join(numbers))
    return b",".join(words)


def forged_record(rng: Random, namespace: str, checkpoint_id: str, stored: bytes) -> bytes:
    """A record that no put stores, with a checksum that matches."""
    head, rest = stored[: records.HEADER_SIZE], stored[records.HEADER_SIZE :]
    where, _, rest = rest.partition(US)
    content = msgpack.unpackb(rest[8:])
    match rng.randrange(8):
        case 0:
            where = segments(rng, where)
        case 1:
            content[rng.randrange(len(content))] = anything(rng)
        case 2:
            content[1] = packed(rng)  # the metadata
        case 3:  # another state, whole in the record
            state = packed(rng)
            where, content[2:] = b"", [[state], [], xxh3_64(state).digest()]
        case 4 if content[3]:
            content[3][rng.randrange(len(content[3]))] = anything(rng)
        case 5 if content[2]:
            content[2][rng.randrange(len(content[2]))] = rng.choice((packed(rng), anything(rng)))
        case 6:
            content = anything(rng)
        case _:
            head = near(rng, head).ljust(records.HEADER_SIZE, b"0")[: records.HEADER_SIZE]
    pack_again = msgpack.packb(content)
    place = SEPARATOR.join((escape(namespace), escape(checkpoint_id), "", "")).encode()
    return head + where + US + records.digest_of((place, where, pack_again)) + pack_again


def forged_write(rng: Random, namespace: str, checkpoint_id: str, identity: str) -> bytes:
    """The record of a pending write of any value, with a checksum that matches."""
    value = packed(rng)
    place = SEPARATOR.join((escape(namespace), escape(checkpoint_id), identity, "")).encode()
    return b"1" + records.digest_of((place, value)) + value
