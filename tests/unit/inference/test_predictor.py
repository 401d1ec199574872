"""One way from images to predictions, and its observers."""

import asyncio
import logging
from collections.abc import Sequence

import numpy as np
import pytest

from digits.errors import NotReady
from digits.inference.predictor import Predictor
from digits.task import Prediction
from testkit.fakes import checksum_classifier, predictor_of

IMAGES = np.arange(3 * 784, dtype=np.uint8).reshape(3, 28, 28)
LABELS = [int(image.sum(dtype=int)) % 10 for image in IMAGES]


async def test_predictions_come_in_order_with_their_model() -> None:
    predictions = await predictor_of(checksum_classifier()).predict(IMAGES)
    assert [prediction.label for prediction in predictions] == LABELS
    assert {prediction.model.name for prediction in predictions} == {"checksum"}
    for prediction in predictions:
        assert prediction.confidence == max(prediction.probabilities) == 0.91


async def test_times_say_how_long_an_image_waited_and_ran() -> None:
    """The second of two requests waits while a batch of one image runs."""
    predictor = predictor_of(checksum_classifier(max_batch_size=1))
    answers = await asyncio.gather(*(predictor.predict(IMAGES[:1]) for _ in range(2)))
    first, second = (predictions[0] for predictions in answers)
    assert second.queue_ms >= first.queue_ms + first.model_ms * 0.5 > 0


async def test_observers_see_every_prediction() -> None:
    seen: list[Prediction] = []
    predictor = Predictor(
        predictor_of(checksum_classifier()).live, [seen.extend], logging.getLogger("digits")
    )
    predictions = await predictor.predict(IMAGES)
    assert seen == predictions


async def test_an_observer_that_fails_costs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the observers after it are called."""
    seen: list[Prediction] = []

    def fails(_: Sequence[Prediction]) -> None:
        raise RuntimeError("the log is full")

    live = predictor_of(checksum_classifier()).live
    predictor = Predictor(live, [fails, seen.extend], logging.getLogger("digits"))
    assert len(await predictor.predict(IMAGES)) == len(seen) == 3
    assert "an observer of predictions failed" in caplog.text


async def test_without_a_model_it_is_not_ready() -> None:
    with pytest.raises(NotReady):
        await predictor_of(None).predict(IMAGES)
