"""Pictures -> predictions in this process, without queue and limits: for files instead of requests."""

from collections.abc import Iterator, Sequence

import numpy as np

from digits.errors import BadInput
from digits.inference.batcher import Answer
from digits.inference.classifier import DECIMALS
from digits.inference.items import read_item
from digits.inference.source import ModelSource
from digits.inference.verdicts import choose_all
from digits.models.runtime import DigitModel
from digits.task import Prediction
from digits.vision.candidates import Candidates
from digits.vision.limits import MAX_PIXELS


class OfflineModel:
    """A model that blocks and uses one thread: create one in each process."""

    def __init__(self, source: ModelSource, max_batch_size: int, must_read_golden: bool = True) -> None:
        """Loads and checks the model.  Raises ModelRejected, NotRegistered or TrackingUnavailable."""
        self.version = source.resolve()
        self._max_batch_size = max_batch_size
        self._model = DigitModel.load(
            source.fetch(self.version),
            sha256=self.version.sha256, threads=1, max_batch_size=max_batch_size,
        )  # fmt: skip
        if must_read_golden:
            self._model.check_golden_digits()

    def predict(self, files: Sequence[bytes]) -> list[Prediction | BadInput]:
        """Returns for each image file its prediction or the error that the service would give."""
        read = [read_item(file, MAX_PIXELS) for file in files]
        images = [found.pixels for found in read if isinstance(found, Candidates) and found.items]
        answer = None
        if images:
            rows = [self._model.predict(batch) for batch in self._batches(np.concatenate(images))]
            scores = np.concatenate(rows).astype(np.float64).round(DECIMALS)
            answer = Answer(scores, 0.0, 0.0, len(scores))
        return choose_all(files, read, answer, self.version, self._model.reject_below)

    def _batches(self, images: np.ndarray) -> Iterator[np.ndarray]:
        for start in range(0, len(images), self._max_batch_size):
            yield images[start : start + self._max_batch_size]
