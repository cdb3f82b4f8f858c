"""Maintaining a store: deleting threads, and pruning checkpoints of threads, many at a time.

- ``selection``: finds threads by id, by prefix, and by how long they are idle.
- ``removal``: deletes or prunes them, or plans it. A thread that a worker holds is skipped.
"""
