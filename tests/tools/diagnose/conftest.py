"""The stores that checkups run on, through blocking methods."""

from __future__ import annotations

from support.stores import fixture_of

checked = fixture_of("redis-sync", "cluster-sync", "sqlite-sync")
checked_redis = fixture_of("redis-sync", "cluster-sync")
cluster_store = fixture_of("cluster-sync")
