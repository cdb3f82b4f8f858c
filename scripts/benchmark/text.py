"""Random text that compresses and compares like real text."""

from __future__ import annotations

from itertools import accumulate
from random import Random
from uuid import UUID


class Writer:
    """Writes random text; a *seed* always gives the same text."""

    def __init__(self, seed: int) -> None:
        """Start with *seed*."""
        self.random = Random(seed)

    def text(self, size: int) -> str:
        """Sentences of exactly *size* ASCII characters."""
        chosen = self.random.choices(_WORDS, cum_weights=_WEIGHTS, k=size // 4 + 8)
        words: list[str] = []
        length = 0
        left = 0
        for word in chosen:
            if left == 0:
                left = self.random.randint(4, 18)
                word = word.capitalize()  # noqa: PLW2901 - a sentence begins
            left -= 1
            end = "." if left == 0 else "," if self.random.random() < 0.08 else ""
            words.append(word + end)
            length += len(word) + len(end) + 1
            if length > size:
                break
        return " ".join(words)[:size].ljust(size, "~")

    def message(self) -> dict[str, str]:
        """A message of 300 bytes on average."""
        size = min(max(round(self.random.gauss(261, 90)), 30), 700)
        role = self.random.choice(("user", "assistant"))
        return {"role": role, "id": f"{self.random.getrandbits(48):012x}", "content": self.text(size)}

    def uuid(self, order: int) -> str:
        """An id that sorts by *order*, as UUIDs of version 7 do."""
        return str(UUID(int=(order << 80) | self.random.getrandbits(80)))


def _vocabulary() -> list[str]:
    random = Random(7)
    syllables = [a + b + c for a in "bcdfglmnprstvw" for b in "aeiou" for c in ("", "n", "r", "s", "t")]
    # Frequent words are short.
    return ["".join(random.choices(syllables, k=1 + min(rank // 150, random.randint(0, 4)))) for rank in range(4000)]


_WORDS = _vocabulary()
_WEIGHTS = list(accumulate(1 / (rank + 3) for rank in range(len(_WORDS))))
