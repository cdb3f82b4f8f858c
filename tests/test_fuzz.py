"""Anything in any place of one thread: some rounds of scripts/fuzz, for as long as a test may take."""

from __future__ import annotations

import pytest
from support.fuzzing import fuzzes

ROUNDS = 12
GENEROUS = 60.0  # seconds: that nothing takes long is for the script to say, on a machine that does nothing else


@pytest.mark.parametrize(("kind", "first"), [("redis", 1), ("redis", 101), ("sqlite", 1), ("sqlite", 101)])
def test_whatever_is_in_a_thread_only_errors_of_the_package_come_out_and_others_stay_as_they_are(
    kind, first, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with fuzzes(tmp_path, [kind], GENEROUS) as made:
        for number in range(ROUNDS):
            found = made[number % len(made)].play(first + number)
            assert [each for each in found if each.what not in {"slow script", "memory"}] == []
