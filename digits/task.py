"""The task, defined once: what an image shows, how it looks, and how a picture becomes an image.

For a model of your own change the first half of this module, the data, the golden images (vision/golden.npz,
chosen by `python -m digits golden`) and, if needed, the network (training/network.py):
docs/your-own-model.md.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from digits.errors import InvalidTask

NOUN = "digit"  # what an image shows: used in texts, and as the key of the label's position in answers
LABELS = tuple("0123456789")  # in the order of the model's outputs; at most 127
SIDE = 28  # width and height of the model's images, in pixels
CHANNELS: Literal[1, 3] = 1  # grey; or red, green and blue
# For each channel. The network computes with (level / 255 - MEAN) / STD, as torchvision's Normalize does.
MEAN, STD = (0.0,), (1.0,)
# How a picture becomes an image: "digit" finds the digit and converts it to MNIST's form, light on black;
# "resize" uses the whole picture.
READER: Literal["digit", "resize"] = "digit"
# Distortions of test images that the gate also compares: keys of training/evaluation.py's DISTORTIONS.
SLICES = ("rotated", "noisy", "inverted", "shifted")
DATA = "mnist"  # the default of train_ray.py's --data

# Everything below follows from the above.
CLASSES = len(LABELS)
SHAPE: tuple[int, ...] = (SIDE, SIDE) if CHANNELS == 1 else (SIDE, SIDE, CHANNELS)
LEVELS = math.prod(SHAPE)  # number of levels in one image, each 0 to 255
IS_DRAWN = READER == "digit" and tuple(LABELS) == tuple("0123456789")  # corpus/ draws digits for that reader
# The other keys of an answer.
KEYS = ("label", "confidence", "probabilities", "is_digit", "pixels", "model", "request_id", "timing")


def contradictions() -> Iterator[str]:
    """Yields what cannot be meant in the constants above, which people edit."""
    if not (isinstance(LABELS, tuple) and all(isinstance(label, str) and label for label in LABELS)):
        yield f'LABELS is {LABELS!r}; it must be a tuple of texts, such as ("cat", "dog")'
    elif not 2 <= len(LABELS) <= 127 or len(set(LABELS)) < len(LABELS):
        yield f"LABELS has {len(LABELS)} labels, {len(set(LABELS))} different; allowed are 2 to 127"
    if NOUN in KEYS:
        yield f"NOUN is {NOUN!r}, which names something else in an answer; choose another word"
    if not len(MEAN) == len(STD) == CHANNELS or min(STD) <= 0:
        yield f"MEAN is {MEAN}, STD {STD}; each needs a number for each of {CHANNELS} channels, STD above 0"
    if READER == "digit" and SHAPE != (28, 28):
        yield f'READER is "digit", which makes grey images of 28x28, not of {SHAPE}; use "resize"'
    if not isinstance(SLICES, tuple):
        yield f'SLICES is {SLICES!r}; it must be a tuple, such as ("noisy",)'


if wrong := "; ".join(contradictions()):
    raise InvalidTask(f"digits/task.py: {wrong}")

# Allowed numeric labels of data: the labels themselves if they are numbers, else their positions.
NUMBERS = tuple(map(int, LABELS)) if all(map(str.isdigit, LABELS)) else tuple(range(CLASSES))

Pixels = NDArray[np.uint8]  # SHAPE
Images = NDArray[np.uint8]  # (n, *SHAPE)
# (n, CLASSES) probabilities; (n, CLASSES + 1) from a model that also tells how much an image looks like one
# digit, 0 to 1, in the last column.
Scores = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A model's name and version, and the SHA-256 of its ONNX file."""

    name: str
    version: str
    sha256: str


class Prediction(NamedTuple):
    """The answer to one image."""

    position: int  # of the label in LABELS
    confidence: float  # the label's probability
    probabilities: list[float]  # in the order of LABELS
    is_digit: float | None  # how much it looks like one digit, 0 to 1; None: the model has no such output
    model: ModelVersion  # the model that answered
    queue_ms: float  # from arrival in the batch queue to the start of the image's batch
    model_ms: float  # from the start of that batch to its results
    batch_size: int  # images in that batch, of all requests
    pixels: Pixels  # the image that the model was given

    @property
    def label(self) -> str:
        return LABELS[self.position]
