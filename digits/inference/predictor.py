"""The one way from pictures to predictions: read them, let the live model judge, choose, tell observers."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from digits.errors import BadInput, NoDigit
from digits.inference.batcher import Answer, IsAbandoned
from digits.inference.classifier import Classifier
from digits.inference.costs import Item
from digits.inference.live_model import LiveModel
from digits.inference.reader import Read, Reader
from digits.task import CLASSES, LABELS, ModelVersion, Prediction, Scores
from digits.vision.choosing import Verdict, judge_scores
from digits.vision.decoding import MAX_PIXELS
from digits.vision.reading import Candidates

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
        predictions = _chosen(items, read, answer, classifier)
        made = [prediction for prediction in predictions if isinstance(prediction, Prediction)]
        for observe in self._observers:
            try:
                observe(made)
            except Exception:
                self._log.exception("an observer of predictions failed")
        return Predictions(predictions, classifier.version)


def _chosen(
    items: Sequence[Item],
    read: Sequence[Read],
    answer: Answer | None,
    classifier: Classifier,
) -> list[Prediction | BadInput]:
    """Chooses among the candidates of each picture, whose scores stand one after another in the answer."""
    chosen: list[Prediction | BadInput] = []
    start = 0
    for item, found in zip(items, read, strict=True):
        if isinstance(found, BadInput):
            chosen.append(found)
            continue
        if not found.items or answer is None:
            chosen.append(BadInput("image_blank", BLANK))
            continue
        scores = answer.scores[start : start + len(found.items)]
        start += len(found.items)
        # Levels that a program sends are never refused: it gets is_digit, and decides.
        reject_below = classifier.reject_below if isinstance(item, bytes) else 0.0
        chosen.append(_choose(found, scores, answer, classifier.version, reject_below))
    return chosen


BLANK = "No ink stands out from the paper; write darker, or crop the picture closer to the digit"


def _choose(
    found: Candidates, scores: Scores, answer: Answer, version: ModelVersion, reject_below: float
) -> Prediction | NoDigit:
    verdict = judge_scores(found, scores, reject_below)
    best = verdict.best or 0
    row = scores[best, :CLASSES].tolist()  # of a few numbers, plain floats are faster than numpy
    confidence = max(row)
    prediction = Prediction(
        LABELS[row.index(confidence)],
        confidence,
        row,
        verdict.is_digit if scores.shape[1] > CLASSES else None,
        version,
        answer.queue_s * 1000,
        answer.model_s * 1000,
        answer.batch_size,
        found.items[best].pixels,
    )
    if reject_below and prediction.is_digit is not None and verdict.kind != "digit":
        return _refusal(verdict, scores, prediction, reject_below)
    return prediction


def _refusal(verdict: Verdict, scores: Scores, guess: Prediction, reject_below: float) -> NoDigit:
    if verdict.kind == "several_digits":
        seen = " ".join(str(LABELS[int(scores[place, :CLASSES].argmax())]) for place in verdict.row)
        return NoDigit(
            "several_digits",
            f"The picture shows the digits {seen}; send a separate picture of each digit",
            guess._replace(is_digit=0.0),
        )
    return NoDigit(
        "not_a_digit",
        f"The picture does not look like one digit: is_digit is {guess.is_digit:.3f}, {reject_below:g} is "
        f"needed; the best guess is {guess.label} (confidence {guess.confidence:.2f}); crop the picture to "
        "one digit",
        guess,
    )
