"""One corrupt thread among sound ones: a few rounds of scripts/fuzz."""

from __future__ import annotations

import pytest
from support.fuzzing import fuzzes
from support.sizes import scaled

ROUNDS = scaled(12)
GENEROUS = 60.0  # seconds: scripts/fuzz measures, on an idle machine, that no call takes long


@pytest.mark.parametrize(("kind", "first"), [("redis", 1), ("redis", 101), ("sqlite", 1), ("sqlite", 101)])
def test_a_bad_thread_raises_only_errors_of_the_package_and_leaves_others_alone(kind, first, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with fuzzes(tmp_path, [kind], GENEROUS) as made:
        for number in range(ROUNDS):
            found = made[number % len(made)].run_round(first + number)
            assert [each for each in found if each.what not in {"slow script", "memory"}] == []
