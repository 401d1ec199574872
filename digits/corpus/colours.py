"""Random colours of paper and ink, and pairs of them that a person tells apart."""

import cv2
import numpy as np
from numpy.typing import NDArray

from digits.corpus.canvas import Colour, Rng

LUMA = np.array([0.299, 0.587, 0.114])
LEAST_APART = 95.0  # levels of luma between colours that are told apart by it
LEAST_DIFFERENCE = 80.0  # of two colours of equal luma, in CIE Lab
DARK_INKS = ((20, 20, 25), (25, 40, 130), (140, 25, 30), (20, 80, 45), (60, 60, 65), (75, 25, 95))


def luma(colour: Colour) -> float:
    return float(np.dot(colour, LUMA))


def paper(rng: Rng, darkest: float = 205) -> Colour:
    """Returns white, slightly grey, warm or cold."""
    level = rng.uniform(darkest, 255)
    return tuple(np.clip(level + rng.normal(0, 5, 3), 0, 255).tolist())


def dark_ink(rng: Rng) -> Colour:
    """Returns the colour of a common pen."""
    return near(rng, DARK_INKS[rng.integers(len(DARK_INKS))], 15)


def near(rng: Rng, colour: Colour, most: float) -> Colour:
    """Returns a colour that differs by up to `most` levels in each channel."""
    return tuple(np.clip(np.array(colour) + rng.uniform(-most, most, 3), 0, 255).tolist())


def vivid(rng: Rng, brightness: float = 255.0) -> Colour:
    """Returns a saturated colour of any hue."""
    hue = rng.uniform(0, 180)
    pixel = np.array([[[hue, rng.uniform(140, 255), brightness]]], np.uint8)
    return tuple(cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0].astype(float).tolist())


def pair(rng: Rng) -> tuple[Colour, Colour]:
    """Returns any two colours that differ in luma: of the ground, and of the ink."""
    while True:
        ground, ink = (tuple(rng.uniform(0, 255, 3).tolist()) for _ in range(2))
        if abs(luma(ground) - luma(ink)) >= LEAST_APART:
            return ground, ink


def either(rng: Rng, first: Colour, second: Colour) -> tuple[Colour, Colour]:
    """Returns the two in either order."""
    return (first, second) if rng.random() < 0.5 else (second, first)


def equal_luma(rng: Rng, ground: Colour | None = None, ink: Colour | None = None) -> tuple[Colour, Colour]:
    """Returns two colours of equal luma and different hue; given ones are approximated."""
    while True:
        first = np.array(near(rng, ground, 40) if ground else rng.uniform(0, 255, 3))
        second = np.array(near(rng, ink, 40) if ink else rng.uniform(0, 255, 3))
        second += luma(tuple(first)) - luma(tuple(second)) + rng.uniform(-3, 3)
        if (second < 0).any() or (second > 255).any():
            continue
        if _difference(first, second) >= LEAST_DIFFERENCE:
            return tuple(first.tolist()), tuple(second.tolist())


def _difference(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    both = np.array([[first, second]], np.float32) / 255
    lab = cv2.cvtColor(both, cv2.COLOR_RGB2LAB)
    return float(np.linalg.norm(lab[0, 0] - lab[0, 1]))
