"""The short path reads what is plain to see as the hypotheses do, and leaves the rest to them."""

import numpy as np
import pytest
from PIL import Image

from digits.task import Pixels
from digits.vision import reading
from digits.vision.obvious import find_obvious
from digits.vision.reading import WANTED, read_levels
from digits.vision.views import View
from tests.pictures import written
from tests.unit.vision.test_reading import KINDS, distance, grey


def is_obvious(levels: Pixels) -> bool:
    return find_obvious(View(levels.reshape(*levels.shape[:2], -1)), WANTED) is not None


DOUBTFUL = (
    "border of one black pixel", "border of five dark pixels", "black bars at the sides", "ruled paper",
    "white on a black square on white", "note on a desk", "turned scan with black corners",
)  # fmt: skip


@pytest.mark.parametrize("kind", ["plain", "light on dark", "orange on blue", "red on green"])
def test_a_digit_on_even_paper_is_obvious(kind: str) -> None:
    assert is_obvious(KINDS[kind]())


@pytest.mark.parametrize("kind", DOUBTFUL)
def test_a_picture_in_doubt_is_not_obvious(kind: str) -> None:
    assert not is_obvious(KINDS[kind]())


def test_several_digits_are_not_obvious() -> None:
    number = np.hstack([grey(cover=written(digit, 160, 14, 20)) for digit in (4, 2)])
    assert not is_obvious(number)
    assert not is_obvious(np.asarray(Image.fromarray(number).resize((28, 20), Image.Resampling.BOX)))


@pytest.mark.parametrize("side", [28, 40, 64, 100, 400])
@pytest.mark.parametrize("digit", range(10))
def test_both_paths_give_the_same_pixels(digit: int, side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    height = 0.6 * side
    levels = grey(235, 40, written(digit, height, height / 9, 0.15 * side))
    short = read_levels(levels).items[0].pixels
    monkeypatch.setattr(reading, "find_obvious", lambda *_: None)
    other = read_levels(levels).items[0].pixels
    assert distance(short, other) < (1.5 if side >= 64 else 60)
