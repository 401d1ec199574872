"""Digits side by side are a row if they are of one ink and of like size, and lines beside a digit are not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from digits.vision.candidates import Candidate
from digits.vision.rows import find_row, possible_rows

Box = tuple[float, float, float, float]

PIXELS = np.zeros((28, 28), np.uint8)
THREE: Box = (0.1, 0.2, 0.3, 0.8)
SEVEN: Box = (0.4, 0.2, 0.6, 0.8)


def candidate(box: Box, ground: str = "plain", contrast: float = 200.0, share: float = 0.5) -> Candidate:
    return Candidate(PIXELS, ground, box, share, 1, contrast)


def sure(count: int) -> NDArray[np.float32]:
    return np.full(count, 0.99, np.float32)


def test_two_digits_of_one_ink_are_a_row_from_left_to_right() -> None:
    assert find_row([candidate(SEVEN), candidate(THREE)], sure(2), 0.1) == (1, 0)


def test_a_candidate_that_is_no_digit_is_not_in_a_row() -> None:
    assert find_row([candidate(SEVEN), candidate(THREE)], np.array([0.99, 0.05], np.float32), 0.1) == ()


@pytest.mark.parametrize(
    "box",
    [(0.4, 0.7, 0.45, 0.8), (0.24, 0.2, 0.44, 0.8), (0.4, 0.85, 0.6, 0.99)],
    ids=["a speck", "overlapping", "below"],
)
def test_digits_of_a_row_are_of_like_size_and_apart(box: Box) -> None:
    assert not list(possible_rows([candidate(THREE), candidate(box)], sure(2), 0.1))


def test_digits_of_a_row_are_of_one_ink() -> None:
    """A shadow is fainter than the ink, and its edge looks like a 1."""
    assert not list(possible_rows([candidate(THREE), candidate(SEVEN, contrast=60)], sure(2), 0.1))


@pytest.mark.parametrize(
    "other",
    [
        candidate((0.5, 0.1, 0.51, 0.9), share=0.2),
        candidate((0.9, 0.05, 1.0, 1.0), share=0.2),
        candidate((0.6, 0.05, 0.64, 0.95), ground="dark", contrast=120, share=0.2),
    ],
    ids=["the line of a comb", "a corner of the scanner", "the edge of a note"],
)
def test_what_stands_beside_a_digit_makes_no_row(other: Candidate) -> None:
    items = [candidate((0.0, 0.05, 1.0, 1.0)), candidate(THREE, share=0.6), other]
    assert find_row(items, np.array([0.09, 0.99, 0.96], np.float32), 0.1) == ()


def test_a_row_is_built_around_each_of_the_likeliest_digits() -> None:
    """The likeliest one may be a line that no digit goes with."""
    line = candidate((0.02, 0.0, 0.03, 1.0), contrast=60)
    items = [line, candidate(THREE), candidate(SEVEN)]
    assert find_row(items, np.array([0.999, 0.99, 0.99], np.float32), 0.1) == (1, 2)


@pytest.mark.parametrize("ground", ["faded", "solid", "ink"])
def test_guessed_ink_is_in_no_row(ground: str) -> None:
    assert not list(possible_rows([candidate(THREE), candidate(SEVEN, ground)], sure(2), 0.1))
