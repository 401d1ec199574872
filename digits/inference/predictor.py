"""The only way from pictures to predictions: read, run the live model, choose, notify observers."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from digits.errors import BadInput
from digits.inference.batcher import IsAbandoned
from digits.inference.items import Item
from digits.inference.live_model import LiveModel
from digits.inference.reader import Reader
from digits.inference.verdicts import choose_all
from digits.task import ModelVersion, Prediction
from digits.vision.limits import MAX_PIXELS

Observer = Callable[[Sequence[Prediction]], None]
# A request may contain this many pictures of MAX_PIXELS, or more pictures with fewer pixels.
LARGE_PICTURES = 8
# Choosing takes 0.07 ms for each candidate: 256 pictures with several would stop the event loop for 0.2 s.
CHOICES_ON_LOOP = 32


@dataclass(frozen=True, slots=True)
class Predictions:
    """For each picture in order its prediction or its error, all from one model."""

    items: list[Prediction | BadInput]
    model: ModelVersion


class Predictor:
    """Observers get the predictions after each request, on the event loop: they must be fast.

    If an observer raises, the error is logged and the request is still answered.
    """

    def __init__(
        self, live: LiveModel, reader: Reader, observers: Sequence[Observer], log: logging.Logger
    ) -> None:
        self.live = live
        self.reader = reader
        self._observers = observers
        self._log = log

    async def predict(self, items: Sequence[Item], is_abandoned: IsAbandoned | None = None) -> Predictions:
        """Returns the predictions. Raises NotReady, Overloaded, DeadlineExceeded or Abandoned.

        The deadline is queue_timeout_s from now, for reading and the model together.
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
        chosen = items, read, answer, classifier.version, classifier.reject_below
        if sum(map(len, images)) > len(items) + CHOICES_ON_LOOP:
            predictions = await asyncio.to_thread(choose_all, *chosen)
        else:
            predictions = choose_all(*chosen)
        made = [prediction for prediction in predictions if isinstance(prediction, Prediction)]
        for observe in self._observers:
            try:
                observe(made)
            except Exception:
                self._log.exception("an observer of predictions failed")
        return Predictions(predictions, classifier.version)
