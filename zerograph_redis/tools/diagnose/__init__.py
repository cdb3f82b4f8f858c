"""Looking after a store: what is in it, what may go, what is wrong. On all of its threads, in many short steps."""
