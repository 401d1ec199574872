"""The threshold of `is_digit`, and how well it separates digits from other images."""

from collections.abc import Iterable

import numpy as np
import pytest

from digits.corpus.examples import Example
from digits.corpus.handwriting import writings
from digits.models.manifest import REJECT_BELOW
from digits.task import Images, Scores
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
    of_hands = lowest_kept(np.array(likenesses[1:]), rejection.MOST_REJECTED_OF_HANDS)
    assert likenesses[1] < of_hands
    assert threshold == pytest.approx(min(of_mnist, of_hands))


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


def never_asked(images: Images) -> Scores:
    raise AssertionError


def test_figures_are_those_of_their_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is sure of digits and symbols, and doubts letters, which are those unlike digits."""
    some = {name: group[::50] for name, group in writings()["judge"].items()}
    unlike = [letter for letter in some["letters"] if not letter.is_like_a_digit]
    sizes: list[int] = []
    likenesses = iter((0.9, 0.2, 0.9))

    def judged(predict: object, examples: Iterable[Example], reject_below: float) -> Judged:
        sizes.append(len(list(examples)))
        is_digit = np.full(sizes[-1], next(likenesses))
        return Judged(is_digit >= reject_below, is_digit)

    monkeypatch.setattr(rejection, "writings", lambda: {"judge": some})
    monkeypatch.setattr(rejection, "judge_pictures", judged)
    assert rejection_metrics(never_asked, np.array([0.01, 0.99, 0.99, 0.99]), 0.5) == {
        REJECT_BELOW: 0.5,
        "test_accuracy_hands": 1,
        "test_auroc_letters": 1,
        "test_auroc_symbols": 0.5,
        "test_refused": 0.25,
        "test_refused_hands": 0,
        "test_refused_letters": 1,
        "test_refused_symbols": 0,
    }
    assert sizes == [len(some["digits"]), len(unlike), len(some["symbols"])]
    assert 0 < len(unlike) < len(some["letters"])
