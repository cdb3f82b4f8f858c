"""Failures of workers and servers under load, caused on purpose; ``scripts/chaos`` runs them.

1. ``worker``: a process that writes checkpoints, and logs what was acknowledged.
2. ``pool``: worker processes that are started, suspended, killed and replaced.
3. ``deployment``: a primary, its replicas and Sentinels, and the failures of the primary.
4. ``leases``, ``failover``, ``faults``, ``interrupts``: the scenarios. Each returns an ``outcome``.
"""
