"""Metrics on answers whose right figure is known."""

import numpy as np
import pytest

from digits.training.evaluation import Predict, evaluate, expected_calibration_error
from digits.vision.golden import golden_digits

IMAGES, LABELS = golden_digits()


def reader(wrong: dict[int, int]) -> Predict:
    """Reads each golden digit right, with confidence 0.8, but for those in `wrong`; else says 0."""
    known = {
        image.tobytes(): wrong.get(int(label), int(label))
        for image, label in zip(IMAGES, LABELS, strict=True)
    }

    def predict(images: np.ndarray) -> np.ndarray:
        probabilities = np.full((len(images), 10), 0.2 / 9, np.float32)
        for row, image in zip(probabilities, images, strict=True):
            row[known.get(image.tobytes(), 0)] = 0.8
        return probabilities

    return predict


def test_counts_come_out_by_class() -> None:
    result = evaluate(reader({7: 1, 4: 9}), IMAGES, LABELS)
    assert result.accuracy == pytest.approx(0.8)
    assert result.confusion[7, 1] == result.confusion[4, 9] == 1
    assert (result.recall[7], result.recall[3], result.precision[1]) == (0, 1, 0.5)
    assert sorted(LABELS[result.worst]) == [4, 7]


def test_a_negative_is_read_as_the_image_it_is_of() -> None:
    assert evaluate(reader({}), IMAGES, LABELS).slices["inverted"] == 1


def test_images_under_strain_are_other_images() -> None:
    slices = evaluate(reader({}), IMAGES, LABELS).slices
    assert [slices[name] for name in ("rotated", "noisy")] == [0.1, 0.1]  # only the zero is right, by chance


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    probabilities = np.tile(np.array([0.7] + [0.3 / 9] * 9, np.float32), (10, 1))
    labels = np.array([0] * 4 + [1] * 6, np.uint8)
    assert expected_calibration_error(probabilities, labels) == pytest.approx(0.3, abs=1e-6)


def test_metrics_are_flat_and_named_for_mlflow() -> None:
    metrics = evaluate(reader({}), IMAGES, LABELS).metrics()
    assert {"test_accuracy", "test_ece", "test_accuracy_rotated", "test_recall_9"} <= set(metrics)
    assert all(isinstance(value, float) for value in metrics.values())
