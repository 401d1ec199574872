"""Candidates: images for the model that may be the digit of a picture, and where they come from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digits.task import SHAPE, Pixels
from digits.vision.components import NOTHING_ELSE, Others
from digits.vision.contrast import GUESSES

EXACT = "exact"  # the ground of the candidate that is the whole picture


@dataclass(frozen=True)
class Candidate:
    """An image for the model, and where in the picture it comes from."""

    pixels: Pixels
    ground: str  # the hypothesis it comes from
    box: tuple[float, float, float, float]  # left, top, right, bottom as shares of the picture's sides
    share: float  # of the hypothesis' ink
    rank: int  # position among the groups of its hypothesis
    contrast: float  # levels between paper and ink
    sheet: bool = False  # whether it was found on a sheet within the picture
    others: Others = NOTHING_ELSE  # what else its hypothesis sees around it
    colour: tuple[float, ...] = ()  # of the ink; empty if that is not known

    @property
    def is_guess(self) -> bool:
        """Whether its hypothesis changes the ink, or tries a colour as ink."""
        return self.ground in GUESSES

    @property
    def is_exact(self) -> bool:
        """Whether it is the whole picture, which is like an image of MNIST."""
        return self.ground == EXACT


@dataclass(frozen=True)
class Candidates:
    """The candidates of a picture, the most likely first; none for a blank picture."""

    items: list[Candidate]

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The candidates' images, (k, *SHAPE)."""
        pixels = np.zeros((len(self.items), *SHAPE), np.uint8)
        for place, item in enumerate(self.items):
            pixels[place] = item.pixels
        return pixels


def exactly(pixels: Pixels) -> Candidates:
    """Returns the candidates of an image that is known to be like MNIST's."""
    return Candidates([Candidate(pixels, EXACT, (0, 0, 1, 1), 1, 0, 255)])
