"""Ruled lines, printed boxes, stains and edges of shadows that are paler than the writing."""

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np

from digits.vision.components import Parts
from digits.vision.contrast import Ground, in_every_channel
from digits.vision.views import Map, View

LEAST_STRONG = 0.03  # minimum share of the ink that is writing
LEAST_FAINT = 0.15  # minimum area of faint ink, except at strokes' soft edges, relative to the writing's
LEAST_GAP = 0.3  # minimum distance of faint from strong ink, relative to the strong ink's contrast


def without_faint_ink(view: View, ground: Ground, parts: Parts) -> Iterator[Ground]:
    """Yields the ground with its faint ink as paper; nothing if all its ink has one strength.

    Otsu's threshold of the ink separates the two. A highlighter is as strong as ink in one channel, but not
    in every channel.
    """
    every = in_every_channel(view, ground)
    for each in (ground,) if every is None else (ground, every):
        level, _ = cv2.threshold(each.contrast[parts.mask > 0], 0, 255, cv2.THRESH_OTSU)
        strong = cv2.threshold(each.contrast, level, 255, cv2.THRESH_BINARY)[1]
        strong = cv2.bitwise_and(strong, parts.mask)
        area = cv2.countNonZero(strong)
        if area < LEAST_STRONG * cv2.countNonZero(parts.mask):
            continue
        faint = cv2.subtract(parts.mask, cv2.dilate(strong, np.ones((5, 5), np.uint8)))
        if cv2.countNonZero(faint) >= LEAST_FAINT * area and _gap(each.contrast, faint, strong) >= LEAST_GAP:
            contrast = cv2.subtract(each.contrast, (level, 0, 0, 0))
            yield replace(each, name="strong", contrast=contrast, faint=level)


def _gap(contrast: Map, faint: Map, strong: Map) -> float:
    """Returns the levels between faint and strong ink, relative to the strong ink's: 0 for ink that fades."""
    core = cv2.erode(strong, np.ones((3, 3), np.uint8))
    if not cv2.countNonZero(core):
        core = strong
    low, high = contrast[faint > 0], contrast[core > 0]
    return float((np.percentile(high, 20) - np.percentile(low, 80)) / max(1.0, np.median(high)))
