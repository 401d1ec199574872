"""The short path: a picture with obvious paper and ink has one candidate, found without hypotheses.

Most drawings and many scans are like this. It costs a third of trying every hypothesis. If anything is in
doubt (an edge that is not paper, several parts, levels between paper and ink), nothing is returned.
"""

import cv2
import numpy as np

from digits.vision.contrast import FLOOR, FULL, largest_channel
from digits.vision.cropping import Box, Ink
from digits.vision.lines import is_framed
from digits.vision.solid import hollow_strokes
from digits.vision.views import THUMBNAIL, Levels, Map, View, colour_of_edge

LEAST_CONTRAST = 40  # minimum contrast, in levels
INK = 0.42  # ink threshold relative to the strongest contrast
STRONG = 0.65  # ink fainter than this, relative to the strongest, may be a stain or a printed box
BETWEEN = 0.1  # maximum area between paper and ink, except at strokes' soft edges, relative to the ink's
MOST_FILL = 0.6  # maximum share of a box that strokes cover, unless narrow: a filled part may be a sheet
SHEET_FILL = 0.42  # minimum share of its box that a sheet covers, at any angle
SHEET_OWN = 0.7  # minimum share of its outline's area that a sheet with writing covers
CONVEX = 0.92  # minimum share of its convex hull that a sheet's outline encloses
NARROW = 0.4  # of the box's height
SMALLEST_INK = 40  # minimum longer side in pixels; smaller ink is enlarged
SMALLEST = 0.3  # minimum size relative to a thumbnail's longer side; half as much in larger pictures


def find_obvious(view: View, wanted: int) -> tuple[Ink, Box, float] | None:
    """Returns the ink, its box at the coarse scale and its contrast in levels; None if in doubt."""
    coarse = view.coarse
    height, width = coarse.shape[:2]
    if min(height, width) < 8:
        return None
    paper = _paper(coarse)
    contrast = _contrast(coarse, paper)
    peak = cv2.minMaxLoc(contrast)[1]
    if peak < LEAST_CONTRAST or max(_edge_bytes(contrast)) > FLOOR * peak:
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
    box = Box(left, top, left + wide, top + high)
    if not is_small and _has_marks(contrast, mask, peak, box):
        return None
    if area > SHEET_FILL * wide * high and wide > NARROW * high and _may_be_sheet(mask, area):
        return None
    around = box.widened(3, width, height)
    levels, times = view.scale_for(max(around.width, around.height), wanted)
    contrast = around.cut(contrast) if times == 1 else _contrast(around.cut(levels, times), paper)
    if max(contrast.shape) < SMALLEST_INK:
        contrast = cv2.resize(contrast, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    ink = cv2.mean(contrast, cv2.threshold(contrast, peak / 2, 255, cv2.THRESH_BINARY)[1])[0]
    gain = 255 / ((FULL - FLOOR) * ink)
    cover = cv2.convertScaleAbs(cv2.subtract(contrast, (FLOOR * ink, 0, 0, 0)), alpha=gain)
    return cover, box, ink


def _has_marks(contrast: Map, mask: Map, peak: float, box: Box) -> bool:
    """Returns whether the only part of a mask has paler ink, like a stain, a printed box or outlines."""
    strong = cv2.threshold(contrast, STRONG * peak, 255, cv2.THRESH_BINARY)[1]
    faint = cv2.subtract(mask, cv2.dilate(strong, np.ones((5, 5), np.uint8)))
    if cv2.countNonZero(faint) > BETWEEN * cv2.countNonZero(mask):
        return True
    own = box.cut(mask)
    return is_framed(own) or hollow_strokes(own) is not None


def _may_be_sheet(mask: Map, area: int) -> bool:
    """Returns whether the only part of a mask is convex and filled, except for possible writing on it."""
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    enclosed = cv2.contourArea(outlines[0])
    hull = cv2.contourArea(cv2.convexHull(outlines[0]))
    return area > SHEET_OWN * enclosed and enclosed > CONVEX * hull


def _paper(levels: Levels) -> tuple[float, ...]:
    """Returns the median of the levels at the edge, of each channel."""
    if levels.shape[2] == 1:  # plain bytes are faster than numpy
        edge = sorted(_edge_bytes(levels))
        return (edge[len(edge) // 2], 0, 0, 0)
    return (*colour_of_edge(levels), 0)


def _edge_bytes(levels: Levels | Map) -> bytes:
    return b"".join(edge.tobytes() for edge in (levels[0], levels[-1], levels[:, 0], levels[:, -1]))


def _contrast(levels: Levels, paper: tuple[float, ...]) -> Map:
    """Returns the distance to the paper's colour, the largest of the channels."""
    return largest_channel(cv2.absdiff(levels, paper))
