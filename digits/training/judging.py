"""Tests another model on a dataset's test images, to compare models that were tested on different data."""

from pathlib import Path

import numpy as np

from digits.models.runtime import DigitModel
from digits.registry.promotion import Judge
from digits.task import Images, Scores
from digits.training.data import TrainingData
from digits.training.evaluation import Predict, evaluate

BATCH_SIZE = 500  # images in one call of the model: some 100 MB


def judge_on(dataset: TrainingData) -> Judge:
    """Returns a function that measures a model on the test images, as its own training would."""

    def judge(folder: Path, sha256: str) -> dict[str, float]:
        return evaluate(predict_with(folder, sha256), dataset.test_images, dataset.test_labels).metrics()

    return judge


def predict_with(folder: Path, sha256: str) -> Predict:
    """Returns the prediction function of a model folder.  Raises ModelRejected."""
    model = DigitModel.load(folder, sha256=sha256, threads=1, max_batch_size=1)

    def predict(images: Images) -> Scores:
        starts = range(0, len(images), BATCH_SIZE)
        return np.concatenate([model.predict(images[start : start + BATCH_SIZE]) for start in starts])

    return predict
