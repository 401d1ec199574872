"""Printed lines, frames and bezels that touch the ink: removes long straight runs from a contrast map."""

from dataclasses import replace

import cv2
import numpy as np

from digits.vision.components import Parts, equal
from digits.vision.contrast import Ground
from digits.vision.views import Map

LONG = 0.28  # minimum length relative to the picture's side: no stroke of a digit is straight for so long
SPAN = 0.9  # minimum share of the picture's side that a ruled line or a whole frame spans
MOST_INK = 0.45  # maximum share of its box that a printed box with writing covers; a sheet covers more
LINE = 0.7  # minimum share of the box around the ink that each line of a printed box spans
APART = 0.4  # minimum distance of opposite lines of a printed box, relative to the box around the ink
BAND = 0.04  # distance to a line, relative to the ink's box, within which it is: it may be slightly rotated
LEAST_FRAME = 16  # coarse pixels
MOST_FRAMES = 3
GAP = 5  # coarse pixels: strokes that a removed line crossed are joined again


def without_lines(ground: Ground, parts: Parts) -> Ground | None:
    """Returns the ground without the long straight runs of its ink, or None if it has none."""
    height, width = parts.mask.shape
    near = _ruled_or_framed(parts)
    if near is None:
        return None
    # Two pixels thick, a line may rise by one pixel in its length and still be one run.
    mask = cv2.dilate(parts.mask, np.ones((2, 2), np.uint8))
    flat = _runs(mask, max(8, int(LONG * width)), 1)
    steep = _runs(mask, 1, max(8, int(LONG * height)))
    flat, steep = cv2.bitwise_and(flat, near), cv2.bitwise_and(steep, near)
    lines = cv2.dilate(cv2.bitwise_or(flat, steep), np.ones((3, 3), np.uint8))
    rest = cv2.subtract(parts.mask, lines)
    if not cv2.countNonZero(lines) or cv2.countNonZero(rest) < 8:
        return None
    upright = cv2.morphologyEx(rest, cv2.MORPH_CLOSE, np.ones((GAP + 2, 3), np.uint8))
    level = cv2.morphologyEx(rest, cv2.MORPH_CLOSE, np.ones((3, GAP + 2), np.uint8))
    crossed = cv2.bitwise_or(cv2.bitwise_and(upright, flat), cv2.bitwise_and(level, steep))
    gone = cv2.subtract(lines, cv2.dilate(crossed, np.ones((3, 3), np.uint8)))
    return replace(ground, name="lined", contrast=cv2.subtract(ground.contrast, gone))


def is_framed(ink: Map) -> bool:
    """Returns whether ink has two level and two upright lines that are far apart, as a printed box has."""
    return _frame(ink) is not None


def _frame(ink: Map) -> tuple[int, int, int, int] | None:
    """Returns the left, top, right and bottom lines of a printed box around ink, or None if it has none.

    The ink may cross the lines, so they need not be at the edges.
    """
    if min(ink.shape) < LEAST_FRAME or cv2.mean(ink)[0] > 255 * MOST_INK:
        return None
    height, width = ink.shape
    rows = np.flatnonzero(cv2.reduce(ink, 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F) >= 255 * LINE)
    columns = np.flatnonzero(cv2.reduce(ink, 0, cv2.REDUCE_AVG, dtype=cv2.CV_32F) >= 255 * LINE)
    if not len(rows) or not len(columns):
        return None
    (top, bottom), (left, right) = (rows[0], rows[-1]), (columns[0], columns[-1])
    if bottom - top < APART * height or right - left < APART * width:
        return None
    return int(left), int(top), int(right), int(bottom)


def _ruled_or_framed(parts: Parts) -> Map | None:
    """Returns where lines may be: everywhere on ruled paper, else at printed boxes; None for neither."""
    height, width = parts.mask.shape
    if any(
        part.rim or part.box.width >= SPAN * width or part.box.height >= SPAN * height for part in parts.parts
    ):
        return np.full_like(parts.mask, 255)
    found = np.zeros_like(parts.mask)
    for part in parts.parts[:MOST_FRAMES]:
        box = part.box
        frame = _frame(equal(box.cut(parts.labels), part.label))
        if frame is not None:
            left, top, right, bottom = frame
            corners = (box.left + left, box.top + top), (box.left + right, box.top + bottom)
            cv2.rectangle(found, *corners, (255,), 2 * round(BAND * max(box.width, box.height)) + 1)
    return found if cv2.countNonZero(found) else None


def _runs(mask: Map, width: int, height: int) -> Map:
    kernel = np.ones((height, width), np.uint8)
    runs: Map = cv2.morphologyEx(
        mask, cv2.MORPH_OPEN, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=(0,)
    )
    return runs
