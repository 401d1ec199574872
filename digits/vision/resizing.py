"""A picture -> one image: the whole picture in the task's size and channels, for the reader "resize"."""

import cv2
import numpy as np
from numpy.typing import NDArray

from digits.task import CHANNELS, SIDE, Images, Pixels
from digits.vision.candidates import Candidates, exactly
from digits.vision.decoding import decode_picture
from digits.vision.picture import Picture


def read_file(data: bytes, max_pixels: int) -> Candidates:
    """Returns the only candidate of an image file. Raises what `decode_picture` raises."""
    return exactly(resized(decode_picture(data, max_pixels)))


def read_levels(levels: Pixels) -> Candidates:
    """Returns the only candidate: the levels as they are."""
    return exactly(levels)


def are_ready(images: Images) -> NDArray[np.bool_]:
    """Returns for (n, *SHAPE) levels which are images already, (n,): all of them."""
    return np.ones(len(images), np.bool_)


def resized(picture: Picture) -> Pixels:
    """Returns SHAPE levels: the whole picture, stretched to a square, on white where it is transparent.

    A picture of this size keeps its levels. Grey is the mean of the colours by BT.601, as Pillow has it.
    """
    levels = picture.levels
    if picture.alpha is not None:
        levels = _on_white(levels, picture.alpha)
    shrinks = min(levels.shape[:2]) > SIDE
    small = cv2.resize(levels, (SIDE, SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    if small.ndim == 2:
        pixels = small if CHANNELS == 1 else cv2.cvtColor(small, cv2.COLOR_GRAY2RGB)
    elif CHANNELS == 1:
        pixels = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY if picture.is_rgb else cv2.COLOR_BGR2GRAY)
    else:
        pixels = small if picture.is_rgb else cv2.cvtColor(small, cv2.COLOR_BGR2RGB)
    return np.asarray(pixels, np.uint8)


def _on_white(levels: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    cover = alpha if levels.ndim == 2 else cv2.merge([alpha] * 3)
    shown: NDArray[np.uint8] = cv2.add(cv2.multiply(levels, cover, scale=1 / 255), cv2.bitwise_not(cover))
    return shown
