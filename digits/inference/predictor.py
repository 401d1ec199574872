"""The one way from images to predictions: the live model answers, observers are told."""

import logging
from collections.abc import Callable, Sequence

from digits.inference.batcher import IsAbandoned
from digits.inference.live_model import LiveModel
from digits.task import LABELS, Images, Prediction

Observer = Callable[[Sequence[Prediction]], None]


class Predictor:
    """Observers are called after each request with its predictions, on the event loop: they must be quick.

    An observer that raises is logged; the request is answered all the same.
    """

    def __init__(self, live: LiveModel, observers: Sequence[Observer], log: logging.Logger) -> None:
        self.live = live
        self._observers = observers
        self._log = log

    async def predict(self, images: Images, is_abandoned: IsAbandoned | None = None) -> list[Prediction]:
        """A prediction for each of (n, SIDE, SIDE) images, in their order, all by one model.

        Raises NotReady, and what `Batcher.submit` raises.
        """
        classifier = self.live.ready()
        answer = await classifier.classify(images, is_abandoned)
        version, queue_ms, model_ms = classifier.version, answer.queue_s * 1000, answer.model_s * 1000
        predictions = []
        for row in answer.probabilities.tolist():  # of a few numbers, plain floats are faster than numpy
            confidence = max(row)
            label = LABELS[row.index(confidence)]
            predictions.append(Prediction(label, confidence, row, version, queue_ms, model_ms))
        for observe in self._observers:
            try:
                observe(predictions)
            except Exception:
                self._log.exception("an observer of predictions failed")
        return predictions
