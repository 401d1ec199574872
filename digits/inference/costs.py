"""What reading a picture costs: learned while pictures are read."""

import numpy as np

from digits.errors import BadInput
from digits.task import Pixels
from digits.vision.decoding import weigh

Item = bytes | Pixels | BadInput  # an image file, (SIDE, SIDE) grey levels, or why it is neither
Kind = tuple[str, int]

# A first guess until something of the kind has been read: seconds for each pixel, and for any picture.
FIRST_S_PER_PIXEL, FIRST_S = 20e-9, 0.0002
LEARNING_RATE = 0.2


class Costs:
    """CPU seconds that reading a picture takes, by its kind and the power of two of its pixels."""

    def __init__(self) -> None:
        self._seconds: dict[Kind, float] = {}

    def expected_s(self, kind: Kind) -> float:
        return self._seconds.get(kind, FIRST_S + FIRST_S_PER_PIXEL * (1 << kind[1]))

    def learn(self, kind: Kind, seconds: float) -> None:
        known = self._seconds.get(kind, seconds)
        self._seconds[kind] = known + LEARNING_RATE * (seconds - known)


def kind_of(item: Item) -> Kind:
    """What the cost of an item depends on: its kind, and the power of two of its pixels."""
    if isinstance(item, bytes):
        name, pixels = weigh(item)
        return name, pixels.bit_length()
    return ("levels" if isinstance(item, np.ndarray) else "none"), 0
