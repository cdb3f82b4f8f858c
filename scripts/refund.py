"""One worker of the demo: continues a refund from its newest checkpoint until it waits for a person or ends.

Arguments: its number, the thread, and perhaps the decision of a person. The store is ``ZEROGRAPH_CHECKPOINT_URL``. Each
step is announced on standard output when it starts; the bank answers on standard input.
"""

from __future__ import annotations

import operator
import os
import sys
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any, TypedDict

from zerograph import END, START, Command, CompiledStateGraph, StateGraph, interrupt

from zerograph_redis import open_saver

OPTIONS: dict[str, Any] = {"prefix": "zerograph-demo", "ttl": 3600}


class Refund(TypedDict):
    """The state of a refund."""

    worker: tuple[int, int]  # its number and process id
    order: str
    paid: Decimal | None
    bought: date | None
    refund: Decimal | None
    approved_by: str | None
    receipt: tuple[str, int] | None
    due: timedelta | None
    log: Annotated[list[str], operator.add]


Update = dict[str, Any]


def read_order(_state: Refund) -> Update:
    """Look up the order."""
    announce("read_order")
    return {"paid": Decimal("129.90"), "bought": date(2026, 3, 14), "log": ["read_order"]}


def ask_bank(state: Refund) -> Update:
    """Ask the bank for its fee."""
    announce("ask_bank")
    fee = Decimal(sys.stdin.readline())
    return {"refund": state["paid"] - fee, "log": ["ask_bank"]}


def approve(state: Refund) -> Update:
    """Wait for a person; another process may continue with the answer."""
    announce("approve")
    name = interrupt(f"Refund {state['refund']} EUR for {state['order']}?")
    return {"approved_by": name, "log": ["approve"]}


def pay(_state: Refund) -> Update:
    """Return the money."""
    announce("pay")
    return {"receipt": ("SEPA", 88213), "log": ["pay"]}


def mail(_state: Refund) -> Update:
    """Mail the customer."""
    announce("mail")
    return {"due": timedelta(days=2), "log": ["mail"]}


STEPS = (read_order, ask_bank, approve, pay, mail)


def announce(step: str) -> None:
    """Print that a step starts."""
    print(step, flush=True)


def build(saver: Any) -> CompiledStateGraph:
    """Make the graph of all steps, one after the other."""
    graph = StateGraph(Refund)
    names = [step.__name__ for step in STEPS]
    for name, step in zip(names, STEPS, strict=True):
        graph.add_node(name, step)
    for start, end in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(start, end)
    return graph.compile(checkpointer=saver)


def main(number: str, thread: str, decision: str | None = None) -> None:
    """Start the thread, or continue it."""
    config = {"configurable": {"thread_id": thread}}
    worker = (int(number), os.getpid())
    with open_saver(**OPTIONS) as saver:
        if saver.get_tuple(config) is None:
            # The engine skips a step while a channel of the state has no value.
            nothing = dict.fromkeys(("paid", "bought", "refund", "approved_by", "receipt", "due"))
            task: Any = {"order": "A-1042", "worker": worker, "log": [], **nothing}
        else:
            task = Command(resume=decision, update={"worker": worker})
        build(saver).invoke(task, config)


if __name__ == "__main__":
    main(*sys.argv[1:])
