"""A deterministic simulation of many workers on one store that loses and repeats requests, and goes back in time.

Operations are generators without I/O, so a scheduler can stop each of them at every request. One seed decides what
happens next; a run is a list of such seeds, so a run that fails can be replayed exactly and made shorter.

1. ``worlds``: stores that can be returned to any earlier moment: SQLite in memory, fakeredis, a real Redis.
2. ``states``: checkpoints whose texts repeat, as those of retried steps do.
3. ``model``: what was ever put, and so what may be read.
4. ``simulation``: the scheduler, the faults, and what must hold after each request.
5. ``search``: runs seeds for a while, and shortens the run that failed.
6. ``sabotage``: faults put into the code on purpose, to see the simulation find them.
"""
