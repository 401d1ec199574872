"""A model's accuracy on test images: overall, per label, on distorted images, and its calibration."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from digits.errors import DataUnavailable, InvalidTask, ModelRejected
from digits.models.manifest import TEST_IMAGES, TEST_IMAGES_OF_RAREST
from digits.task import CLASSES, LABELS, SLICES, Images, Scores
from digits.vision.candidates import Candidates
from digits.vision.choosing import judge_scores
from digits.vision.reader import read_levels

Predict = Callable[[Images], Scores]

CALIBRATION_BINS = 15  # Guo et al., On Calibration of Modern Neural Networks, 2017, section 4
WORST = 30  # mistakes to show
SLICE_SIZE = 2000  # images in each slice: a standard error of at most 0.5 % for accuracies above 95 %


@dataclass(frozen=True, slots=True)
class Evaluation:
    accuracy: float
    ece: float  # expected calibration error, 0 to 1
    precision: NDArray[np.float64]  # (CLASSES,)
    recall: NDArray[np.float64]  # (CLASSES,)
    confusion: NDArray[np.int64]  # (CLASSES, CLASSES), row = label, column = prediction
    slices: dict[str, float]  # accuracy on images distorted in one way, then preprocessed as in a request
    worst: NDArray[np.int64]  # indices of the mistakes, the most confident one first
    probabilities: Scores  # (n, CLASSES)
    is_digit: Scores | None  # (n,); None: the model has no such output

    def metrics(self) -> dict[str, float]:
        """Returns all metrics under flat names, for MLflow."""
        classes = {
            f"test_{name}_{label}": float(value)
            for name, values in (("precision", self.precision), ("recall", self.recall))
            for label, value in zip(LABELS, values, strict=True)
        }
        slices = {f"test_accuracy_{name}": value for name, value in self.slices.items()}
        of_label = self.confusion.sum(axis=1)
        counts = {TEST_IMAGES: float(of_label.sum()), TEST_IMAGES_OF_RAREST: float(of_label.min())}
        return {"test_accuracy": self.accuracy, "test_ece": self.ece} | counts | slices | classes


def evaluate(predict: Predict, images: Images, labels: NDArray[np.uint8]) -> Evaluation:
    """Returns the metrics of a model; `labels` are positions in `task.LABELS`.

    Raises ModelRejected for answers that are no numbers, and what `check_test_images` raises.
    """
    check_test_images(images)
    scores = predict(images)
    if not np.isfinite(scores).all():
        raise ModelRejected(
            "the model answers some test images with NaN or infinity instead of probabilities"
        )
    probabilities = scores[:, :CLASSES]
    predicted = probabilities.argmax(axis=1)
    confusion = np.zeros((CLASSES, CLASSES), np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    wrong = np.flatnonzero(predicted != labels)
    few, their_labels = images[:SLICE_SIZE], labels[:SLICE_SIZE]
    return Evaluation(
        accuracy=float((predicted == labels).mean()),
        ece=expected_calibration_error(probabilities, labels),
        precision=np.diag(confusion) / np.maximum(confusion.sum(axis=0), 1),
        recall=np.diag(confusion) / np.maximum(confusion.sum(axis=1), 1),
        confusion=confusion,
        slices={
            name: float(
                (_as_requested(predict, DISTORTIONS[name](few)).argmax(axis=1) == their_labels).mean()
            )
            for name in SLICES
        },
        worst=wrong[np.argsort(-probabilities[wrong].max(axis=1))][:WORST],
        probabilities=probabilities,
        is_digit=scores[:, CLASSES] if scores.shape[1] > CLASSES else None,
    )


def check_test_images(images: Images) -> None:
    """Raises DataUnavailable if the reader finds something in none of the images of the slices."""
    few = images[:SLICE_SIZE]
    if not any(read_levels(image).items for image in few):
        raise DataUnavailable(
            f"none of the first {len(few)} test images shows anything to read: each is of one level, or has "
            "too little contrast; give test images that show what their labels say"
        )


def calibration(probabilities: Scores, labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Returns (3, bins) for equal bins of confidence: images, sum of confidences, correct ones."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    of_each = np.stack([np.ones(len(labels)), confidence, right])
    return np.stack([np.bincount(bins, row, CALIBRATION_BINS) for row in of_each]).astype(np.float64)


def expected_calibration_error(probabilities: Scores, labels: NDArray[np.uint8]) -> float:
    """Returns the mean gap between confidence and accuracy over equal bins, weighted by images."""
    counts, confidences, right = calibration(probabilities, labels)
    return float(np.abs(confidences - right).sum() / counts.sum())


def _rotated(images: Images) -> Images:
    """Returns images rotated by 15 degrees, alternately to the left and to the right."""
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
    """Returns images shifted by two pixels to the right and one down; what leaves the image is lost."""
    moved = np.zeros_like(images)
    moved[:, 1:, 2:] = images[:, :-1, :-2]
    return moved


def _inverted(images: Images) -> Images:
    return 255 - images


def scores_of_each(predict: Predict, found: Sequence[Candidates]) -> list[Scores]:
    """Returns the scores of each picture's candidates, from one call of the model."""
    scores = predict(np.concatenate([candidates.pixels for candidates in found]))
    return np.split(scores, list(accumulate(len(candidates.items) for candidates in found))[:-1])


def _as_requested(predict: Predict, images: Images) -> NDArray[np.float32]:
    """Returns (n, CLASSES) probabilities of images that are read as in a request; zeros for a blank one."""
    found = [read_levels(image) for image in images]
    rows = np.zeros((len(images), CLASSES), np.float32)
    for row, candidates, scores in zip(rows, found, scores_of_each(predict, found), strict=True):
        verdict = judge_scores(candidates, scores, reject_below=0)
        if verdict.best is not None:
            row[:] = scores[verdict.best, :CLASSES]
    return rows


DISTORTIONS: dict[str, Callable[[Images], Images]] = {
    "rotated": _rotated,
    "noisy": _noisy,
    "inverted": _inverted,
    "shifted": _shifted,
}
if unknown := set(SLICES) - DISTORTIONS.keys():
    raise InvalidTask(f"digits/task.py: SLICES has {sorted(unknown)}; known are {', '.join(DISTORTIONS)}")
