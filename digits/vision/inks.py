"""Ink of one colour on a ground of many: a marker on a window, a drawing on a photo."""

from collections.abc import Iterator

import cv2
import numpy as np

from digits.vision.contrast import distance_from
from digits.vision.views import APART, BINS, SPREAD, Colour, Levels, Map

LEAST, MOST = 0.008, 0.25  # share of a picture that ink covers
LEAST_OF_BIN = LEAST / 2  # share in the fullest bin of the ink's colour
INKS = 2  # number of colours that are tried
# From the distance of a level to the ink's colour to how much it is ink.
_LIKENESS = np.clip(255 - (np.arange(256.0) - SPREAD) * 255 / APART, 0, 255).astype(np.uint8)


def ink_maps(levels: Levels) -> Iterator[Map]:
    """Yields how much each level is of one colour, 0 to 255, for the colours most unlike all others."""
    channels = levels.shape[2]
    size = levels.shape[0] * levels.shape[1]
    # Shifted by half a bin, black and white are in the middle of one.
    counts = cv2.calcHist([levels], [*range(channels)], None, [BINS] * channels, [-8, 264] * channels)
    colours = 16 * np.argwhere(counts.reshape((BINS,) * channels) >= LEAST_OF_BIN * size)
    apart = np.abs(colours - cv2.mean(levels)[:channels]).max(axis=1)
    for _ in range(min(INKS, len(colours))):
        colour = colours[apart.argmax()]
        apart = np.minimum(apart, np.abs(colours - colour).max(axis=1))
        likeness = _likeness(levels, colour.astype(np.float32))
        if likeness is not None:
            yield likeness


def _likeness(levels: Levels, colour: Colour) -> Map | None:
    """Returns how much each level is of a colour; None if too few or too many are."""
    size = levels.shape[0] * levels.shape[1]
    for _ in range(2):
        distance = distance_from(levels, colour)
        near = cv2.threshold(distance, 2 * SPREAD, 255, cv2.THRESH_BINARY_INV)[1]
        if not LEAST * size <= cv2.countNonZero(near) <= MOST * size:
            return None
        colour = np.array(cv2.mean(levels, near)[: len(colour)], np.float32)
    return _LIKENESS[distance]
