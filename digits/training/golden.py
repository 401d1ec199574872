"""The golden images of a task: for each label the test image that is most like the others of that label."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digits.errors import DataUnavailable
from digits.task import CLASSES, LABELS, Images
from digits.training.data import Dataset
from digits.vision import golden


def choose_golden(dataset: Dataset) -> tuple[Images, NDArray[np.uint8]]:
    """Returns an image of each label, (CLASSES, *SHAPE), and their positions in LABELS.

    Raises DataUnavailable if a label has no test image.
    """
    labels = np.arange(CLASSES, dtype=np.uint8)
    chosen = [_typical(dataset, label) for label in labels]
    return dataset.test_images[chosen], labels


def write_golden(images: Images, labels: NDArray[np.uint8]) -> Path:
    """Replaces the golden images; returns their file, which is part of the program."""
    partial = golden.FILE.with_suffix(".partial.npz")
    np.savez_compressed(partial, images=images, labels=labels)
    return partial.replace(golden.FILE)


def _typical(dataset: Dataset, label: np.uint8) -> int:
    """Returns the test image that correlates most with the mean of its label, whatever its contrast."""
    places = np.flatnonzero(dataset.test_labels == label)
    if not len(places):
        raise DataUnavailable(
            f"no test image of {dataset.name} shows {LABELS[label]}; each label needs one: add some"
        )
    levels = dataset.test_images[places].reshape(len(places), -1).astype(np.float32)
    levels -= levels.mean(axis=1, keepdims=True)
    levels /= np.maximum(np.linalg.norm(levels, axis=1, keepdims=True), 1)
    return int(places[(levels @ levels.mean(axis=0)).argmax()])
