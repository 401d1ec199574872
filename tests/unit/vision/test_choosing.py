"""The verdict on a picture follows from what the model says about its candidates."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from digits.task import CLASSES
from digits.vision import rows
from digits.vision.candidates import EXACT, Candidate, Candidates
from digits.vision.choosing import features, judge, judge_scores, likeness_features
from digits.vision.components import Others
from digits.vision.fitted import fitted

PIXELS = np.zeros((28, 28), np.uint8)
Box = tuple[float, float, float, float]
WHOLE: Box = (0.1, 0.1, 0.9, 0.9)

THRESHOLD = 0.125  # exact in float32, as the model's scores are


def candidate(box: Box = WHOLE, ground: str = "plain", rank: int = 0, share: float = 1.0) -> Candidate:
    return Candidate(PIXELS, ground, box, share, rank, 200.0)


def says(*digits: tuple[int, float]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Probabilities and is_digit of a model that takes each candidate for a digit with some certainty."""
    probabilities = np.full((len(digits), CLASSES), 0.001, np.float32)
    for row, (digit, _) in enumerate(digits):
        probabilities[row, digit] = 0.99
    return probabilities, np.array([certainty for _, certainty in digits], np.float32)


# The number 3 7 1: the whole of it, then each digit.
NUMBER = [
    candidate((0.1, 0.2, 0.9, 0.8)),
    candidate((0.4, 0.2, 0.6, 0.8), rank=2, share=0.3),
    candidate((0.1, 0.2, 0.3, 0.8), rank=1, share=0.4),
    candidate((0.7, 0.2, 0.9, 0.8), rank=3, share=0.3),
]


def test_a_picture_without_candidates_is_blank() -> None:
    verdict = judge([], np.zeros((0, CLASSES), np.float32), np.zeros(0, np.float32), THRESHOLD)
    assert (verdict.kind, verdict.best) == ("blank", None)


def test_every_fact_has_weights() -> None:
    probabilities, is_digit = says(*[(3, 0.5)] * 4)
    facts = features(NUMBER, probabilities, is_digit)
    rows_of_facts = {
        "choice": facts,
        "likeness": likeness_features(facts, 0)[None],
        "row": rows.row_features(NUMBER, is_digit, (2, 1, 3))[None],
    }
    assert set(fitted()) == set(rows_of_facts)
    for name, score in fitted().items():
        count = rows_of_facts[name].shape[1]
        assert (score.centre.shape, score.scale.shape) == ((count,), (count,))
        assert score.weights.shape == (count + 1, count + 1)
        assert np.isfinite(score(rows_of_facts[name])).all()


@pytest.mark.parametrize("name", ["choice", "likeness"])
def test_more_certainty_never_makes_it_worse(name: str) -> None:
    """The first two facts are the model's certainty: of a digit at all, and of which one."""
    weights = fitted()[name].weights
    assert (weights[0, 1:3] > 0).all()
    assert not weights[1:3].any()
    assert not weights[1:, 1:3].any()


def test_the_candidate_that_looks_like_a_digit_is_chosen() -> None:
    items = [candidate(), candidate((0.3, 0.3, 0.6, 0.7), rank=1, share=0.5)]
    assert judge(items, *says((3, 0.02), (7, 0.999)), THRESHOLD).best == 1
    assert judge(items, *says((3, 0.999), (7, 0.02)), THRESHOLD).best == 0


def test_the_simpler_candidate_wins_among_equals() -> None:
    items = [candidate(ground="light", rank=3), candidate()]
    assert judge(items, *says((3, 0.9), (7, 0.9)), THRESHOLD).best == 1


@pytest.mark.parametrize(("is_digit", "kind"), [(0.01, "not_a_digit"), (THRESHOLD, "digit")])
def test_a_picture_is_refused_below_the_threshold(is_digit: float, kind: str) -> None:
    verdict = judge([candidate(ground=EXACT)], *says((3, is_digit)), THRESHOLD)
    assert (verdict.kind, verdict.best) == (kind, 0)


def test_a_number_is_told_with_its_digits_from_left_to_right() -> None:
    verdict = judge(NUMBER, *says((8, 0.001), (7, 0.98), (3, 0.97), (1, 0.98)), THRESHOLD)
    assert verdict.kind == "several_digits"
    assert verdict.row == (2, 1, 3)


def test_a_digit_in_several_pieces_is_one_digit() -> None:
    """Its pieces are likely digits too, but less than the whole."""
    assert judge(NUMBER, *says((4, 0.9999), (7, 0.2), (1, 0.3), (1, 0.2)), THRESHOLD).kind == "digit"


def test_a_model_without_is_digit_refuses_nothing() -> None:
    scores = np.full((1, CLASSES), 0.1, np.float32)
    scores[0, 4] = 0.11
    verdict = judge_scores(Candidates([candidate()]), scores, reject_below=0.9)
    assert (verdict.kind, verdict.best) == ("digit", 0)


def test_a_model_with_is_digit_refuses_by_it() -> None:
    probabilities, is_digit = says((4, 0.5))
    scores = np.concatenate([probabilities, is_digit[:, None]], axis=1)
    assert judge_scores(Candidates([candidate(ground=EXACT)]), scores, reject_below=0.6).kind == "not_a_digit"
    assert judge_scores(Candidates([candidate(ground=EXACT)]), scores, reject_below=0.4).kind == "digit"


def test_ink_beside_the_candidate_makes_it_less_like_one_digit() -> None:
    """The stem of a K, drawn apart, looks like a 1 by itself."""
    alone = judge([candidate()], *says((1, 0.9)), THRESHOLD)
    stem = [candidate((0.1, 0.1, 0.2, 0.9), share=0.4, rank=1), candidate()]
    beside = judge(stem, *says((1, 0.9), (4, 0.001)), THRESHOLD)
    assert beside.is_digit < alone.is_digit - 0.1


@pytest.mark.parametrize(
    "others",
    [Others(inside=0.3), Others(beside=1.0)],
    ids=["eyes of a face", "bars of an E"],
)
def test_ink_left_out_makes_it_less_like_one_digit(others: Others) -> None:
    left_out = judge([replace(candidate(), others=others)], *says((0, 0.9)), THRESHOLD)
    assert left_out.is_digit < judge([candidate()], *says((0, 0.9)), THRESHOLD).is_digit - 0.1


def test_a_frame_around_it_leaves_it_one_digit() -> None:
    framed = replace(candidate(), others=Others(around=True))
    assert judge([framed], *says((0, 0.9)), THRESHOLD).kind == "digit"


def test_of_an_image_like_mnists_the_model_alone_decides() -> None:
    verdict = judge([candidate(ground=EXACT)], *says((3, 0.625)), THRESHOLD)
    assert verdict.is_digit == 0.625
