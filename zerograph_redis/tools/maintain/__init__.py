"""Deletes and prunes many threads: which ones, what would go, and doing it."""
