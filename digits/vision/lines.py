"""Printed lines, frames and bezels that touch the ink: removes long straight runs from a contrast map."""

from dataclasses import replace

import cv2
import numpy as np

from digits.vision.components import Parts
from digits.vision.contrast import Ground
from digits.vision.views import Map

LONG = 0.28  # minimum length relative to the picture's side: no stroke of a digit is straight for so long
SPAN = 0.9  # minimum share of the picture's side that a ruled line or a whole frame spans
GAP = 5  # coarse pixels: strokes that a removed line crossed are joined again


def without_lines(ground: Ground, parts: Parts) -> Ground | None:
    """Returns the ground without the long straight runs of its ink, or None if it has none."""
    height, width = parts.mask.shape
    if not any(
        part.rim or part.box.width >= SPAN * width or part.box.height >= SPAN * height for part in parts.parts
    ):
        return None
    # Two pixels thick, a line may rise by one pixel in its length and still be one run.
    mask = cv2.dilate(parts.mask, np.ones((2, 2), np.uint8))
    flat = _runs(mask, max(8, int(LONG * width)), 1)
    steep = _runs(mask, 1, max(8, int(LONG * height)))
    lines = cv2.dilate(cv2.bitwise_or(flat, steep), np.ones((3, 3), np.uint8))
    rest = cv2.subtract(parts.mask, lines)
    if not cv2.countNonZero(lines) or cv2.countNonZero(rest) < 8:
        return None
    upright = cv2.morphologyEx(rest, cv2.MORPH_CLOSE, np.ones((GAP + 2, 3), np.uint8))
    level = cv2.morphologyEx(rest, cv2.MORPH_CLOSE, np.ones((3, GAP + 2), np.uint8))
    crossed = cv2.bitwise_or(cv2.bitwise_and(upright, flat), cv2.bitwise_and(level, steep))
    gone = cv2.subtract(lines, cv2.dilate(crossed, np.ones((3, 3), np.uint8)))
    return replace(ground, name="lined", contrast=cv2.subtract(ground.contrast, gone))


def _runs(mask: Map, width: int, height: int) -> Map:
    kernel = np.ones((height, width), np.uint8)
    runs: Map = cv2.morphologyEx(
        mask, cv2.MORPH_OPEN, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=(0,)
    )
    return runs
