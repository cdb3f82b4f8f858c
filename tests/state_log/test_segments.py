"""The state log against storing states whole: whatever happens between two steps, the state that was put is read."""

import copy
import random

import fakeredis
import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.sizes import scaled

from zerograph_redis import InMemorySaver, MsgpackSerializer, RedisSaver
from zerograph_redis.state_log.cut import cut, cut_like, cut_plain
from zerograph_redis.state_log.diff import diff
from zerograph_redis.state_log.log import KnownLog
from zerograph_redis.state_log.segments import Segment, decode_segments, encode_segments, joined, sliced

TEXT = "abcdefgh "


def at(checkpoint_id=None):
    return {"configurable": {"thread_id": "t"} | ({"checkpoint_id": checkpoint_id} if checkpoint_id else {})}


def message(rng):
    return {"id": f"{rng.getrandbits(48):x}", "content": "".join(rng.choices(TEXT, k=rng.randrange(300)))}


def edited(rng, state):
    """The state of the next step: one or two things changed in it, somewhere."""
    state = copy.deepcopy(state)
    values = state["channel_values"]
    for _ in range(rng.randrange(1, 3)):
        messages = values["messages"]
        match rng.randrange(10):
            case 0 | 1 | 2:
                messages += [message(rng) for _ in range(rng.randrange(1, 4))]
            case 3:
                del messages[: rng.randrange(6)]
            case 4 if messages:
                messages[rng.randrange(len(messages))]["content"] = "edited " * rng.randrange(60)
            case 5 if messages:
                messages.pop(rng.randrange(len(messages)))
            case 6:
                messages.insert(rng.randrange(len(messages) + 1), message(rng))
            case 7:
                values["document"] = "".join(rng.choices(TEXT, k=rng.randrange(4000)))
            case 8:
                values["inner"] = {"blob": rng.randbytes(rng.randrange(3000)), "many": {i: "x" * i for i in range(60)}}
            case _:
                values["messages"] = messages[::-1]
    return state


def fresh_state(rng):
    values = {"messages": [message(rng) for _ in range(20)], "document": "d" * 2000, "n": 1, "inner": {}}
    return {"v": 1, "channel_values": values if rng.random() < 0.7 else values | {"extra": [values] * 3}}


class Fleet:
    """Some workers that share one store, and the states that they put."""

    def __init__(self, make, keep_last):
        self.make, self.keep_last = make, keep_last
        self.workers = [make(keep_last=keep_last) for _ in range(3)]
        self.whole = {}
        self.order = []

    def put(self, worker, checkpoint_id, parent, state):
        state = state | {"id": checkpoint_id}
        self.workers[worker].put(at(parent), state, {})
        if checkpoint_id not in self.whole:
            self.order.append(checkpoint_id)
        self.whole[checkpoint_id] = state
        self.retain(self.keep_last)

    def retain(self, keep):
        if keep is not None:
            for pruned in self.order[: max(len(self.order) - keep, 0)]:
                del self.whole[pruned]
            self.order = self.order[-keep:] if keep else []

    def check(self, worker):
        saver = self.workers[worker]
        found = saver.list(at(), limit=None)
        assert [each.checkpoint for each in found] == [self.whole[each] for each in reversed(self.order)]
        newest = saver.get_tuple(at())
        assert (newest and newest.checkpoint) == (self.whole[self.order[-1]] if self.order else None)


STEPS = st.lists(
    st.sampled_from(
        ["put", "put", "put", "put", "travel", "again", "fork", "prune", "restart", "delete", "copy", "read", "whole"]
    ),
    min_size=5,
    max_size=40,
)


def run_fleet(make, steps, seed, keep_last):
    rng = random.Random(seed)
    fleet = Fleet(make, keep_last)
    state = fresh_state(rng)
    for number, step in enumerate(steps):
        worker = rng.randrange(len(fleet.workers))
        saver = fleet.workers[worker]
        newest = fleet.order[-1] if fleet.order else None
        match step:
            case "put":
                state = edited(rng, state)
                fleet.put(worker, f"c{number}", newest, state)
            case "travel" | "fork" if fleet.order:
                past = rng.choice(fleet.order)
                assert saver.get_tuple(at(past)).checkpoint == fleet.whole[past]
                if step == "fork":
                    state = edited(rng, fleet.whole[past])
                    fleet.put(worker, f"c{number}", past, state)
            case "again" if fleet.order:
                state = edited(rng, state)
                fleet.put(worker, rng.choice(fleet.order), newest, state)
            case "whole":
                state = fresh_state(rng)
                fleet.put(worker, f"c{number}", newest, state)
            case "prune":
                keep = rng.randrange(4)
                expected = max(len(fleet.order) - keep, 0)
                assert saver.prune("t", keep) == expected
                fleet.retain(keep)
            case "restart":
                fleet.workers[worker] = make(keep_last=keep_last)
            case "delete" if rng.random() < 0.3:
                saver.delete_thread("t")
                fleet.whole.clear()
                fleet.order.clear()
            case "copy":
                saver.delete_thread("u")
                assert saver.copy_thread("t", "u") == len(fleet.order)
                saver.delete_thread("t")
                assert saver.copy_thread("u", "t") == len(fleet.order)
            case "read":
                fleet.check(worker)
    for worker in range(len(fleet.workers)):
        fleet.check(worker)


@pytest.mark.parametrize("compression", [None, "zstd"])
@given(steps=STEPS, seed=st.integers(0, 2**32), keep_last=st.sampled_from([None, 2, 5]))
@settings(max_examples=scaled(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_several_workers_on_one_thread_read_back_what_was_put(compression, steps, seed, keep_last):
    server = fakeredis.FakeServer()

    def make(**options):
        return RedisSaver(fakeredis.FakeRedis(server=server), compression=compression, **options)

    run_fleet(make, steps, seed, keep_last)


@given(steps=STEPS, seed=st.integers(0, 2**32), keep_last=st.sampled_from([None, 2, 5]))
@settings(max_examples=scaled(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_sqlite_reads_back_what_was_put(steps, seed, keep_last):
    store = InMemorySaver(max_per_thread=keep_last)

    def make(keep_last):
        worker = InMemorySaver(max_per_thread=keep_last)
        worker.close()
        worker.store.backend = store.store.backend  # three workers, each with what it knows, on one database
        return worker

    run_fleet(make, steps, seed, keep_last)
    store.close()


@given(seed=st.integers(0, 2**32))
@settings(max_examples=scaled(100), deadline=None)
def test_literals_and_parts_joined_are_the_packed_state(seed):
    rng = random.Random(seed)
    state = edited(rng, fresh_state(rng))
    serializer = MsgpackSerializer()
    for found in (cut(state, serializer.pack), *([] if has_other_keys(state) else [cut_plain(state, None)])):
        contents = [found.packed[part.start : part.stop] for part in found.parts]
        whole = b"".join(literal + content for literal, content in zip(found.literals(), [*contents, b""], strict=True))
        assert whole == found.packed == serializer.pack(state)
        assert serializer.unpack(whole) == state


def has_other_keys(state):
    """Whether a dict in it has a key that is no string: the faster encoder does not pack such a state."""
    values = state["channel_values"]
    return "many" in values["inner"]


VALUES = st.recursive(
    st.none()
    | st.integers(-(2**40), 2**40)
    | st.text(max_size=40)
    | st.sampled_from(["t" * 600, "messages", "ä" * 300, b"b" * 700]),
    lambda inner: (
        st.lists(inner, max_size=20)
        | st.dictionaries(st.sampled_from(["a", "messages", "turn", "ts"]), inner, max_size=4)
    ),
    max_leaves=25,
)
GROWTH = st.sampled_from(
    ["append", "extend", "longer text", "more text", "number", "another key", "nothing", "replace"]
)


def grow(rng, value, change, more):
    """Change something in a value, in most cases as a step of a graph does."""
    if isinstance(value, dict) and value:
        key = rng.choice([*value])
        if change == "another key":
            return dict(rng.sample([*value.items(), (f"k{rng.random()}", more)], len(value) + 1))
        return {**value, key: grow(rng, value[key], change, more)}
    if isinstance(value, list):
        return [*value, more] if change == "append" else [*value, *[more] * rng.randrange(1, 300)]
    if isinstance(value, str):
        return value + ("x" * rng.choice([1, 300, 70_000]) if change == "longer text" else "")
    return rng.choice([rng.getrandbits(40), more]) if change in {"number", "replace"} else value


@given(
    values=st.dictionaries(st.sampled_from(["document", "messages", "turn", "x"]), VALUES, max_size=4),
    changes=st.lists(st.tuples(GROWTH, VALUES), max_size=6),
    rng=st.randoms(use_true_random=False),
)
@settings(max_examples=scaled(500), deadline=None)
def test_a_state_that_is_cut_like_the_one_before_has_whole_values_as_parts(values, changes, rng):
    state = {"v": 1, "channel_values": {**values, "list": ["m" * 200] * 5}, "ts": "2026"}
    before = cut(state, MsgpackSerializer().pack)
    for change, more in changes:
        state = {**grow(rng, state, change, more), "v": rng.getrandbits(rng.choice([3, 20]))}
        packed = MsgpackSerializer().pack(state)
        after = cut_like(packed, before)
        if after is None:
            before = cut(state, MsgpackSerializer().pack)
            continue
        assert after.packed == packed
        assert [part.path for part in after.parts] == [part.path for part in before.parts]
        for part in after.parts:
            if part.header:
                msgpack.unpackb(packed[part.start - part.header : part.stop], strict_map_key=False)
        literals = after.literals()
        assert sum(map(len, literals)) <= sum(map(len, before.literals())) + 64
        before = after


TWINS = {bytes: [bytes, bytearray], bytearray: [bytes, bytearray], str: [str], float: [float]}
LEAVES = st.sampled_from([b"b" * 200, bytearray(b"b" * 200), "t" * 200, 1.5, b"", bytearray()])


@given(
    first=st.lists(LEAVES, min_size=3, max_size=12),
    grown=st.lists(st.lists(LEAVES, max_size=3), max_size=5),
    rng=st.randoms(),
)
@settings(max_examples=scaled(300), deadline=None)
def test_types_that_are_packed_alike_are_not_confused(first, grown, rng):
    """Only the new end of a grown list is decoded, so its beginning must have had the same types before."""
    saver = InMemorySaver()
    values = first
    for number, more in enumerate([[], *grown]):
        # The same bytes, from other types.
        values = [rng.choice(TWINS[type(each)])(each) for each in values] + more
        saver.put(at(), {"id": str(number), "channel_values": {"list": values, "text": "t" * 600}}, {})
        found = saver.get(at())["channel_values"]["list"]
        assert [(type(each), each) for each in found] == [(type(each), each) for each in values]


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=8),
    picks=st.lists(st.integers(0, 20), max_size=12),
)
@settings(max_examples=scaled(300), deadline=None)
def test_runs_of_a_comparison_joined_are_the_new_bytes(chunks, picks):
    old = b"".join(chunk * 3 for chunk in chunks)
    new = b"".join((chunks[pick] * 3 if pick < len(chunks) else b"new%d" % pick) for pick in picks)
    runs = diff(old, new)
    assert b"".join(run if isinstance(run, bytes) else old[run[0] : run[1]] for run in runs) == new


@pytest.mark.parametrize(
    ("change", "most"),
    [
        (lambda m: m, 0),
        (lambda m: [*m, "n" * 300], 310),
        (lambda m: m[1:], 10),
        (lambda m: [*m[1:], "n" * 300], 320),
        (lambda m: [*m[:50], "n" * 300, *m[51:]], 420),
        (lambda m: [*m[:50], "n" * 300, *m[51:], "z" * 300], 740),
        (lambda m: [*m[1:50], "n" * 300, *m[51:], "z" * 300], 760),
    ],
    ids=["same", "grown", "oldest dropped", "window", "edit", "edit and growth", "window with an edit"],
)
def test_a_comparison_finds_the_old_bytes(change, most):
    rng = random.Random(1)
    messages = ["".join(rng.choices(TEXT, k=300)) for _ in range(100)]
    pack = MsgpackSerializer().pack
    old, new = pack(messages)[3:], pack(change(messages))[3:]
    assert sum(len(run) for run in diff(old, new) if isinstance(run, bytes)) <= most


PLAIN = st.tuples(st.integers(0, 10**9), st.integers(1, 10**6), st.booleans())
PACKED = st.tuples(PLAIN, st.integers(1, 9), st.integers(0, 9), st.integers(1, 9))
SEGMENTS = st.lists(
    PLAIN.map(lambda given: Segment(*given)) | PACKED.map(lambda given: packed_segment(*given)), max_size=20
)


def packed_segment(plain, stored, skip, more):
    """A segment of a block that is longer than the segment."""
    return Segment(*plain, stored, skip, skip + plain[1] + more - 1)


@given(SEGMENTS)
def test_decoded_segments_are_those_that_were_encoded(segments):
    assert decode_segments(encode_segments(segments)) == segments


@pytest.mark.parametrize("text", ["1", "1:2:3", "a:b", "1:2,,", "1:0:1:2:3", ":", "+:1"])
def test_text_that_encodes_no_segments_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        decode_segments(text)


@given(SEGMENTS, st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_slice_of_segments_has_its_length(segments, start, length):
    whole = sum(segment.length for segment in segments)
    found = sliced(segments, start, start + length)
    assert sum(segment.length for segment in found) == max(min(start + length, whole) - start, 0)
    assert sum(segment.length for segment in joined(segments)) == whole


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 80)), max_size=40), st.integers(0, 400))
def test_a_known_log_returns_the_bytes_that_were_added(ranges, start):
    content = bytes(random.Random(0).randbytes(500))
    log = KnownLog()
    known = set()
    for first, length in ranges:
        log.add(first, content[first : first + length])
        known |= set(range(first, min(first + length, 500)))
    data = log.read(start, 20)
    assert data in (None, content[start : start + 20])
    assert (data is not None) == (set(range(start, start + 20)) <= known)


@pytest.mark.parametrize("kind", ["fakeredis", "memory"])
def test_a_bounded_state_keeps_its_thread_bounded(kind):
    if kind == "memory":
        saver = InMemorySaver(max_per_thread=5)
    else:
        saver = RedisSaver(fakeredis.FakeRedis(), keep_last=5)
    rng = random.Random(0)
    messages, sizes, generations = [], [], set()
    for number in range(400):
        messages = [*messages, message(rng)][-20:]
        saver.put(at(), {"id": f"c{number}", "channel_values": {"messages": messages}}, {})
        sizes.append(saver.list_threads()[0].bytes)
        generations.add(saver.store.operations._states.known.of("t").base("").generation)
    live = len(MsgpackSerializer().pack(messages)) + 5 * 900
    assert len(generations) > 5, "no new log began"
    assert max(sizes[50:]) < 4 * live, "rubbish outgrows what lives"
    assert [each.checkpoint["id"] for each in saver.list(at())] == [f"c{number}" for number in range(399, 394, -1)]
    assert saver.get_tuple(at()).checkpoint["channel_values"]["messages"] == messages
    saver.close()
