"""Diagnosing a store: whether its servers are fit to keep threads, and whether every thread is whole.

- ``doctor``: a whole checkup, its `Diagnosis`, and the repairs.
- ``findings``: one `Finding` for each check, ok or not.
- ``servers``: asks every server, cluster and Sentinel about itself, and judges the answers.
- ``rights``: tries every command that a saver sends.
- ``files``: checks a SQLite database.
- ``names``: which threads, copies and foreign keys a store has, by their names alone.
- ``threads``: checks each thread, on every store, and repairs what surrounds threads.
- ``contents``: reads and verifies all that a thread holds.
"""
