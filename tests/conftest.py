"""Fixtures of all tests: servers, and the stores that the contract runs over."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("support")

from support import sizes  # noqa: E402 - the path is set first
from support.clusters import Cluster, shared_cluster  # noqa: E402 - the path is set first
from support.servers import RedisServer  # noqa: E402 - the path is set first
from support.stores import (  # noqa: E402 - the path is set first
    REDIS_STORES,
    SHARED_STORES,
    STORES,
    RealRedisStore,
    Store,
    matrix,
    opened,
)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Whatever started the tests in the background had SIGINT ignored, and commands that tests start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run all tests, on every kind of store, and long searches")


def pytest_configure(config: pytest.Config) -> None:
    sizes.full = config.getoption("full")
    settings.register_profile("this run", max_examples=sizes.scaled(100))
    settings.load_profile("this run")
    config.addinivalue_line("markers", "full: runs with --full only")
    config.addinivalue_line("markers", "unchecked: leaves a store that is closed, or with what the doctor reports")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("full"):
        full = [each for each in items if each.get_closest_marker("full")]
        items[:] = [each for each in items if not each.get_closest_marker("full")]
        config.hook.pytest_deselected(items=full)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Where `CI` is set, a test that cannot run fails."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"skipped, though CI is set: {report.longrepr[-1]}"
    return report


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that the tests of this process share, each under prefixes of its own."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that the tests of all processes share, each under prefixes of its own."""
    root = tmp_path_factory.getbasetemp()
    # Processes of one run have folders side by side.
    with shared_cluster((root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "cluster") as shared:
        yield shared


@pytest.fixture
def new_cluster(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Start clusters that a test has for itself."""
    with ExitStack() as stack:

        def start(**settings: Any) -> Cluster:
            made = Cluster.start(tmp_path / f"cluster-{len(list(tmp_path.iterdir()))}", **settings)
            stack.callback(made.stop)
            return made

        yield start


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Start servers that a test has for itself."""
    with ExitStack() as stack:

        def start(*options: str, **settings: Any) -> RedisServer:
            directory = tmp_path / f"redis-{len(list(tmp_path.iterdir()))}"
            return stack.enter_context(RedisServer(directory, *options, **settings))

        yield start


@pytest.fixture(params=matrix(STORES))
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Every backend, through both faces."""
    yield from opened(request)


@pytest.fixture(params=matrix(SHARED_STORES))
def shared_store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Every backend that several savers can share."""
    yield from opened(request)


@pytest.fixture(params=matrix(REDIS_STORES))
def redis_store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Every kind of Redis client."""
    yield from opened(request)


@pytest.fixture
def real_store(redis_server: RedisServer) -> Iterator[RealRedisStore]:
    """A real Redis through blocking methods."""
    store = RealRedisStore(asynchronous=False, decoded=False, server=redis_server)
    yield store
    store.close()


@pytest.fixture
def saver(store: Store) -> Any:
    """A saver without options."""
    return store.open()


@pytest.fixture
def log() -> Iterator[list[logging.LogRecord]]:
    """The records of the package, of all levels, as they come."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append
    logger = logging.getLogger("zerograph_redis")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield records
    logger.setLevel(level)
    logger.removeHandler(handler)
