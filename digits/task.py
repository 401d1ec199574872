"""What is predicted, said once: labels, image side, and the arrays and answers that carry them.

A model for other labels or another image side changes this module, the network (training/network.py), the
data (training/data.py) and the golden images (vision/golden.npz).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Label = int
LABELS: tuple[Label, ...] = tuple(range(10))  # in the order of the model's outputs
CLASSES = len(LABELS)
SIDE = 28  # pixels, of the square image that the model takes
PIXELS = SIDE * SIDE  # grey levels of one image; one channel

Pixels = NDArray[np.uint8]  # (SIDE, SIDE), light digit on black, 0 to 255
Images = NDArray[np.uint8]  # (n, SIDE, SIDE)
Probabilities = NDArray[np.floating]  # (n, CLASSES); rows add up to 1
# (n, CLASSES) probabilities; (n, CLASSES + 1) from a model that also says whether an image shows one digit,
# 0 to 1, in the last column.
Scores = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """Which model: its name and version, and the SHA-256 of its ONNX file."""

    name: str
    version: str
    sha256: str


class Prediction(NamedTuple):
    """The answer to one image."""

    label: Label
    confidence: float  # the label's probability
    probabilities: list[float]  # in the order of LABELS
    is_digit: float | None  # how much the image looks like one digit, 0 to 1; None: the model cannot say
    model: ModelVersion  # that answered
    queue_ms: float  # from arrival in the batch queue to the start of the image's batch
    model_ms: float  # from the start of that batch to its results
    batch_size: int  # images in that batch, of all requests
    pixels: Pixels  # what the model was given
