"""Figures of predictions whose correct value is known."""

import numpy as np
import pytest

from digits.errors import DataUnavailable, ModelRejected
from digits.task import CLASSES
from digits.training.evaluation import Predict, evaluate, expected_calibration_error
from digits.vision.golden import golden_digits

IMAGES, LABELS = golden_digits()


def predictor(wrong: dict[int, int]) -> Predict:
    """Returns a model for golden digits: confidence 0.8, correct except for `wrong`; 0 for other images."""
    known = {
        image.tobytes(): wrong.get(int(label), int(label))
        for image, label in zip(IMAGES, LABELS, strict=True)
    }

    def predict(images: np.ndarray) -> np.ndarray:
        probabilities = np.full((len(images), CLASSES), 0.2 / (CLASSES - 1), np.float32)
        for row, image in zip(probabilities, images, strict=True):
            row[known.get(image.tobytes(), 0)] = 0.8
        return probabilities

    return predict


def test_mistakes_are_counted_by_label() -> None:
    """Confusion, recall, precision and the list of mistakes of two wrong predictions."""
    result = evaluate(predictor({7: 1, 4: 9}), IMAGES, LABELS)
    assert result.accuracy == pytest.approx(0.8)
    assert result.confusion[7, 1] == result.confusion[4, 9] == 1
    assert (result.recall[7], result.recall[3], result.precision[1]) == (0, 1, 0.5)
    assert sorted(LABELS[result.worst]) == [4, 7]


def test_an_inverted_image_is_preprocessed_to_the_original() -> None:
    """The slice of inverted images is preprocessed as in a request."""
    assert evaluate(predictor({}), IMAGES, LABELS).slices["inverted"] == 1


def test_distorted_slices_hold_other_images() -> None:
    """The model knows golden digits byte for byte, so a distorted one is predicted as 0."""
    slices = evaluate(predictor({}), IMAGES, LABELS).slices
    assert (slices["rotated"], slices["noisy"]) == (0.1, 0.1)  # only the zero is correct, by chance


def test_calibration_error_is_confidence_minus_accuracy() -> None:
    """Confidence 0.7 and accuracy 0.4 make an error of 0.3."""
    probabilities = np.tile(np.array([0.7] + [0.3 / 9] * 9, np.float32), (10, 1))
    labels = np.array([0] * 4 + [1] * 6, np.uint8)
    assert expected_calibration_error(probabilities, labels) == pytest.approx(0.3, abs=1e-6)


def test_metrics_are_flat_and_have_mlflow_names() -> None:
    """MLflow takes one number for each name."""
    metrics = evaluate(predictor({}), IMAGES, LABELS).metrics()
    assert {"test_accuracy", "test_ece", "test_accuracy_rotated", "test_recall_9"} <= set(metrics)
    assert all(isinstance(value, float) for value in metrics.values())


def test_answers_that_are_no_numbers_are_the_models_fault() -> None:
    """A damaged weight gives NaN, which no metric can count."""
    with pytest.raises(ModelRejected, match="NaN or infinity"):
        evaluate(lambda images: np.full((len(images), CLASSES), np.nan), IMAGES, LABELS)


def test_images_without_ink_cannot_test_a_model() -> None:
    """Keras would be given no image at all, and end with a traceback after the whole training."""
    blank = np.zeros((20, *IMAGES.shape[1:]), np.uint8)
    with pytest.raises(DataUnavailable, match="none of the first 20 test images shows anything"):
        evaluate(predictor({}), blank, LABELS.repeat(2))
    some = np.concatenate([blank[:1], IMAGES])
    result = evaluate(predictor({}), some, np.concatenate([LABELS[1:2], LABELS]))
    assert result.slices["inverted"] == pytest.approx(10 / 11)
