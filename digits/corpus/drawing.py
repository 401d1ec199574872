"""A writing -> its ink, at any size and with any pen."""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from digits.corpus.handwriting import Points, Writing

Ink = NDArray[np.uint8]  # (h, w), how much of each pixel ink covers, 0 to 255

FINEST_PEN = 8  # pixels; thinner pens are drawn enlarged, since OpenCV's are whole pixels wide
SOFT_RIM = 1.4  # pixels by which smooth lines of an even thickness are wider than that; odd ones by one more
SHIFT = 4  # fractional bits of OpenCV's coordinates
SYMBOL_PEN = 3.0  # pixels of the 105 a side that the lines of symbols are wide


def draw(writing: Writing, side: float, pen: float) -> Ink:
    """Returns the ink of a writing whose longer side is `side` pixels, by a round pen `pen` pixels wide.

    The ink touches all four edges, up to a pixel.
    """
    if writing.ink is not None:
        return _thickened(writing.ink, side, pen)
    times = max(1, int(np.ceil(FINEST_PEN / pen))) if pen < FINEST_PEN else 1
    points = [stroke * (side * times) for stroke in writing.strokes]
    everything = np.concatenate(points)
    margin = pen * times / 2 + times
    low = everything.min(axis=0) - margin
    width, height = (np.ceil((everything.max(axis=0) + margin - low) / times).astype(int) * times).tolist()
    ink = np.zeros((height, width), np.uint8)
    lines = [np.rint((stroke - low) * 2**SHIFT).astype(np.int32) for stroke in points]
    thickness = max(2, 2 * round((pen * times - SOFT_RIM) / 2))
    cv2.polylines(ink, lines, False, 255, thickness, cv2.LINE_AA, SHIFT)
    for line in lines:  # a single point is no line
        if len(line) == 1:
            cv2.circle(ink, line[0].tolist(), round(pen * times / 2 * 2**SHIFT), 255, -1, cv2.LINE_AA, SHIFT)
    if times > 1:
        ink = cv2.resize(ink, (width // times, height // times), interpolation=cv2.INTER_AREA)
    return ink


def bend(writing: Writing, rng: np.random.Generator, most: float = 1.0) -> Writing:
    """Returns the writing slightly turned, slanted and stretched, as the same hand writes it another time.

    `most` scales the largest changes: 8 degrees, 0.15 of slant, 15 % of the width.
    """
    angle, slant, wide = rng.uniform(-1, 1, 3) * np.array([np.deg2rad(8), 0.15, 0.15]) * most
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1 + wide, slant], [0, 1]])
    if writing.ink is not None:
        return replace(writing, ink=_transformed(writing.ink, matrix))
    strokes = [(stroke @ matrix.T).astype(np.float32) for stroke in writing.strokes]
    everything = np.concatenate(strokes)
    low = everything.min(axis=0)
    longer = max(float((everything.max(axis=0) - low).max()), 1e-3)
    return replace(writing, strokes=tuple((stroke - low) / longer for stroke in strokes))


def smooth(writing: Writing) -> Writing:
    """Returns the writing without the corners of tablets that take few points a second (Chaikin's rule)."""
    return replace(writing, strokes=tuple(_without_corners(stroke) for stroke in writing.strokes))


def _without_corners(stroke: Points) -> Points:
    if len(stroke) < 3:
        return stroke
    ends = np.stack([0.75 * stroke[:-1] + 0.25 * stroke[1:], 0.25 * stroke[:-1] + 0.75 * stroke[1:]], axis=1)
    return np.concatenate([stroke[:1], ends.reshape(-1, 2), stroke[-1:]])


def _transformed(ink: Ink, matrix: NDArray[np.float64]) -> Ink:
    centre = np.array([ink.shape[1], ink.shape[0]]) / 2
    moved = np.column_stack([matrix, centre - matrix @ centre])
    turned: Ink = cv2.warpAffine(ink, moved, (ink.shape[1], ink.shape[0]))
    return turned


def _thickened(ink: Ink, side: float, pen: float) -> Ink:
    """Returns the ink of a symbol cropped, scaled and with lines `pen` pixels wide."""
    left, top, width, height = cv2.boundingRect(ink)
    cropped = ink[top : top + height, left : left + width]
    scale = side / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    shrink = scale < 1
    scaled = cv2.resize(cropped, size, interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)
    grow = max(0, round((pen - SYMBOL_PEN * scale) / 2))
    framed = np.pad(scaled, grow + 1)
    if grow:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow + 1, 2 * grow + 1))
        framed = cv2.dilate(framed, kernel)
    return np.asarray(framed, np.uint8)
