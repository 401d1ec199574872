"""Strokes that are outlines or rows of dots, made solid."""

import cv2
import numpy as np

from digits.vision.components import Parts
from digits.vision.views import Map

LEAST_HOLLOW = 0.25  # minimum area of a hollow stroke relative to the ink's
LONGEST = 100.0  # minimum area of a hollow stroke in squares of its mean depth: a disc has 28
LEAST_DOTS = 6  # minimum number of parts
LARGEST_DOT = 0.4  # maximum share of the largest part in the ink
GAPS = (1.5, 2.5)  # distances between dots that are closed, in sizes of a dot
NEARLY_ALL = 0.8  # minimum share of the ink that is connected then


def solid_strokes(parts: Parts) -> Map | None:
    """Returns the ink with hollow strokes filled or dots connected, 0 to 255; None if it has neither."""
    hollow = hollow_strokes(parts.mask)
    if hollow is not None:
        return _softened(cv2.bitwise_or(parts.mask, hollow))
    inner = [part for part in parts.parts if not part.rim]
    if len(inner) < LEAST_DOTS or inner[0].area > LARGEST_DOT * sum(part.area for part in inner):
        return None
    return _connected(parts.mask, float(np.median([part.size for part in inner])))


def hollow_strokes(mask: Map) -> Map | None:
    """Returns the long narrow areas that ink encloses, or None if there are none."""
    ink = cv2.countNonZero(mask)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if sum(map(cv2.contourArea, outlines)) < ink:  # a fast check: hardly anything is enclosed
        return None
    paper = cv2.bitwise_not(mask)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(paper, connectivity=4)
    height, width = mask.shape
    left, top, wide, high, area = stats.T
    inside = (left > 0) & (top > 0) & (left + wide < width) & (top + high < height)
    inside[0] = False  # the ink
    large = np.flatnonzero(inside & (area >= LEAST_HOLLOW * ink))
    if not len(large):
        return None
    depth = cv2.distanceTransform(paper, cv2.DIST_L2, 3)
    hollow = np.zeros_like(mask)
    for label in large.tolist():
        own = cv2.inRange(labels, (label,), (label,))
        mean = cv2.mean(depth, own)[0] - 0.5  # a pixel next to ink has depth 1, of which half is its own
        if area[label] >= LONGEST * mean**2:
            hollow |= own
    return hollow if cv2.countNonZero(hollow) else None


def _connected(mask: Map, size: float) -> Map | None:
    """Returns dots of a size with the gaps between them closed, or None if they are no row."""
    for gap in GAPS:
        side = round(gap * size) | 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        wider = cv2.copyMakeBorder(mask, side, side, side, side, cv2.BORDER_CONSTANT, value=(0,))
        closed = np.ascontiguousarray(
            cv2.morphologyEx(wider, cv2.MORPH_CLOSE, kernel)[side:-side, side:-side]
        )
        areas = cv2.connectedComponentsWithStats(closed, connectivity=8)[2][1:, cv2.CC_STAT_AREA]
        if areas.max() >= NEARLY_ALL * areas.sum():
            return _softened(closed)
    return None


def _softened(mask: Map) -> Map:
    soft: Map = cv2.GaussianBlur(mask, (3, 3), 0)
    return soft
