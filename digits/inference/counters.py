"""Counts of batches, waits and answers: cheap enough for every request, exported once a second.

One observation of a Ray histogram takes several microseconds; a whole request takes two hundred.
"""

from bisect import bisect_left
from collections.abc import Sequence

from digits.inference.batcher import BatchCount
from digits.task import CLASSES, Prediction

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 1024)  # upper bounds; the last is the largest max_batch_size
CONFIDENCES = (0.5, 0.9, 0.99, 1.0)  # upper bounds
LAST = len(CONFIDENCES) - 1  # a sum of float32 may be slightly above 1


class Counters:
    """Totals since the replica started, for all models that have answered in it."""

    def __init__(self) -> None:
        # All keys exist from the start, because the dictionaries are copied while counting goes on.
        self.batches = dict.fromkeys(BATCH_SIZES, 0)
        self.labels = dict.fromkeys(range(CLASSES), 0)  # by position in task.LABELS
        self.confidences = dict.fromkeys(CONFIDENCES, 0)
        self.images = 0  # in the batches: every candidate of a picture, also of one that is rejected
        self.model_s = 0.0
        self.queue_s = 0.0  # summed over the images

    def count_batch(self, batch: BatchCount) -> None:
        """Counts a batch, also of health checks: they use the model too."""
        self.batches[BATCH_SIZES[bisect_left(BATCH_SIZES, batch.images)]] += 1
        self.images += batch.images
        self.model_s += batch.model_s
        self.queue_s += batch.queue_s

    def count_predictions(self, predictions: Sequence[Prediction]) -> None:
        """Counts answers, as an observer of the predictor; health checks are not counted."""
        for prediction in predictions:
            self.labels[prediction.position] += 1
            self.confidences[CONFIDENCES[min(bisect_left(CONFIDENCES, prediction.confidence), LAST)]] += 1
