"""Signal handlers that raise, and tasks that are cancelled, at any moment of a call: no reply is ever another request's.

`scripts/chaos --only interrupts --count N` does the same for as long as one likes.
"""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from support.interrupted_calls import AWAITED, SETTINGS
from support.sites import open_site, run_interrupts
from support.sizes import scaled


@pytest.fixture
def site(tmp_path):
    """Start the servers of a setting."""
    with ExitStack() as stack:
        yield lambda setting: open_site(setting, tmp_path, stack)


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_signal_handler_that_raises_at_any_moment_leaves_no_reply_and_no_connection_behind(site, setting):
    found = run_interrupts("signals", setting, site(setting), scaled(200), seed=1)
    assert found["broken"] == []
    assert found["interrupts"] >= scaled(200)


@pytest.mark.parametrize("setting", AWAITED)
def test_a_task_that_is_cancelled_wherever_it_waits_leaves_no_reply_and_no_connection_behind(site, setting):
    found = run_interrupts("awaits", setting, site(setting), scaled(30), seed=1)
    assert found["broken"] == []
    assert found["interrupts"] >= scaled(30)
