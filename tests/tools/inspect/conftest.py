"""Stores that are inspected."""

from __future__ import annotations

from support.stores import fixture_of

store = fixture_of("fakeredis-sync", "redis-sync", "sqlite-sync", "redis-encrypted-sync")
redis_store = fixture_of("redis-sync")
