"""Inspect what is stored. Nothing here changes a thread or renews its TTL.

- ``checkpoints``: read one checkpoint or the newest of a namespace, and find what changed since the one before.
- ``history``: the checkpoints of a whole thread, namespace by namespace; ``lanes`` draws them as a tree.
- ``changes``: compare two states: by channel, from packed bytes; or down to the value that differs.
- ``values``: the fields of an object, a key to compare a value by, a value as JSON.
- ``watching``: what happens to threads, found by polling.
- ``statistics``: a store in numbers; ``snapshots`` keeps those of the last call.
"""
