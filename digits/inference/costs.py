"""The cost of reading a picture, learned from the pictures that are read."""

import asyncio
from collections.abc import Sequence

import numpy as np

from digits.inference.items import Item
from digits.vision.weighing import weigh

Kind = tuple[str, int]

# An estimate until a picture of the kind has been read: seconds per pixel, and per picture.
FIRST_S_PER_PIXEL, FIRST_S = 20e-9, 0.0002
LEARNING_RATE = 0.2
MOST_BYTES_OF_PIXEL = 8  # of an uncompressed file: four channels of 16 bits
# Weighing a file takes up to 0.5 ms: more files than this are weighed in a thread.
FILES_ON_LOOP = 16


class Costs:
    """CPU seconds for reading a picture, by kind and by the power of two of its number of pixels."""

    def __init__(self) -> None:
        self._seconds: dict[Kind, float] = {}

    def expected_s(self, kind: Kind) -> float:
        """Returns the CPU seconds of a picture of this kind: an estimate until one has been read."""
        return self._seconds.get(kind, FIRST_S + FIRST_S_PER_PIXEL * (1 << kind[1]))

    def learn(self, kind: Kind, seconds: float, is_whole: bool = True) -> None:
        """Learns what a picture took. A damaged file may fail early, so it counts only if it took longer."""
        if not is_whole and seconds < self.expected_s(kind):
            return
        known = self._seconds.get(kind, seconds)
        self._seconds[kind] = known + LEARNING_RATE * (seconds - known)


async def kinds_of(items: Sequence[Item], max_pixels: int) -> list[Kind]:
    """Returns what `kind_of` does of each item."""

    def kinds() -> list[Kind]:
        return [kind_of(item, max_pixels) for item in items]

    is_long = sum(isinstance(item, bytes) for item in items) > FILES_ON_LOOP
    return await asyncio.to_thread(kinds) if is_long else kinds()


def kind_of(item: Item, max_pixels: int) -> Kind:
    """Returns the key of an item's cost: its kind, and the power of two of its number of pixels.

    A picture of more than `max_pixels` is refused, and costs nothing. A file with more bytes than its pixels
    need counts by its bytes, since skipping them takes time too.
    """
    if isinstance(item, bytes):
        name, pixels = weigh(item, max_pixels)
        return name, max(pixels, len(item) // MOST_BYTES_OF_PIXEL).bit_length()
    return ("levels" if isinstance(item, np.ndarray) else "none"), 0
