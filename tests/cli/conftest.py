"""Stores for the tests of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.commands import Cli, Outcome, options_of, run
from support.stores import Store, fixture_of

store = fixture_of("redis-sync", "sqlite-sync")
cluster_store = fixture_of("cluster-sync")


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


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands remember their numbers in a directory of the test."""
    home = tmp_path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    return home
