"""The benchmark; ``scripts/bench`` installs what it needs.

1. ``workloads``, ``text``: the threads of checkpoints that are stored.
2. ``backends``, ``baselines``, ``peers``: the stores: ours, those that they are compared with, and savers of others.
3. ``measure``: a private server, times taken in rounds, and a check of what was read.
4. ``calls``, ``workers``, ``distance``: the cost of a call, of many processes, and of a distant server.
5. ``stepping``, ``curves``, ``long``: workloads step by step, their memory, and a very long thread.
6. ``telemetry``, ``profiling``: the cost of telemetry, and where the time of a call goes.
7. ``aims``, ``report``, ``plot``, ``display``: targets, tables and the picture.
"""
