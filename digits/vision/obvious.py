"""The short path: a picture whose paper and ink are plain to see has one candidate, found without hypotheses.

Most drawings and many scans are like this. It costs a third of trying every hypothesis, and where anything is
in doubt (an edge that is not paper, several parts, levels between paper and ink) nothing is returned.
"""

import cv2
import numpy as np

from digits.vision.contrast import FLOOR, FULL
from digits.vision.cropping import Box, Ink
from digits.vision.views import THUMBNAIL, Levels, Map, View

LEAST_CONTRAST = 40  # levels between paper and ink
INK = 0.42  # of the strongest contrast: above it is ink
BETWEEN = 0.1  # of the ink's area that may lie between paper and ink away from the strokes' soft rim
MOST_FILL = 0.6  # of its box that a stroke covers, if the box is not narrow: a filled part may be a sheet
SHEET_FILL = 0.42  # of its box that a sheet covers at least, however it is turned
SHEET_OWN = 0.7  # of what its outline encloses that a sheet with ink on it covers
CONVEX = 0.92  # of its convex hull that the outline of a sheet encloses
NARROW = 0.4  # of the box's height
SMALLEST_INK = 40  # pixels of the longer side, or it is enlarged
SMALLEST = 0.3  # of the longer side of a thumbnail; of larger pictures half as much


def find_obvious(view: View, wanted: int) -> tuple[Ink, Box, float] | None:
    """Returns the ink, its box at the coarse scale and its contrast in levels; None if in doubt."""
    coarse = view.coarse
    height, width = coarse.shape[:2]
    if min(height, width) < 8:
        return None
    paper = _paper(coarse)
    contrast = _contrast(coarse, paper)
    peak = cv2.minMaxLoc(contrast)[1]
    if peak < LEAST_CONTRAST or _edge(contrast) > FLOOR * peak:
        return None
    mask = cv2.threshold(contrast, INK * peak, 255, cv2.THRESH_BINARY)[1]
    left, top, wide, high = cv2.boundingRect(mask)
    area = cv2.countNonZero(mask)
    is_small = max(height, width) <= THUMBNAIL
    if max(wide, high) < SMALLEST * max(height, width) * (1 if is_small else 0.5):
        return None
    if area > MOST_FILL * wide * high and wide > NARROW * high:
        return None
    side = 3 if is_small else 5
    between = cv2.threshold(contrast, INK * 0.4 * peak, 255, cv2.THRESH_BINARY)[1]
    between = cv2.subtract(between, cv2.dilate(mask, np.ones((side, side), np.uint8)))
    if cv2.countNonZero(between) > BETWEEN * area or cv2.connectedComponents(mask)[0] != 2:
        return None
    if area > SHEET_FILL * wide * high and wide > NARROW * high and _may_be_sheet(mask, area):
        return None
    box = Box(left, top, left + wide, top + high)
    around = box.widened(3, width, height)
    levels, times = view.scale_for(max(around.right - around.left, around.bottom - around.top), wanted)
    rows = slice(around.top * times, around.bottom * times)
    columns = slice(around.left * times, around.right * times)
    contrast = contrast[rows, columns] if times == 1 else _contrast(levels[rows, columns], paper)
    if max(contrast.shape) < SMALLEST_INK:
        contrast = cv2.resize(contrast, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    ink = cv2.mean(contrast, cv2.threshold(contrast, peak / 2, 255, cv2.THRESH_BINARY)[1])[0]
    gain = 255 / ((FULL - FLOOR) * ink)
    cover = cv2.convertScaleAbs(cv2.subtract(contrast, (FLOOR * ink, 0, 0, 0)), alpha=gain)
    return cover, box, ink


def _may_be_sheet(mask: Map, area: int) -> bool:
    """Whether the only part of a mask is convex and filled but for what may be written on it."""
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    enclosed = cv2.contourArea(outlines[0])
    hull = cv2.contourArea(cv2.convexHull(outlines[0]))
    return area > SHEET_OWN * enclosed and enclosed > CONVEX * hull


def _paper(levels: Levels) -> tuple[float, ...]:
    """The median of the levels at the edge, of each channel."""
    if levels.shape[2] == 1:
        edge = sorted(_edge_bytes(levels))
        return (edge[len(edge) // 2], 0, 0, 0)
    border = np.concatenate([levels[0], levels[-1], levels[:, 0], levels[:, -1]])
    border.partition(len(border) // 2, axis=0)
    return (*border[len(border) // 2].tolist(), 0)


def _edge(contrast: Map) -> int:
    return max(_edge_bytes(contrast))


def _edge_bytes(levels: Levels | Map) -> bytes:
    return b"".join(edge.tobytes() for edge in (levels[0], levels[-1], levels[:, 0], levels[:, -1]))


def _contrast(levels: Levels, paper: tuple[float, ...]) -> Map:
    """The distance to the paper's colour, the largest of the channels."""
    apart: Map = cv2.absdiff(levels, paper)
    if apart.ndim == 2 or apart.shape[2] == 1:
        return apart.reshape(apart.shape[:2])
    first, second, third = cv2.split(apart)
    largest: Map = cv2.max(cv2.max(first, second), third)
    return largest
