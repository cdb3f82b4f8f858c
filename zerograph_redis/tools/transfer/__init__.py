"""Moving threads between stores, from ZeroGraph's own files, and to and from one file: each thread whole, or not at all.

- ``moves``: moves threads one by one: read, store, read back, compare. It reports an outcome for each.
- ``reading``: reads a thread as it was at one moment, and stores one: staged page by page, and published at once.
- ``image``: a thread as it is stored, in a temporary file, encrypted again or with fewer logs if its next store needs that.
- ``digests``: verifies every checkpoint and pending write of a thread, and makes a digest of each.
- ``zerograph_files``: reads the database files of ZeroGraph's own `SqliteSaver`.
- ``exports``: makes a file of threads, which is a SQLite store, and opens one to import it.
- ``files``: what the last two share about SQLite files.
"""
