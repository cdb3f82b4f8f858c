"""What happens to workers and servers in the field, done on purpose; ``scripts/chaos`` prepares what this needs."""
