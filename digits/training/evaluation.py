"""How well a model reads digits: overall, by digit, how honest its confidence is, and under strain."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]  # (n, 28, 28)
Predict = Callable[[Images], NDArray[np.float32]]  # -> (n, 10) probabilities

CALIBRATION_BINS = 15  # Guo et al., On Calibration of Modern Neural Networks, 2017, section 4
WORST = 30
SLICE_SIZE = 2000  # images in each slice; its accuracy is then good to half a percent


@dataclass(frozen=True, slots=True)
class Evaluation:
    accuracy: float
    ece: float  # expected calibration error, 0 to 1
    precision: NDArray[np.float64]  # (10,)
    recall: NDArray[np.float64]  # (10,)
    confusion: NDArray[np.int64]  # (10, 10), row = label, column = what was read
    slices: dict[str, float]  # accuracy on images changed in one way, then preprocessed as in a request
    worst: NDArray[np.int64]  # indices of the mistakes, the most confident one first
    probabilities: NDArray[np.float32]  # (n, 10)

    def metrics(self) -> dict[str, float]:
        """Flat, under names that MLflow takes."""
        classes = {
            f"test_{name}_{digit}": float(values[digit])
            for name, values in (("precision", self.precision), ("recall", self.recall))
            for digit in range(10)
        }
        slices = {f"test_accuracy_{name}": value for name, value in self.slices.items()}
        return {"test_accuracy": self.accuracy, "test_ece": self.ece} | slices | classes


def evaluate(predict: Predict, images: Images, labels: NDArray[np.uint8]) -> Evaluation:
    probabilities = predict(images)
    read = probabilities.argmax(axis=1)
    confusion = np.zeros((10, 10), np.int64)
    np.add.at(confusion, (labels, read), 1)
    wrong = np.flatnonzero(read != labels)
    few, their_labels = images[:SLICE_SIZE], labels[:SLICE_SIZE]
    return Evaluation(
        accuracy=float((read == labels).mean()),
        ece=expected_calibration_error(probabilities, labels),
        precision=np.diag(confusion) / np.maximum(confusion.sum(axis=0), 1),
        recall=np.diag(confusion) / np.maximum(confusion.sum(axis=1), 1),
        confusion=confusion,
        slices={
            name: float((_as_requested(predict, changed(few)).argmax(axis=1) == their_labels).mean())
            for name, changed in SLICES.items()
        },
        worst=wrong[np.argsort(-probabilities[wrong].max(axis=1))][:WORST],
        probabilities=probabilities,
    )


def expected_calibration_error(probabilities: NDArray[np.float32], labels: NDArray[np.uint8]) -> float:
    """Mean distance between confidence and accuracy, over bins of equal width, weighted by their images."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    gaps = np.bincount(bins, confidence, CALIBRATION_BINS) - np.bincount(bins, right, CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / counts.sum())


def _rotated(images: Images) -> Images:
    """By 15 degrees, to the left and to the right in turn."""
    from scipy.ndimage import rotate

    sides = [
        rotate(images[side::2], angle, (1, 2), reshape=False, order=1) for side, angle in ((0, 15), (1, -15))
    ]
    turned = np.empty_like(images)
    turned[0::2], turned[1::2] = sides
    return turned


def _noisy(images: Images) -> Images:
    noise = np.random.default_rng(0).normal(0, 30, images.shape)
    return np.clip(images + noise, 0, 255).astype(np.uint8)


def _shifted(images: Images) -> Images:
    """By two pixels to the right and one down, what leaves the image being lost."""
    moved = np.zeros_like(images)
    moved[:, 1:, 2:] = images[:, :-1, :-2]
    return moved


def _inverted(images: Images) -> Images:
    return 255 - images


def _as_requested(predict: Predict, images: Images) -> NDArray[np.float32]:
    """(n, CLASSES) probabilities of images that are read as in a request; zeros for one that is blank."""
    found = [read_levels(image) for image in images]
    scores = predict(np.concatenate([candidates.pixels for candidates in found]))
    rows = np.zeros((len(images), CLASSES), np.float32)
    start = 0
    for row, candidates in zip(rows, found, strict=True):
        own = scores[start : start + len(candidates.items)]
        start += len(own)
        verdict = judge_scores(candidates, own, reject_below=0)
        if verdict.best is not None:
            row[:] = own[verdict.best, :CLASSES]
    return rows


SLICES: dict[str, Callable[[Images], Images]] = {
    "rotated": _rotated,
    "noisy": _noisy,
    "inverted": _inverted,
    "shifted": _shifted,
}
