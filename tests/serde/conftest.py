"""Fixtures of the serializer tests. Makes ``serde_samples``, their values, importable."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from serde_samples import KINDS, Opaque

from zerograph_redis.serde import MsgpackSerializer, Registered


@pytest.fixture
def serializer() -> Any:
    return MsgpackSerializer([*KINDS, Registered("opaque", Opaque, lambda v: v.value, Opaque)])
