"""The logic of every saver, without I/O: operations are generators that yield requests, and a backend answers them.

- ``settings``, ``configs``: the options of a saver, and the configs and arguments of its calls, checked.
- ``requests``, ``examination``: the requests of savers, and of tools; ``refusals``: the errors and log records of requests.
- ``drive``, ``bundles``, ``paging``: run an operation, blocking or awaiting; many side by side; page by page.
- ``checkpoint_operations``, ``thread_operations``: the operations of a saver; ``leasing``: those of a lease;
  ``listing``: which threads a store has.
- ``states``: a put sends what changed of a state, and a read builds it again; ``batches``: several puts at once;
  ``unpacking``: many states that are nearly equal.
- ``records``, ``writes``: the bytes of a checkpoint and of its pending writes; ``bounds``: what stored numbers may be.
- ``scanning``, ``verification``, ``reencryption``: read, check and encrypt again the bytes of a whole thread.
"""
