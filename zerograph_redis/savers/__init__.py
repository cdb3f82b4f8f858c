"""What users hold: savers, and the leases that they give. The work is done in `core`, on a `Store`.

- ``base`` has the methods of every saver, blocking and awaited; ``redis`` and ``sqlite`` have the constructors.
- ``opening`` opens the saver that a URL or the environment names.
- ``leases`` holds a thread for a block of code.
- ``write_queue`` stores writes with ``durability="async"`` in the background.
- ``runs`` recognizes the writes that a run may stop at: they are stored before the call returns.
"""

from .redis import AsyncRedisSaver, RedisSaver
from .sqlite import AsyncSqliteSaver, InMemorySaver, SqliteSaver

__all__ = ("AsyncRedisSaver", "AsyncSqliteSaver", "InMemorySaver", "RedisSaver", "SqliteSaver")
