"""SQLite as a backend: the same requests, each one transaction on a file, or on a database in memory."""

from .backend import SqliteBackend

__all__ = ("SqliteBackend",)
