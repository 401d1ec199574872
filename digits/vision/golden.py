"""Ten clear digits of MNIST's test set, one of each: a model that misreads one of them is broken."""

from importlib.resources import files

import numpy as np
from numpy.typing import NDArray


def golden_digits() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(10, 28, 28) pixels and their labels, 0 to 9."""
    with (
        files("digits.vision").joinpath("golden.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as arrays,
    ):
        return arrays["images"], arrays["labels"]
