"""Judges another model on a dataset's test images, to compare models that were tested on different data."""

from pathlib import Path

import numpy as np

from digits.models.runtime import DigitModel
from digits.registry.promotion import Judge
from digits.task import Images, Scores
from digits.training.data import Dataset
from digits.training.evaluation import evaluate

BATCH_SIZE = 500  # images in one call of the model: some 100 MB


def judge_on(dataset: Dataset) -> Judge:
    """Returns a function that gives a model's metrics on the test images, as its own training would."""

    def judge(folder: Path, sha256: str) -> dict[str, float]:
        model = DigitModel.load(folder, sha256=sha256, threads=1, max_batch_size=1)

        def predict(images: Images) -> Scores:
            starts = range(0, len(images), BATCH_SIZE)
            return np.concatenate([model.predict(images[start : start + BATCH_SIZE]) for start in starts])

        return evaluate(predict, dataset.test_images, dataset.test_labels).metrics()

    return judge
