"""The tables. Their names differ from those of ZeroGraph's own saver, which may use the same file.

A put writes as few pages as it can, since each is written to the disk before the put returns. So the row of a thread has
all that a put needs: its last order; of its current log the length (``length``), how many of these bytes removed
checkpoints appended (``dropped``), and how many checkpoints need the log (``live``). Another table counts the checkpoints
that need an older log. A log is kept in the segments that puts appended. Every write changes ``updated``, but
``period`` only every 16 seconds (see `thread_rows.PERIOD`); so the index for listing threads is on ``period``.

All other rows but leases name a thread by its ``number``, which is shorter than most ids. It is the µs at which the row of
the thread was inserted: so new threads come last in every index, which changes few pages, and if the row of a thread is
missing, its other rows are never taken for those of a later thread. ``generation`` names a log, 0 for none. Ids are escaped.
Orders and points in time are in µs, ``ttl`` in ms. ``removed`` counts the records that were ever removed or replaced. A
thread whose name begins with US is a copy that is not published yet. ``origin`` is what a thread was published from.

A column may hold any type, whatever the table declares: readers check it (see `core.bounds`). STRICT tables would not spare
that, since a file may come from anywhere; and SQLite before 3.37 could not read ZeroGraph's own tables beside them.
"""

FORMAT = 1

TABLES = """
CREATE TABLE IF NOT EXISTS zerograph_redis_format (version INTEGER NOT NULL);

CREATE TABLE IF NOT EXISTS zerograph_redis_threads (
    number INTEGER PRIMARY KEY,
    thread TEXT NOT NULL UNIQUE,
    last_order INTEGER NOT NULL DEFAULT 0,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    period INTEGER NOT NULL,
    ttl INTEGER,
    deadline INTEGER,
    generation INTEGER NOT NULL DEFAULT 0,
    length INTEGER NOT NULL DEFAULT 0,
    dropped INTEGER NOT NULL DEFAULT 0,
    live INTEGER NOT NULL DEFAULT 0,
    removed INTEGER NOT NULL DEFAULT 0,
    origin TEXT
);
CREATE INDEX IF NOT EXISTS zerograph_redis_threads_period ON zerograph_redis_threads (period);
CREATE INDEX IF NOT EXISTS zerograph_redis_threads_deadline ON zerograph_redis_threads (deadline)
    WHERE deadline IS NOT NULL;

CREATE TABLE IF NOT EXISTS zerograph_redis_checkpoints (
    number INTEGER PRIMARY KEY,
    thread INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    position INTEGER NOT NULL,
    record BLOB NOT NULL,
    UNIQUE (thread, namespace, id)
);
CREATE UNIQUE INDEX IF NOT EXISTS zerograph_redis_checkpoints_position
    ON zerograph_redis_checkpoints (thread, namespace, position);

CREATE TABLE IF NOT EXISTS zerograph_redis_logs (
    number INTEGER PRIMARY KEY,
    thread INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    start INTEGER NOT NULL,
    stop INTEGER NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (thread, generation, stop)
);

CREATE TABLE IF NOT EXISTS zerograph_redis_older_logs (
    thread INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    live INTEGER NOT NULL,
    PRIMARY KEY (thread, generation)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS zerograph_redis_leases (
    thread TEXT PRIMARY KEY,
    token INTEGER NOT NULL,
    deadline INTEGER NOT NULL,
    attempt TEXT NOT NULL,
    owner TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS zerograph_redis_writes (
    number INTEGER PRIMARY KEY,
    thread INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    identity TEXT NOT NULL,
    record BLOB NOT NULL,
    UNIQUE (thread, namespace, id, identity)
);
"""
