"""The documentation has every name that spans and metrics use, and no other of our own."""

from __future__ import annotations

import re

from support.pages import Page

from zerograph_redis.telemetry import names
from zerograph_redis.telemetry.instruments import Instruments

TOLD = Page("docs/telemetry.md").text


class Meter:
    """Notes the names of the instruments that it makes."""

    def __init__(self):
        self.made = set()

    def _make(self, name, *rest, **options):
        self.made.add(name)

    create_histogram = create_counter = _make


def test_the_documentation_names_every_attribute_and_every_metric_and_no_other():
    meter = Meter()
    Instruments(meter)
    used = {value for name, value in vars(names).items() if name.isupper()} | meter.made
    named = set(re.findall(r"`((?:zerograph_redis|db|server|error|network)\.[a-z_.]+[a-z])`", TOLD))
    assert used - named == set()
    assert named - used == set()
