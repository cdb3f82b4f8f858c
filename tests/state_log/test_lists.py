"""A list of states that are nearly equal: each is the state that was put, and no two share a mutable object."""

import copy
import dataclasses
import random

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sizes import scaled

from zerograph_redis import InMemorySaver, MsgpackSerializer
from zerograph_redis.core.unpacking import StateUnpacker
from zerograph_redis.errors import CorruptCheckpointError
from zerograph_redis.serde import codes
from zerograph_redis.state_log.cut import cut

THREAD = {"configurable": {"thread_id": "t"}}


@dataclasses.dataclass
class Message:
    text: str
    tags: list[str] = dataclasses.field(default_factory=list)


FLAT = st.fixed_dictionaries({"id": st.integers(0, 2**40), "content": st.text(max_size=300)})
MEMBERS = {
    "flat dicts": FLAT,
    "dicts with bytes and others": st.dictionaries(
        st.text(max_size=5) | st.integers(0, 9),
        st.binary(max_size=80) | st.none() | st.booleans() | st.floats(allow_nan=False),
    ),
    "nested dicts": st.fixed_dictionaries({"a": st.lists(FLAT, max_size=2), "text": st.text(max_size=200)}),
    "texts": st.text(max_size=400),
    "numbers": st.integers(-(2**70), 2**70),
    "lists": st.lists(st.text(max_size=50), max_size=5),
    "bytearrays": st.binary(max_size=200).map(bytearray),
    "tuples": st.tuples(st.text(max_size=100), st.lists(st.integers(0, 5), max_size=2)),
    "objects": st.builds(Message, st.text(max_size=200), st.lists(st.text(max_size=5), max_size=2)),
    "anything": st.one_of(FLAT, st.text(max_size=300), st.none(), st.lists(FLAT, max_size=2)),
}
CHANGES = st.sampled_from(["add", "add", "add", "add many", "drop", "edit", "nothing", "other list"])


def changed(rng, members, change, more):
    match change:
        case "add":
            return [*members, rng.choice(more)]
        case "add many":
            return [*members, *more * 20]
        case "drop":
            return members[rng.randrange(1, 4) :]
        case "edit" if members:
            place = rng.randrange(len(members))
            return [*members[:place], rng.choice(more), *members[place + 1 :]]
    return members


def change_all(value):
    """Change whatever can be changed in a value."""
    if isinstance(value, dict):
        for each in list(value.values()):
            change_all(each)
        value["changed"] = "changed"
    elif isinstance(value, list | tuple):
        for each in value:
            change_all(each)
        if isinstance(value, list):
            value.append("changed")
    elif isinstance(value, bytearray):
        value += b"changed"
    elif isinstance(value, Message):
        value.text = "changed"
        change_all(value.tags)


@pytest.mark.parametrize("kind", MEMBERS)
@given(data=st.data(), changes=st.lists(CHANGES, min_size=1, max_size=8), rng=st.randoms(use_true_random=False))
@settings(max_examples=scaled(40), deadline=None)
def test_listed_states_are_what_was_put_and_share_nothing(kind, data, changes, rng):
    saver = InMemorySaver(serializer=MsgpackSerializer(types=[Message]))
    more = data.draw(st.lists(MEMBERS[kind], min_size=1, max_size=4))
    members, others = [rng.choice(more) for _ in range(rng.choice([1, 14, 40, 300]))], ["x" * 700] * 5
    states = []
    for number, change in enumerate(changes):
        members = changed(rng, members, change, more)
        others = [*others, "y"] if change == "other list" else others
        state = {"id": f"{number}", "channel_values": {"members": members, "others": others, "n": number}}
        saver.put(THREAD, state, {})
        states.append(copy.deepcopy(state))
    for limit in (None, 3):
        wanted = list(reversed(states))[:limit]
        found = [each.checkpoint for each in saver.list(THREAD, limit=limit)]
        assert found == wanted
        for place in range(len(found)):
            change_all(found[place])
            assert found[place + 1 :] == wanted[place + 1 :], "a change of one state changed another"
    saver.close()


def test_members_of_a_grown_list_are_unpacked_once():
    pack = MsgpackSerializer().pack
    text = "".join(random.Random(0).choices("abcdefgh ", k=300))
    states = [cut({"messages": [{"n": n, "text": text + str(n)} for n in range(size)]}, pack) for size in (30, 29, 20)]
    unpacker = StateUnpacker(MsgpackSerializer())
    first, second, third = (unpacker.unpack(state)["messages"] for state in states)
    assert [len(first), len(second), len(third)] == [30, 29, 20]
    assert all(one is not other for one, other in zip(first, second, strict=False))
    assert all(
        one["text"] is other["text"] is another["text"]
        for one, other, another in zip(first, second, third, strict=False)
    )


def test_a_state_cannot_refer_to_bytes_of_another():
    serializer = MsgpackSerializer()
    reference = msgpack.ExtType(codes.EXTERNAL, (0).to_bytes(4, "big"))
    packed = msgpack.packb({"forged": reference, "messages": ["x" * 3000]})
    start = packed.index(b"\x91\xda")
    with pytest.raises(CorruptCheckpointError):
        serializer.unpack_around(packed, [(start, len(packed), ["x"])])
