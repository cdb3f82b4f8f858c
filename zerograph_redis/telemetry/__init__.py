"""Spans and metrics of the operations of savers, through OpenTelemetry's API, which is imported only if a saver has them.

- ``providers``: the option ``telemetry`` of savers, and the providers that spans and metrics go to.
- ``observer``: the span and the metrics of each operation, and what a span has of an error.
- ``observation``: what the requests of one operation show: bytes, retries, kinds of puts and reads.
- ``instruments``: the metrics; ``names``: the names of attributes.
"""

from .providers import Telemetry

__all__ = ("Telemetry",)
