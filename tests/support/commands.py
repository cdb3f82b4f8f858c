"""Run the command line, in this process or in another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from typer.testing import CliRunner

from support.stores import Store
from zerograph_redis.cli.app import app


@dataclass
class Outcome:
    """How a run of the command line ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The JSON document that it wrote; nothing else was written, and it ended with 0."""
        assert (self.code, self.err) == (0, "")
        return json.loads(self.out)


Cli = Callable[..., Outcome]


def options_of(store: Store) -> list[str]:
    """The global options that name a store."""
    if store.kind == "sqlite":
        return ["--url", f"sqlite:///{store.path}"]
    return ["--url", store.url, "--prefix", store.prefix]


def prefix_of(store: Store) -> list[str]:
    """The global option that names the prefix of a store, if it has one."""
    return options_of(store)[2:]


def run(*arguments: str, columns: int = 200, **options: Any) -> Outcome:
    """Run the command line in this process."""
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": str(columns)}, **options)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)


def run_process(*arguments: str, **environment: str) -> Outcome:
    """Run the command line in another process, as a user does."""
    done = subprocess.run(
        [sys.executable, "-m", "zerograph_redis.cli", *arguments],
        check=False,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, **environment},
    )
    return Outcome(done.returncode, done.stdout, done.stderr)
