"""The names of attributes: those of OpenTelemetry's conventions for databases, and our own."""

from __future__ import annotations

from typing import Final

SYSTEM: Final = "db.system.name"
DATABASE: Final = "db.namespace"
OPERATION: Final = "db.operation.name"
ADDRESS: Final = "server.address"
PORT: Final = "server.port"
ERROR: Final = "error.type"
DIRECTION: Final = "network.io.direction"

THREAD: Final = "zerograph_redis.thread.id"
TARGET: Final = "zerograph_redis.thread.target"
NAMESPACE: Final = "zerograph_redis.checkpoint.namespace"
CHECKPOINT: Final = "zerograph_redis.checkpoint.id"
SENT: Final = "zerograph_redis.bytes.sent"
RECEIVED: Final = "zerograph_redis.bytes.received"
REQUESTS: Final = "zerograph_redis.requests"
RETRIES: Final = "zerograph_redis.retries"
PUT: Final = "zerograph_redis.put.kind"
RESENT: Final = "zerograph_redis.put.resent"
RATIO: Final = "zerograph_redis.put.patch_ratio"
CACHE: Final = "zerograph_redis.cache.result"
WAITED: Final = "zerograph_redis.lease.waited"
