"""What a person does with a store, behind the command line. Each room takes a `zerograph_redis.store.Store`.

- ``inspect`` looks: threads, histories, states and what changed, live events, statistics. It renews no TTL.
- ``maintain`` removes: deletes and prunes the threads that options select.
- ``diagnose`` checks servers, files and threads, and repairs what surrounds threads.
- ``transfer`` moves threads between stores, each whole or not at all, and compares both sides.
"""
