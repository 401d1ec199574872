"""Counts of batches: what a dashboard of this model shows."""

import numpy as np
import pytest

from digits.inference.counters import BATCH_SIZES, CONFIDENCES, SECONDS, Tally
from testkit.fakes import ChecksumModel, checksum_classifier


def answers(*digits: int, confidence: float = 0.91) -> np.ndarray:
    probabilities = np.full((len(digits), 10), 0.0, np.float32)
    probabilities[np.arange(len(digits)), digits] = confidence
    return probabilities


def test_a_batch_counts_once_by_its_size_and_each_image_by_its_digit() -> None:
    tally = Tally()
    tally.add(0.25, answers(3, 3, 7))
    tally.add(0.5, answers(3))
    assert {size: count for size, count in tally.batches.items() if count} == {1: 1, 4: 1, SECONDS: 0.75}
    assert {digit: count for digit, count in tally.digits.items() if count} == {3: 3, 7: 1}


@pytest.mark.parametrize(
    ("confidence", "bound"), [(0.2, 0.5), (0.5, 0.5), (0.51, 0.9), (0.95, 0.99), (1.0, 1.0), (1.0000001, 1.0)]
)
def test_a_confidence_counts_at_the_bound_above_it(confidence: float, bound: float) -> None:
    tally = Tally()
    tally.add(0.1, answers(1, confidence=confidence).astype(float))
    assert tally.confidences == dict.fromkeys(CONFIDENCES, 0) | {bound: 1}


@pytest.mark.parametrize("size", [1, 2, 3, 64, 65, 1024])
def test_every_size_has_a_bound(size: int) -> None:
    tally = Tally()
    tally.add(0.1, answers(*[5] * size))
    assert tally.batches[min(bound for bound in BATCH_SIZES if bound >= size)] == 1


async def test_a_classifier_counts_what_it_answers() -> None:
    classifier = checksum_classifier()
    tally = Tally()
    classifier = type(classifier)(classifier.settings, ChecksumModel(), "checksum", "1", tally)  # type: ignore[arg-type]
    await classifier.classify(np.full((2, 28, 28), 1, np.uint8))
    assert tally.digits[4] == 2  # 784 ends in 4
    assert tally.confidences[0.99] == 2
    assert tally.waited_s > 0
    assert classifier.queued_images == 0
