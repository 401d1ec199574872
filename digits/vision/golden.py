"""A clear image of each label: a model that misreads one of them is broken.

The digits are from MNIST's test set; `python -m digits golden` chooses others.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digits.errors import DataUnavailable
from digits.task import CLASSES, SHAPE, Images

FILE = Path(__file__).with_name("golden.npz")


def golden_digits() -> tuple[Images, NDArray[np.uint8]]:
    """Returns (CLASSES, *SHAPE) pixels and their positions in LABELS.

    Raises DataUnavailable if they are another task's.
    """
    with FILE.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    if images.shape != (CLASSES, *SHAPE):
        raise DataUnavailable(
            f"the golden images are {images.shape}, and the task needs {(CLASSES, *SHAPE)}; choose others "
            "from its data: python -m digits golden --data FILE.npz"
        )
    return images, labels
