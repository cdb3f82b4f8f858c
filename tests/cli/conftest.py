"""Stores for the tests of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.commands import Cli, Outcome, options_of, run
from support.stores import Store, make_store


@pytest.fixture(params=["redis-sync", "sqlite-sync"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A Redis, and a SQLite file."""
    made = make_store(request.param, request)
    yield made
    made.close()


@pytest.fixture
def saver(store: Store) -> Any:
    """A saver on the store."""
    return store.open_bare()


@pytest.fixture
def cli(store: Store, saver: Any) -> Cli:
    """Run a command on the store."""

    def on_store(*arguments: str, **options: Any) -> Outcome:
        return run(*options_of(store), *arguments, **options)

    return on_store


@pytest.fixture
def cluster_store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A cluster."""
    made = make_store("cluster-sync", request)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands remember their numbers in a directory of the test."""
    home = tmp_path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    return home
