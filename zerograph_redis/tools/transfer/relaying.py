"""Threads of many logs, for stores that keep two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from zerograph_redis.core.records import pack_header, read_header, repacked, unpack_checkpoint
from zerograph_redis.core.requests import LogRange, StoredCheckpoint
from zerograph_redis.core.settings import Settings
from zerograph_redis.ids import random_name

from .image import Image

MOST_LOGS = 2


def merge_logs(image: Image, settings: Settings) -> Image:
    """Return an image whose older logs are made one, so that any store can take it. States stay as they are.

    Raises:
        SerializationError: A record is encrypted, and *settings* have no keys: it names its pieces, and opens with those
            names alone.
    """
    older = [each for each in image.generations if each != image.current]
    joined = random_name()
    starts, end = {}, 0
    for generation in older:
        starts[generation] = end
        end += image.length_of(generation)
    anew = Image(image.thread, image.life)
    try:
        for namespace, row in image.rows("writes"):
            anew.add_row(namespace, row)
        for namespace, row in image.rows("checkpoints"):
            anew.add_row(namespace, _moved(image, namespace, row, starts, joined, settings))
        for each in image.ranges():
            start = starts.get(each.generation)
            anew.add_range(each if start is None else LogRange(joined, start + each.start, each.data))
    except BaseException:
        anew.close()
        raise
    anew.current = image.current
    return anew


def _moved(
    image: Image,
    namespace: str,
    row: StoredCheckpoint,
    starts: Mapping[str, int],
    generation: str,
    settings: Settings,
) -> StoredCheckpoint:
    """Say a record in the log that its own becomes part of."""
    stored = row.record or b""
    header = read_header(image.name_of((namespace, row.checkpoint_id)), stored)
    start = starts.get(header.generation)
    if start is None:
        return row
    cipher = settings.cipher(image.thread)
    record = unpack_checkpoint(image.thread, namespace, row.checkpoint_id, stored, cipher)
    record.parts = [
        (place, [segment._replace(offset=segment.offset + start) for segment in segments])
        for place, segments in record.placed()
    ]
    behind = repacked(namespace, row.checkpoint_id, record, cipher)
    before = pack_header(
        stored[:1], int(header.order, 16), int(generation, 16), header.base + start, header.appended, header.attempt
    )
    return replace(row, record=before + behind)
