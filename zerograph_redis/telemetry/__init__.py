"""Spans and metrics of what savers do, through OpenTelemetry's API. Nothing here is loaded unless a saver is told to."""

from .providers import Telemetry

__all__ = ("Telemetry",)
