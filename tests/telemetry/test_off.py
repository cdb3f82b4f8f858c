"""Telemetry costs nothing unless it is used, and names the extra that it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import NoOpTracerProvider
from support.data import at, state

from zerograph_redis import InMemorySaver, RedisSaver, SqliteSaver, Telemetry


def run(source):
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths}
    command = [sys.executable, "-c", source]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environment).stdout


def test_opentelemetry_is_not_imported_unless_it_is_used():
    assert run(
        "import sys\n"
        "from zerograph_redis import InMemorySaver, Telemetry\n"
        "InMemorySaver().list_threads()\n"
        "print(*sorted(name for name in sys.modules if name.startswith('zerograph_redis.telemetry')))\n"
    ) == "zerograph_redis.telemetry zerograph_redis.telemetry.names zerograph_redis.telemetry.providers\n"  # fmt: skip


def test_without_opentelemetry_the_error_names_the_extra_and_all_else_works():
    assert run(
        "import sys\n"
        "sys.modules['opentelemetry'] = None\n"
        "from zerograph_redis import InMemorySaver, Telemetry\n"
        "InMemorySaver().list_threads()\n"
        "try:\n"
        "    Telemetry()\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    ) == "telemetry needs an extra: pip install 'zerograph-redis[otel]'\n"  # fmt: skip


def test_the_global_providers_are_used_also_if_they_are_set_later():
    assert run(
        "from opentelemetry import metrics, trace\n"
        "from support.exporters import Exported\n"
        "from zerograph_redis import InMemorySaver, Telemetry\n"
        "saver = InMemorySaver(telemetry=Telemetry())\n"
        "exported = Exported()\n"
        "trace.set_tracer_provider(exported.tracer_provider)\n"
        "metrics.set_meter_provider(exported.meter_provider)\n"
        "saver.list_threads()\n"
        "print([span.name for span in exported.spans()], *exported.metrics())\n"
    ) == "['zerograph_redis.list_threads'] db.client.operation.duration\n"  # fmt: skip


def test_providers_that_do_nothing_change_nothing(tmp_path):
    telemetry = Telemetry(NoOpTracerProvider(), NoOpMeterProvider())
    with SqliteSaver(tmp_path / "x.db", telemetry=telemetry) as saver:
        config = saver.put(at(), state("c0", n=1), {})
        assert saver.get(config) == state("c0", n=1)


@pytest.mark.parametrize("wrong", [True, object(), Telemetry])
def test_an_option_that_is_no_telemetry_is_refused(wrong):
    with pytest.raises(ValueError, match="telemetry must be a Telemetry"):
        InMemorySaver(telemetry=wrong)
    with pytest.raises(ValueError, match="telemetry must be a Telemetry"):
        RedisSaver.from_url("redis://localhost", telemetry=wrong)
