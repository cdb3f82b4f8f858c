"""Redis as a backend. What happens to a request, file by file.

1. `bindings` and `thread_bindings` turn it into commands, and their replies into its answer. `scripts` loads the Lua that
   the commands run, and `keys` names the keys.
2. `backend` sends the commands, again where needed, and warns of servers that evict keys. On a cluster, `thread_index`
   enters the thread in the thread index first.
3. `transport` chooses the node and follows redirections; `exchange` sends and receives on an open connection. `connections`
   keeps a saver's own connections, `pools` borrows those of a user's client, `sentinel` follows a failover. `shielding`
   protects the code of redis-py from signal handlers and cancellation.
4. `faults` decides which errors are tried again, and what a saver raises for the others.

`clients` makes the clients of redis-py, from URLs that `urls` reads.
"""

from .backend import AsyncRedisBackend, RedisBackend, Replication
from .keys import Keyspace
from .thread_index import AsyncThreadIndexBackend, ThreadIndexBackend

__all__ = (
    "AsyncRedisBackend",
    "AsyncThreadIndexBackend",
    "Keyspace",
    "RedisBackend",
    "Replication",
    "ThreadIndexBackend",
)
