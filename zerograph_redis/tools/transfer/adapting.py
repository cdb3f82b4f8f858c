"""Encrypted threads on their way to a store of another name: what is encrypted opens only under the name of its store."""

from __future__ import annotations

from zerograph_redis.core.reencryption import Reencryption
from zerograph_redis.core.settings import Settings

from .image import Image


def adapted(image: Image, source: Settings, target: Settings) -> Image:
    """Return an image that a store under *target* can read, encrypted again if that needs it; or *image* itself.

    Without keys on both sides it stays as it is, and opens under the name of its first store.

    Raises:
        CorruptCheckpointError: Something is missing or damaged.
        SerializationError: Something is encrypted with another key.
    """
    opening, sealing = source.cipher(image.thread), target.cipher(image.thread)
    if opening is None or sealing is None or opening.place == sealing.place:
        return image
    resealing = Reencryption(image.thread, opening, sealing)
    made = Image(image.thread, image.life)
    try:
        for page in image.pages():
            made.add(resealing.page(page))
        resealing.check_end()
    except BaseException:
        made.close()
        raise
    return made
