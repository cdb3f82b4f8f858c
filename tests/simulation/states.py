"""Checkpoints whose texts repeat, as those of retried steps do: equal lengths, other words."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

State = dict[str, Any]

_LENGTHS = (120, 600)
_WORDS = 4


def text(rng: Random) -> str:
    """One of a few texts. Many have equal lengths, so bytes of one can replace those of another."""
    length, word = rng.choice(_LENGTHS), rng.randrange(_WORDS)
    return f"{word}{'abcd'[word] * 9}" * (length // 10)


def first_state(rng: Random) -> State:
    """The first state of a thread."""
    return {
        "v": 1,
        "channel_values": {
            "messages": [text(rng) for _ in range(rng.randrange(1, 5))],
            "document": text(rng) * rng.randrange(1, 4),
            "n": 0,
        },
    }


def next_state(rng: Random, state: State) -> State:
    """The state of the next step."""
    state = copy.deepcopy(state)
    values = state["channel_values"]
    messages = values["messages"]
    match rng.randrange(9):
        case 0 | 1 | 2 | 3:
            messages += [text(rng) for _ in range(rng.choice((1, 1, 2)))]
        case 4 if messages:
            del messages[: rng.randrange(1, 3)]
        case 5 if messages:
            messages[rng.randrange(len(messages))] = text(rng)
        case 6:
            values["document"] = text(rng) * rng.randrange(1, 4)
        case 7:
            values["inner"] = {"blob": text(rng).encode(), "n": rng.randrange(3)}
        case _:
            values["n"] += 1
    if len(messages) > 12:
        del messages[:8]
    return state
