"""Maintaining a store: deleting threads, and pruning checkpoints of threads, many at a time.

- ``selection``: which threads are meant, by id, by prefix, by how long they are idle.
- ``removal``: what would be removed of them, and removing it. A thread that a worker holds is skipped.
"""
