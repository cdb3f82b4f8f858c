"""The package's own namespace, whose names are imported when they are asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import zerograph_redis


@pytest.mark.parametrize("name", zerograph_redis.__all__)
def test_every_public_name_is_there(name):
    assert getattr(zerograph_redis, name).__name__ == name
    assert name in dir(zerograph_redis)


def test_every_name_that_is_there_is_public():
    lazy = {name for names in zerograph_redis._HOMES.values() for name in names}
    errors = {name for name in vars(zerograph_redis.errors) if name.endswith("Error")}
    assert lazy | errors == set(zerograph_redis.__all__)


def test_a_name_that_is_not_there_is_an_error():
    with pytest.raises(AttributeError, match="module 'zerograph_redis' has no attribute 'RedisServer'"):
        _ = zerograph_redis.RedisServer


def test_all_names_come_with_a_star():
    code = "from zerograph_redis import *; print(RedisSaver.__name__, open_saver.__name__)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "RedisSaver open_saver\n"
