"""One way from pictures to predictions: reading, choosing, refusing, observers."""

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from digits.corpus.examples import SEVERAL, sample
from digits.errors import BadInput, NoDigit, NotReady
from digits.inference import predictor as module
from digits.inference.items import Item
from digits.inference.predictor import Predictor
from digits.inference.reader import Reader
from digits.inference.settings import ServeSettings
from digits.inference.verdicts import choose_all
from digits.task import Images, Prediction, Scores
from digits.vision.golden import golden_digits
from testkit.encodings import image_file
from testkit.fakes import ChecksumModel, checksum_classifier, predictor_of
from testkit.models import load_classifier

LOG = logging.getLogger("digits")
IMAGES = list(golden_digits()[0])[:3]
LABELS = [int(image.sum(dtype=int)) % 10 for image in IMAGES]


def predictions_of(items: Sequence[object]) -> list[Prediction]:
    made = [item for item in items if isinstance(item, Prediction)]
    assert len(made) == len(items)
    return made


async def test_predictions_come_in_order_with_their_model() -> None:
    answer = await predictor_of(checksum_classifier()).predict(IMAGES)
    predictions = predictions_of(answer.items)
    assert [prediction.position for prediction in predictions] == LABELS
    assert answer.model.name == "checksum"
    for prediction in predictions:
        assert prediction.confidence == max(prediction.probabilities) == 0.91


async def test_a_bad_picture_costs_its_neighbours_nothing() -> None:
    answer = await predictor_of(checksum_classifier()).predict(
        [image_file(IMAGES[0]), b"?", image_file(IMAGES[1])]
    )
    first, bad, second = answer.items
    assert isinstance(bad, BadInput)
    assert [prediction.position for prediction in predictions_of([first, second])] == LABELS[:2]


class Slow(ChecksumModel):
    """Takes 0.3 s for a batch."""

    def __init__(self) -> None:
        super().__init__(seconds=0.3)

    def predict(self, images: Images) -> Scores:
        time.sleep(0.3)
        return super().predict(images)


async def test_times_say_how_long_an_image_waited_and_ran() -> None:
    """The second of two requests waits while a batch of one image runs."""
    predictor = predictor_of(checksum_classifier(Slow(), max_batch_size=1))
    answers = await asyncio.gather(*(predictor.predict(IMAGES[:1]) for _ in range(2)))
    first, second = (predictions_of(answer.items)[0] for answer in answers)
    assert second.queue_ms > 100
    assert first.model_ms >= 300


async def test_observers_see_every_prediction() -> None:
    seen: list[Prediction] = []
    live = predictor_of(checksum_classifier()).live
    answer = await Predictor(live, Reader(1), [seen.extend], LOG).predict(IMAGES)
    assert seen == answer.items


async def test_an_observer_that_fails_costs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the observers after it are called."""
    seen: list[Prediction] = []

    def fails(_: Sequence[Prediction]) -> None:
        raise RuntimeError("the log is full")

    live = predictor_of(checksum_classifier()).live
    predictor = Predictor(live, Reader(1), [fails, seen.extend], LOG)
    assert len((await predictor.predict(IMAGES)).items) == len(seen) == 3
    assert "an observer of predictions failed" in caplog.text


async def test_without_a_model_it_is_not_ready() -> None:
    with pytest.raises(NotReady):
        await predictor_of(None).predict(IMAGES)


class Doubts(ChecksumModel):
    """Says of every image that it is hardly a digit; its training chose 0.1 as the threshold."""

    reject_below = 0.1

    def predict(self, images: Images) -> Scores:
        return np.column_stack((super().predict(images), np.full(len(images), 0.02, np.float32)))


@pytest.mark.parametrize(
    ("reject_below", "is_refused"), [(None, True), (0.1, True), (0.01, False), (0, False)]
)
async def test_a_picture_that_is_no_digit_is_refused_with_the_guess(
    reject_below: float | None, is_refused: bool
) -> None:
    predictor = predictor_of(checksum_classifier(Doubts(), reject_below=reject_below))
    (item,) = (await predictor.predict([image_file(IMAGES[0])])).items
    if is_refused:
        assert isinstance(item, NoDigit)
        assert item.code == "not_a_digit"
        assert item.guess.position == LABELS[0]
        assert item.guess.is_digit == pytest.approx(0.02)
        assert (item.guess.pixels == IMAGES[0]).all()
        assert (
            f"is_digit is 0.020, below the threshold of 0.1; the best guess is {LABELS[0]} (confidence 0.91)"
            in str(item)
        )
    else:
        assert isinstance(item, Prediction)
        assert item.is_digit == pytest.approx(0.02)


async def test_several_digits_have_a_guess_that_is_no_digit() -> None:
    """Each of them may look like one, so the guess's is_digit says that the picture does not."""
    (picture,) = sample("judge", 1, 1, (SEVERAL,))
    predictor = predictor_of(load_classifier(ServeSettings(model_uri="models/starter")))
    (item,) = (await predictor.predict([picture.data])).items
    assert isinstance(item, NoDigit)
    assert (item.code, item.guess.is_digit) == ("several_digits", 0.0)


async def test_many_candidates_are_chosen_from_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """256 pictures with eight candidates each stopped the event loop for 0.15 s."""
    chosen_by: list[threading.Thread] = []

    def choose(items: Sequence[Item], *rest: Any) -> list[Prediction | BadInput]:
        chosen_by.append(threading.current_thread())
        return choose_all(items, *rest)

    monkeypatch.setattr(module, "choose_all", choose)
    (picture,) = sample("judge", 1, 1, (SEVERAL,))
    predictor = predictor_of(checksum_classifier())
    for count in (1, 40):
        answer = await predictor.predict([picture.data] * count)
        assert len(answer.items) == count
    assert [thread is threading.main_thread() for thread in chosen_by] == [True, False]


async def test_grey_levels_are_never_refused_as_no_digit() -> None:
    """A program sent them: it gets `is_digit`, and decides."""
    predictor = predictor_of(checksum_classifier(Doubts(), reject_below=0.9))
    (item,) = (await predictor.predict([IMAGES[0]])).items
    assert isinstance(item, Prediction)
    assert item.position == LABELS[0]
    assert item.is_digit == pytest.approx(0.02)
