"""A decoded picture: its levels and its transparency, in 8 bits."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

DEEP_SIDE = 1280  # pixels a side from which deeper levels than 8 bits are reduced before they are scaled


@dataclass(frozen=True)
class Picture:
    """A decoded file."""

    channels: NDArray[np.uint8]  # (h, w) grey or (h, w, 2 to 4): grey or colour, then alpha
    is_rgb: bool = False  # red first, as Pillow has colours; else blue first, as OpenCV has them

    @cached_property
    def levels(self) -> NDArray[np.uint8]:
        """The levels, (h, w) grey or (h, w, 3) colour, 0 to 255."""
        levels = self.channels
        if levels.ndim == 3 and levels.shape[2] == 2:
            levels = cv2.extractChannel(levels, 0)
        elif levels.ndim == 3 and levels.shape[2] == 4:
            levels = cv2.cvtColor(levels, cv2.COLOR_BGRA2BGR)
        return _stretched(levels)

    @cached_property
    def alpha(self) -> NDArray[np.uint8] | None:
        """The opacity, (h, w), 0 transparent to 255 opaque; None if all is opaque.

        An alpha of 0 everywhere is a mask that a program did not fill: it is ignored.
        """
        if self.channels.ndim == 2 or self.channels.shape[2] == 3:
            return None
        alpha = cv2.extractChannel(self.channels, self.channels.shape[2] - 1)
        lowest, highest, *_ = cv2.minMaxLoc(alpha)
        return None if lowest == 255 or highest == 0 else alpha


def picture_of(levels: NDArray[Any], is_rgb: bool = False) -> Picture:
    """Returns a picture of an array (h, w) or (h, w, 1 to 4) of any type."""
    if levels.dtype != np.uint8:
        levels = _levels_of_deep(levels)
    if levels.ndim == 3 and levels.shape[2] == 1:
        levels = levels.reshape(levels.shape[:2])
    return Picture(levels, is_rgb)


def _levels_of_deep(levels: NDArray[Any]) -> NDArray[np.uint8]:
    """Returns 8-bit levels of deeper ones, scaled by their range; levels of 0 to 255 stay as they are."""
    if levels.dtype == np.bool_:
        return levels.astype(np.uint8) * np.uint8(255)
    if levels.dtype != np.uint16:
        levels = np.nan_to_num(levels.astype(np.float32), posinf=0, neginf=0)
    while max(levels.shape[:2]) > DEEP_SIDE and min(levels.shape[:2]) > 1:
        levels = cv2.resize(levels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    lowest, highest = min(float(levels.min()), 0.0), float(levels.max())
    scale = 1.0 if lowest == 0 and highest <= 255 else 255 / (highest - lowest)
    scaled: NDArray[np.uint8] = cv2.convertScaleAbs(levels, alpha=scale, beta=-lowest * scale)
    return scaled


def _stretched(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns levels of 0 and 255 for masks that only use two neighbouring values, such as 0 and 1."""
    step = max(1, max(levels.shape[:2]) // 64)
    sample = levels[::step, ::step]
    lowest, highest = _range(sample)
    if highest - lowest > 1:
        return levels
    lowest, highest = _range(levels)
    if highest - lowest != 1:
        return levels
    return np.where(levels == highest, np.uint8(255), np.uint8(0))


def _range(levels: NDArray[np.uint8]) -> tuple[float, float]:
    """Returns the lowest and the highest level."""
    return cv2.minMaxLoc(levels if levels.ndim == 2 else levels.reshape(levels.shape[0], -1))[:2]
