"""The metrics."""

from __future__ import annotations

from opentelemetry.metrics import Meter

# Those of the conventions, and as many between and below: an operation takes a millisecond or less.
_SECONDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_WAITS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300)
_RATIOS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.9, 1)


class Instruments:
    """What operations are measured with."""

    def __init__(self, meter: Meter) -> None:
        """Make them by *meter*."""
        self.duration = meter.create_histogram(
            "db.client.operation.duration",
            "s",
            "How long an operation of a saver took, with all its round trips and retries",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.errors = meter.create_counter(
            "zerograph_redis.errors", "{error}", "Operations that raised an error, by its class"
        )
        self.io = meter.create_counter(
            "zerograph_redis.io",
            "By",
            "Bytes of records, pending writes and logs, sent to the store or received from it",
        )
        self.patch_ratio = meter.create_histogram(
            "zerograph_redis.put.patch_ratio",
            "1",
            "What a put sent, by what its whole checkpoint takes",
            explicit_bucket_boundaries_advisory=_RATIOS,
        )
        self.cache = meter.create_counter(
            "zerograph_redis.cache.lookups",
            "{lookup}",
            "Reads of states that have large values, by whether their bytes were known already",
        )
        self.lease_wait = meter.create_histogram(
            "zerograph_redis.lease.wait.duration",
            "s",
            "How long a worker waited for a lease that another one held",
            explicit_bucket_boundaries_advisory=_WAITS,
        )
        self.retries = meter.create_counter(
            "zerograph_redis.retries", "{retry}", "Requests and connections that failed and were tried again"
        )
