"""The one way from pictures to predictions: read them, let the live model judge, choose, tell observers."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from digits.errors import BadInput
from digits.inference.batcher import IsAbandoned
from digits.inference.costs import Item
from digits.inference.live_model import LiveModel
from digits.inference.reader import Reader
from digits.inference.verdicts import choose_all
from digits.task import ModelVersion, Prediction
from digits.vision.decoding import MAX_PIXELS

Observer = Callable[[Sequence[Prediction]], None]
# A request may hold this many pictures of MAX_PIXELS, or more of fewer pixels.
LARGE_PICTURES = 8


@dataclass(frozen=True, slots=True)
class Predictions:
    """A prediction for each picture in their order, or why there is none, all by one model."""

    items: list[Prediction | BadInput]
    model: ModelVersion


class Predictor:
    """Observers are called after each request with its predictions, on the event loop: they must be quick.

    An observer that raises is logged; the request is answered all the same.
    """

    def __init__(
        self, live: LiveModel, reader: Reader, observers: Sequence[Observer], log: logging.Logger
    ) -> None:
        self.live = live
        self.reader = reader
        self._observers = observers
        self._log = log

    async def predict(self, items: Sequence[Item], is_abandoned: IsAbandoned | None = None) -> Predictions:
        """Raises NotReady, Overloaded, DeadlineExceeded or Abandoned for the request as a whole.

        Its deadline is queue_timeout_s from now, for reading and for the model together.
        """
        classifier = self.live.ready()
        settings = classifier.settings
        deadline = asyncio.get_running_loop().time() + settings.queue_timeout_s
        read = await self.reader.read(
            items,
            max_pixels=min(MAX_PIXELS, LARGE_PICTURES * MAX_PIXELS // len(items)),
            max_work_s=settings.max_queued_work_s,
            deadline=deadline,
            is_abandoned=is_abandoned,
        )
        images = [found.pixels for found in read if not isinstance(found, BadInput) and found.items]
        answer = None
        if images:
            batch = images[0] if len(images) == 1 else np.concatenate(images)
            answer = await classifier.classify(batch, is_abandoned, deadline)
        predictions = choose_all(items, read, answer, classifier.version, classifier.reject_below)
        made = [prediction for prediction in predictions if isinstance(prediction, Prediction)]
        for observe in self._observers:
            try:
                observe(made)
            except Exception:
                self._log.exception("an observer of predictions failed")
        return Predictions(predictions, classifier.version)
