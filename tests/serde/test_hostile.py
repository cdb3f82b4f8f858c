"""Bytes that no serializer packed do no harm: they are an error, or a value."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serde_samples import ARRAYS, KINDS, VALUES, Opaque, same
from support.sizes import scaled

from zerograph_redis.errors import CorruptCheckpointError, SerializationError
from zerograph_redis.serde import MsgpackSerializer, Registered, codes

SERIALIZER = MsgpackSerializer([*KINDS, Registered("opaque", Opaque, lambda v: v.value, Opaque)])
SAMPLES = [SERIALIZER.pack(value) for value in [*VALUES, *ARRAYS]]


def attempt(data):
    try:
        SERIALIZER.unpack(data)
    except (CorruptCheckpointError, SerializationError):
        pass


@settings(max_examples=scaled(400), deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_are_corrupt_or_a_value(data):
    attempt(data)


@settings(max_examples=scaled(600), deadline=None)
@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.integers(0), st.integers(1, 255)), max_size=4),
    st.integers(0),
    st.booleans(),
)
def test_mutated_bytes_are_corrupt_or_a_value(data, flips, cut, truncate):
    mutated = bytearray(data)
    for at, mask in flips:
        mutated[at % len(data)] ^= mask
    attempt(bytes(mutated[: cut % len(data)] if truncate else mutated))


@settings(max_examples=scaled(400), deadline=None)
@given(
    st.integers(0, 127),
    st.recursive(
        st.none() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary() | st.floats(),
        lambda inner: st.lists(inner, max_size=10) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=12,
    ),
)
def test_any_payload_of_any_code_is_corrupt_or_a_value(code, payload):
    attempt(msgpack.packb(msgpack.ExtType(code, msgpack.packb(payload))))


def ext(code, payload):
    return msgpack.packb(msgpack.ExtType(code, msgpack.packb(payload)))


def bomb(levels):
    data = b"\xc0"
    for _ in range(levels):
        data = msgpack.packb(msgpack.ExtType(codes.TUPLE, b"\x91" + data))
    return data


HOSTILE = {
    "empty": b"",
    "trailing": b"\xc0\xc0",
    "array header": b"\xdd\xff\xff\xff\xff",
    "map header": b"\xdf\xff\xff\xff\xff",
    "nested headers": b"\xdd\x00\x00\xff\xff" * 1000 + b"\xc0" * 70000,
    "lists": b"\x91" * 100_000,
    "types": bomb(101),
    "many types": bomb(2000),
    "trailing in a type": msgpack.packb(msgpack.ExtType(codes.TUPLE, b"\x90\xc0")),
    "unhashable key": b"\x81\x80\xc0",
    "unhashable member": ext(codes.SET, [[]]),
    "unknown code": ext(99, None),
    "external": ext(codes.EXTERNAL, "x"),
    "decimal": ext(codes.DECIMAL, "__import__"),
    "decimal exponent": ext(codes.DECIMAL, "1E+99999999999999999999999"),
    "fraction": ext(codes.FRACTION, [1, 0]),
    "deque": ext(codes.DEQUE, [[1, 2], 1]),
    "deque maxlen": ext(codes.DEQUE, [[], -1]),
    "range": ext(codes.RANGE, [1.5, "a", None]),
    "range step": ext(codes.RANGE, [1, 2, 0]),
    "zone up": ext(codes.ZONEINFO, "../../../../etc/passwd"),
    "zone root": ext(codes.ZONEINFO, "/etc/localtime"),
    "zone module": ext(codes.ZONEINFO, "os.path"),
    "factory": ext(codes.DEFAULT_DICT, ["eval", {}]),
    "date": ext(codes.DATE, [99999, 1, 1]),
    "timedelta": ext(codes.TIMEDELTA, [2**62, 0, 0]),
    "offset": ext(codes.TIMEZONE, [5, 0, 0]),
    "pattern": ext(codes.PATTERN, ["(" * 10000, 0]),
    "pattern flags": ext(codes.PATTERN, ["a", 128]),
    "uuid": ext(codes.UUID, b"short"),
    "shape": ext(codes.ARRAY, ["<f8", [2**40], "C", b""]),
    "shape of zeros": ext(codes.ARRAY, ["<f8", [-1, 2], "C", b""]),
    "empty dtype": ext(codes.ARRAY, ["<U0", [2**60], "C", b""]),
    "object dtype": ext(codes.ARRAY, ["|O", [1], "C", b"\0" * 8]),
    "dtype list": ext(codes.ARRAY, ["i4,O", [1], "C", b"\0" * 12]),
    "offsets": ext(
        codes.ARRAY,
        [{"names": ["a"], "formats": ["<f8"], "offsets": [900], "itemsize": 8, "aligned": False}, [1], "C", b"\0" * 8],
    ),
    "registered": ext(codes.REGISTERED, "Point"),
    "registered fields": ext(codes.REGISTERED, ["Point", [1, 2]]),
    "not bytes": None,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_are_corrupt(name):
    with pytest.raises(CorruptCheckpointError):
        SERIALIZER.unpack(HOSTILE[name])
    assert SERIALIZER.unpack(SERIALIZER.pack((1,))) == (1,)


def run(code):
    env = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-"]  # the code goes through stdin: it is longer than what an argument may be
    done = subprocess.run(
        command, input=textwrap.dedent(code), capture_output=True, text=True, env=env, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(sys.platform == "win32", reason="no rlimits")
def test_hostile_bytes_do_not_exhaust_the_memory():
    hostile = [data for data in HOSTILE.values() if data is not None and len(data) < 20000]
    hostile.append(b"\xdd\x00\x03\xff\xff" * 1000 + b"\xc0" * 260_000)
    assert (
        run(f"""
        import resource
        from zerograph_redis.serde import MsgpackSerializer
        from zerograph_redis.errors import CheckpointError
        import numpy
        serializer = MsgpackSerializer()
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        for data in {hostile!r}:
            try:
                serializer.unpack(data)
            except CheckpointError:
                pass
        print(serializer.unpack(serializer.pack((1,))))
    """)
        == "(1,)"
    )


def test_hostile_bytes_import_nothing_and_pickle_is_never_used():
    hostile = [
        data for data in HOSTILE.values() if data is not None and len(data) < 20000 and codes.ARRAY not in data[:4]
    ]
    assert (
        run(f"""
        import sys
        import decimal, fractions, ipaddress, pathlib, re, uuid, zoneinfo
        import zerograph.checkpoint, zerograph.store, zerograph.types, msgpack
        loaded = "pickle" in sys.modules
        from zerograph_redis.serde import MsgpackSerializer
        from zerograph_redis.errors import CheckpointError
        assert ("pickle" in sys.modules) == loaded
        assert not {{"numpy", "attr", "pydantic"}} & set(sys.modules)
        serializer = MsgpackSerializer()
        serializer.unpack(serializer.pack({{"a": (1,)}}))
        before = set(sys.modules)
        for data in {hostile!r}:
            try:
                serializer.unpack(data)
            except CheckpointError:
                pass
        print(sorted(set(sys.modules) - before))
    """)
        == "[]"
    )


def test_the_message_about_an_array_without_numpy_has_the_line_that_installs_it():
    data = SERIALIZER.pack(ARRAYS[0])
    assert "pip install numpy" in run(f"""
        import sys
        sys.modules["numpy"] = None
        from zerograph_redis.serde import MsgpackSerializer
        from zerograph_redis.errors import SerializationError
        try:
            MsgpackSerializer().unpack({data!r})
        except SerializationError as error:
            print(error)
    """)


def test_many_threads_use_one_serializer():
    failures = []

    def work(seed):
        for step in range(60):
            value = {"a": [(seed, step, {step}), bytearray(b"x")], "s": "\ud800" if step % 7 == 0 else "s"}
            if not same(SERIALIZER.unpack(SERIALIZER.pack(value)), value):
                failures.append(value)
            with pytest.raises(SerializationError):
                SERIALIZER.pack([1, (seed, object())])

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_uses_the_same_serializer():
    assert (
        run("""
        import os
        from zerograph_redis.serde import MsgpackSerializer
        serializer = MsgpackSerializer()
        data = serializer.pack(((1,), {2}))
        pid = os.fork()
        if pid == 0:
            os._exit(0 if serializer.pack(((1,), {2})) == data else 1)
        print(os.waitpid(pid, 0)[1])
    """)
        == "0"
    )


def test_an_encode_function_may_use_the_serializer_again():
    serializer = MsgpackSerializer(
        [Registered("o", Opaque, lambda v: serializer.pack(v.value), lambda b: Opaque(serializer.unpack(b)))]
    )
    value = [Opaque((1, Opaque([2])))]
    assert serializer.unpack(serializer.pack(value)) == value


def test_what_cannot_be_read_is_not_quoted_in_the_error_that_is_logged():
    damaged = msgpack.packb(msgpack.ExtType(codes.IPV4_ADDRESS, msgpack.packb("SECRET")))
    with pytest.raises(CorruptCheckpointError) as caught:
        SERIALIZER.unpack(damaged)
    assert "SECRET" not in str(caught.value)
    assert "SECRET" in str(caught.value.__cause__)
