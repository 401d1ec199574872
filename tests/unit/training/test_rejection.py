"""The threshold of `is_digit`, and how well it tells digits from what is none."""

from collections.abc import Iterable

import numpy as np
import pytest

from digits.corpus.examples import Example
from digits.corpus.handwriting import writings
from digits.models.manifest import REJECT_BELOW
from digits.task import CLASSES, Images, Scores
from digits.training import rejection
from digits.training.pictures import Judged
from digits.training.rejection import auroc, choose_threshold, lowest_kept, rejection_metrics


def test_a_threshold_refuses_the_share_it_may() -> None:
    is_digit = np.linspace(0.2, 1, 101)
    assert (is_digit < lowest_kept(is_digit, 0.01)).sum() == 1
    assert (is_digit < lowest_kept(is_digit, 0.0)).sum() == 0


@pytest.mark.parametrize("of_mnist", [0.001, 0.9])
def test_the_stricter_of_two_sets_chooses_the_threshold(
    monkeypatch: pytest.MonkeyPatch, of_mnist: float
) -> None:
    """Misread pictures have no say: a digit that is read wrong may as well be refused."""
    monkeypatch.setattr(rejection, "PER_KIND", 2)
    likenesses: list[float] = []

    def judged(predict: object, examples: Iterable[Example], reject_below: float) -> Judged:
        likenesses.extend(np.linspace(0.5, 0.9, len(list(examples))))
        right = np.ones(len(likenesses), bool)
        right[0] = False
        return Judged(right, np.array(likenesses))

    monkeypatch.setattr(rejection, "judge_pictures", judged)
    threshold = choose_threshold(lambda images: np.zeros((len(images), 11)), np.full(10, of_mnist))
    assert threshold == pytest.approx(min(of_mnist, likenesses[2]))


@pytest.mark.parametrize(
    ("digits", "others", "expected"),
    [
        ([0.9, 0.8], [0.1, 0.2, 0.3], 1.0),
        ([0.1], [0.9], 0.0),
        ([0.5, 0.5], [0.5], 0.5),  # a tie counts half
        ([0.9, 0.2], [0.1, 0.3], 0.75),
    ],
)
def test_auroc_is_the_share_of_pairs_in_order(
    digits: list[float], others: list[float], expected: float
) -> None:
    assert auroc(np.array(digits), np.array(others)) == pytest.approx(expected)


def test_figures_of_a_model_that_doubts_every_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """All get the same is_digit, so it tells nothing; below the threshold, all are refused."""
    some = {name: group[::50] for name, group in writings()["judge"].items()}
    monkeypatch.setattr(rejection, "writings", lambda: {"judge": some})

    def predict(images: Images) -> Scores:
        scores = np.full((len(images), CLASSES + 1), 0.1, np.float32)
        scores[:, CLASSES] = 0.0
        return scores

    assert rejection_metrics(predict, np.array([0.01, 0.99, 0.99, 0.99]), 0.9) == {
        REJECT_BELOW: 0.9,
        "test_accuracy_hands": 0,
        "test_auroc_letters": pytest.approx(0.5, abs=0.5),
        "test_auroc_symbols": pytest.approx(0.5, abs=0.5),
        "test_refused": 0.25,
        "test_refused_hands": 1,
        "test_refused_letters": 1,
        "test_refused_symbols": 1,
    }
