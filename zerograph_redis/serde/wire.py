"""msgpack, which has no types of its own."""

from __future__ import annotations

from typing import Any, Final

import msgpack as _msgpack

msgpack: Final[Any] = _msgpack
