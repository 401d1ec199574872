"""Counts of batches and answers: what a dashboard of this model shows."""

import numpy as np
import pytest

from digits.inference.batcher import BatchCount
from digits.inference.counters import BATCH_SIZES, CONFIDENCES, Counters
from digits.task import SIDE, ModelVersion, Prediction
from digits.vision.golden import golden_digits
from testkit.fakes import checksum_classifier, predictor_of

GOLDEN = golden_digits()[0][3]
VERSION = ModelVersion("digits", "1", "0" * 64)


def prediction(label: int, confidence: float = 0.91) -> Prediction:
    return Prediction(label, confidence, [], None, VERSION, 0, 0, 1, np.zeros((SIDE, SIDE), np.uint8))


def test_a_batch_counts_once_by_its_size() -> None:
    counters = Counters()
    counters.count_batch(BatchCount(images=3, queue_s=0.5, model_s=0.25))
    counters.count_batch(BatchCount(images=1, queue_s=0.25, model_s=0.5))
    assert {size: count for size, count in counters.batches.items() if count} == {1: 1, 4: 1}
    assert (counters.images, counters.model_s, counters.queue_s) == (4, 0.75, 0.75)


def test_an_answer_counts_by_its_label() -> None:
    counters = Counters()
    counters.count_predictions([prediction(3), prediction(3), prediction(7)])
    assert {label: count for label, count in counters.labels.items() if count} == {3: 2, 7: 1}


@pytest.mark.parametrize(
    ("confidence", "bound"), [(0.2, 0.5), (0.5, 0.5), (0.51, 0.9), (0.95, 0.99), (1.0, 1.0), (1.0000001, 1.0)]
)
def test_a_confidence_counts_at_the_bound_above_it(confidence: float, bound: float) -> None:
    counters = Counters()
    counters.count_predictions([prediction(1, confidence)])
    assert counters.confidences == dict.fromkeys(CONFIDENCES, 0) | {bound: 1}


@pytest.mark.parametrize("size", [1, 2, 3, 64, 65, 1024])
def test_every_size_has_a_bound(size: int) -> None:
    counters = Counters()
    counters.count_batch(BatchCount(size, 0, 0.1))
    assert counters.batches[min(bound for bound in BATCH_SIZES if bound >= size)] == 1


async def test_a_predictor_counts_what_it_answers() -> None:
    predictor = predictor_of(checksum_classifier())
    await predictor.predict([GOLDEN] * 2)
    assert predictor.live.counters.labels[int(GOLDEN.sum(dtype=int)) % 10] == 2
    assert predictor.live.counters.confidences[0.99] == 2
