"""``python -m zerograph_redis.cli`` is ``zerograph-redis``."""

from . import main

main()
