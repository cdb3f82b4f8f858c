"""A deterministic simulation of many workers on one store that loses and repeats requests, and returns to earlier states.

Operations are generators without I/O, so a scheduler can pause each of them at every request. A run is a list of seeds,
one a step, so a run that fails can be replayed exactly and shortened.

1. ``worlds``: stores that can be restored to any earlier moment: SQLite in memory, fakeredis, a real Redis.
2. ``states``: checkpoints whose texts repeat, as those of retried steps do.
3. ``model``: all that was ever put, and therefore may be read.
4. ``simulation``: the scheduler, the faults, and the invariants after each request.
5. ``search``: runs seeds for a while, and shortens a run that failed.
6. ``sabotage``: bugs put into the code on purpose, which the simulation must find.
"""
