"""Ink that fades along its strokes: a pen that runs dry, a reflection on the paper."""

from dataclasses import replace

import cv2
import numpy as np

from digits.vision.components import Parts
from digits.vision.contrast import NOISE_FACTOR, Ground
from digits.vision.views import Map

WEAKEST = 0.4  # minimum contrast of faded ink, relative to the threshold of ink
CLEAR = 0.8  # maximum of the same: with more noise, faded ink is not told from paper
LEAST, MOST = 0.08, 1.5  # area of the faded ink relative to the other ink's; more is a shadow or a stain


def with_faded_ink(ground: Ground, parts: Parts) -> Ground | None:
    """Returns the ground with the paler ink that strokes continue in; None if there is hardly any."""
    level = max(parts.level * WEAKEST, ground.noise * NOISE_FACTOR)
    if level > parts.level * CLEAR:
        return None
    ink = cv2.threshold(ground.contrast, level, 255, cv2.THRESH_BINARY)[1]
    if not _has_more(ink, parts.mask, most=np.inf):
        return None
    _, labels = cv2.connectedComponents(ink, connectivity=8, ltype=cv2.CV_32S)
    connected = np.zeros(labels.max() + 1, np.uint8)
    connected[labels[parts.mask > 0]] = 255
    connected[0] = 0
    ink = connected[labels]
    if not _has_more(ink, parts.mask, MOST):
        return None
    gain = parts.level / level
    contrast = cv2.convertScaleAbs(cv2.min(ground.contrast, ink), alpha=gain)
    return replace(ground, name="faded", contrast=contrast, gain=gain)


def _has_more(ink: Map, mask: Map, most: float) -> bool:
    """Returns whether there is ink beyond the soft edges of a mask, but not too much."""
    more = cv2.countNonZero(cv2.subtract(ink, cv2.dilate(mask, np.ones((5, 5), np.uint8))))
    return LEAST <= more / max(1, cv2.countNonZero(mask)) <= most
