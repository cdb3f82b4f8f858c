"""SQLite as a backend: each request is one transaction on a file, or on a database in memory.

- ``backend``: which function answers which request, and what a failure is reported as.
- ``connections``: a connection for each OS thread, and transactions that no signal, fork or close can leave half done.
- ``schema``: the tables, and what their columns mean.
- ``thread_rows``: the row of a thread (its order, times, deadline and current log), and deleting threads.
- ``leases``: which worker may write to a thread.
- ``logs``: the bytes that states are made of: append, read in ranges, delete.
- ``checkpoints``: put, read, list and prune checkpoints and pending writes.
- ``queries``: list threads, describe and examine them, search their checkpoints and namespaces.
- ``copying``: read a thread page by page, stage the pages, and publish them as a thread.
"""

from .backend import SqliteBackend

__all__ = ("SqliteBackend",)
