"""A benchmark that others can run; ``scripts/bench`` prepares what it needs.

`workloads` makes states, `backends` and `baselines` keep them, `stepping` and the modules of the special workloads
measure with the tools of `measure`, `aims` says what the numbers should be, `report` and `plot` show them.
"""
