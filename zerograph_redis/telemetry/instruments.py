"""The metrics."""

from __future__ import annotations

from opentelemetry.metrics import Meter

# The bounds of the conventions, with others between and below: most operations take less than a millisecond.
_SECONDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_WAITS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300)
_RATIOS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.9, 1)


class Instruments:
    """The metrics of all savers."""

    def __init__(self, meter: Meter) -> None:
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
            "Bytes of records, pending writes and logs that were sent to the store or received from it",
        )
        self.patch_ratio = meter.create_histogram(
            "zerograph_redis.put.patch_ratio",
            "1",
            "Bytes that a put sent, divided by the bytes of its whole checkpoint",
            explicit_bucket_boundaries_advisory=_RATIOS,
        )
        self.cache = meter.create_counter(
            "zerograph_redis.cache.lookups",
            "{lookup}",
            "Reads of states with large values, by whether their bytes were known already",
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
