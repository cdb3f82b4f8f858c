"""What answers the core's requests: Redis, or SQLite (in a file or in memory)."""
