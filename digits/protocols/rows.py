"""Predictions -> arrays with a row for each image, for protocols that have no error for one image of many."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digits.errors import BadInput, NoDigit
from digits.inference.predictor import Predictions
from digits.task import CLASSES

Floats = NDArray[np.float64]
NOTHING = [1 / CLASSES] * CLASSES  # the probabilities of a blank image, which no model has seen


@dataclass(frozen=True, slots=True)
class Rows:
    """The arrays. `is_digit` is None if the model has no such output."""

    probabilities: Floats  # (n, CLASSES)
    is_digit: Floats | None  # (n,), 0 to 1

    @property
    def labels(self) -> NDArray[np.int64]:
        """Returns the most probable labels, (n,)."""
        labels: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return labels


def rows_of(predictions: Predictions) -> Rows:
    """Returns a row for each image, even if it shows no digit: one picture must not fail the batch.

    Such an image has the model's best guess and a low is_digit. For several digits is_digit is 0; for a blank
    image it is 0 and the probabilities are equal. Raises BadInput for an unreadable image, with its position.
    """
    probabilities: list[list[float]] = []
    likeness: list[float | None] = []
    for place, item in enumerate(predictions.items):
        if isinstance(item, NoDigit):
            item = item.guess
        if not isinstance(item, BadInput):
            probabilities.append(item.probabilities)
            likeness.append(item.is_digit)
        elif item.code == "image_blank":
            probabilities.append(NOTHING)
            likeness.append(0.0)
        elif len(predictions.items) == 1:
            raise item
        else:
            raise BadInput(item.code, f"Image {place}, counted from 0: {item.detail}")
    is_said = all(value is not None for value in likeness)
    return Rows(np.array(probabilities), np.array(likeness) if is_said else None)
