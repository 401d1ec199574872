"""Measures of a candidate's place in its picture, and of a model's certainty."""

import math

import numpy as np
from numpy.typing import NDArray

from digits.vision.candidates import Candidate

Floats = NDArray[np.float32]

MOST_LOGIT = 9.0
LEAST_SIDE = 0.001  # of the picture
SLIM = 1.5  # logarithm of height over width: most ones are not slimmer, the lines of frames are


def width(item: Candidate) -> float:
    """Returns the width of its box, as a share of the picture's."""
    return item.box[2] - item.box[0]


def height(item: Candidate) -> float:
    """Returns the height of its box, as a share of the picture's."""
    return item.box[3] - item.box[1]


def slimness(item: Candidate) -> float:
    """Returns the logarithm of height over width above SLIM, in shares of the picture's sides."""
    return max(0.0, -_aspect(item) - SLIM)


def flatness(item: Candidate) -> float:
    """Returns the logarithm of width over height; 0 if it is higher than wide."""
    return max(0.0, _aspect(item))


def log_contrast(item: Candidate) -> float:
    """Returns the logarithm of the levels between paper and ink, from 0."""
    return math.log(max(item.contrast, 1.0))


def is_at_edge(item: Candidate) -> bool:
    """Returns whether its box touches an edge of the picture."""
    return item.box[0] <= 0 or item.box[1] <= 0 or item.box[2] >= 1 or item.box[3] >= 1


def logit(share: Floats) -> Floats:
    """Returns log(p / (1 - p)) of shares from 0 to 1, within MOST_LOGIT of 0."""
    clipped = np.clip(share.astype(np.float64), 1e-6, 1 - 1e-6)
    return np.clip(np.log(clipped / (1 - clipped)), -MOST_LOGIT, MOST_LOGIT).astype(np.float32)


def _aspect(item: Candidate) -> float:
    return math.log(max(width(item), LEAST_SIDE) / max(height(item), LEAST_SIDE))
