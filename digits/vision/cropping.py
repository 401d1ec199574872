"""Ink of any size -> 28x28 pixels, made the way MNIST was made.

MNIST's makers cropped each digit to its ink, fitted it into 20x20 with its aspect ratio kept, and moved its
centre of mass to the middle of 28x28, white on black (LeCun, Cortes, Burges: The MNIST database).
"""

from typing import NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from digits.task import SIDE, Pixels

BOX = 20  # MNIST's digits fill this square in at least one direction
THINNEST = 2.0  # stroke width at 20 pixels: a tenth of MNIST's strokes are thinner than 1.8, half than 2.5

FINE = 4 * BOX  # longer side on which strokes are measured and thickened
SOFT = 25  # levels up to this are the blur around a stroke, not the stroke
Ink = NDArray[np.uint8]  # (h, w), 0 paper to 255 full stroke
Number = TypeVar("Number", bound=np.generic)


class Box(NamedTuple):
    """A rectangle of a picture in pixels; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    def cut(self, picture: NDArray[Number], times: int = 1) -> NDArray[Number]:
        """Returns a view of a picture's part in the box; the picture is `times` as fine as the box."""
        return picture[self.top * times : self.bottom * times, self.left * times : self.right * times]

    def shares(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Returns left, top, right and bottom as shares of the sides of a picture of this size."""
        return self.left / width, self.top / height, self.right / width, self.bottom / height

    def widened(self, by: int, width: int, height: int) -> "Box":
        """Returns the box with a margin, clipped to a picture of this size."""
        return Box(
            max(0, self.left - by),
            max(0, self.top - by),
            min(width, self.right + by),
            min(height, self.bottom + by),
        )


def crop_to_pixels(ink: NDArray[np.uint8] | NDArray[np.float32], box: Box | None = None) -> Pixels:
    """Returns (28, 28) uint8 pixels of the ink inside `box`, or of all of it.

    `ink` is (h, w), uint8 0 to 255 or float32 0 to 1. Ink below half cover does not extend the crop. A box
    without ink gives black pixels.
    """
    levels: Ink = (
        (np.clip(ink, 0, 1) * 255).astype(np.uint8) if ink.dtype == np.float32 else np.asarray(ink, np.uint8)
    )
    if box is not None:
        levels = box.cut(levels)
    left, top, width, height = cv2.boundingRect(cv2.threshold(levels, 127, 255, cv2.THRESH_BINARY)[1])
    if width == 0:
        return np.zeros((SIDE, SIDE), np.uint8)
    return _centred(_fitted(levels[top : top + height, left : left + width]))


def _fitted(ink: Ink) -> Ink:
    """Returns ink scaled to 20 pixels on its longer side, with strokes at least as wide as MNIST's."""
    if max(ink.shape) > FINE:
        ink = _resized(ink, FINE)
    scale = BOX / max(ink.shape)
    missing = THINNEST - _stroke_width(ink) * scale  # in pixels of the result
    if missing > 0.25:
        if max(ink.shape) < FINE:
            ink, scale = _resized(ink, FINE), BOX / FINE
        margin = max(1, int(missing / scale / 2))
        ink = cv2.copyMakeBorder(ink, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=(0,))
        ink = cv2.dilate(ink, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1)))
    return _brightened(_resized(ink, BOX))


def _brightened(small: Ink) -> Ink:
    """Returns ink scaled so that a tenth of it is at full level, as in most images of MNIST."""
    inked = _count_above(small, SOFT)
    if _count_above(small, 254) >= inked - inked * 9 // 10:
        return small
    levels = np.sort(small[small > SOFT])
    bright: Ink = cv2.convertScaleAbs(small, alpha=255 / int(levels[levels.size * 9 // 10]))
    return bright


def _count_above(ink: Ink, level: int) -> int:
    return cv2.countNonZero(cv2.threshold(ink, level, 255, cv2.THRESH_BINARY)[1])


def _resized(ink: Ink, longer: int) -> Ink:
    """Returns ink whose longer side is `longer` pixels; shrinks by area, so that thin strokes survive."""
    height, width = ink.shape
    scale = longer / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    resized: Ink = cv2.resize(ink, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    return resized


def _stroke_width(ink: Ink) -> float:
    """Returns twice the area over the perimeter; 0.8 corrects the perimeter of slanted lines on a grid."""
    mask = cv2.copyMakeBorder(
        cv2.threshold(ink, 127, 1, cv2.THRESH_BINARY)[1], 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(0,)
    )
    # The mask is 0 or 1, so the sum of differences counts the pixels' sides between paper and ink.
    perimeter = cv2.norm(mask[1:], mask[:-1], cv2.NORM_L1) + cv2.norm(mask[:, 1:], mask[:, :-1], cv2.NORM_L1)
    return float(2 * cv2.countNonZero(mask) / (0.8 * max(perimeter, 1)))


def _centred(ink: Ink) -> Pixels:
    """Places ink of at most 20x20 into 28x28 with its centre of mass at (14, 14), where MNIST has it."""
    height, width = ink.shape
    mass = cv2.moments(ink)
    total = max(mass["m00"], 1.0)
    top, left = round(SIDE / 2 - mass["m01"] / total), round(SIDE / 2 - mass["m10"] / total)
    top, left = min(max(top, 0), SIDE - height), min(max(left, 0), SIDE - width)
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    pixels[top : top + height, left : left + width] = ink
    return pixels
