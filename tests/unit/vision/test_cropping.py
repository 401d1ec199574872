"""Ink of any size becomes pixels that are made as MNIST's were."""

import numpy as np
import pytest

from digits.task import SIDE, Pixels
from digits.vision.cropping import BOX, Box, crop_to_pixels
from tests.pictures import written


def as_ink(digit: int, height: float, pen: float) -> Pixels:
    return (written(digit, height, pen, 10) * 255).astype(np.uint8)


@pytest.mark.parametrize("height", [12, 40, 300])
@pytest.mark.parametrize("digit", range(10))
def test_a_digit_fills_the_box_and_is_centred_by_mass(digit: int, height: int) -> None:
    pixels = crop_to_pixels(as_ink(digit, height, height / 10)).astype(float)
    rows, columns = np.nonzero(pixels > 127)
    assert BOX - 3 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= BOX
    for axis in (0, 1):
        centre = (pixels.sum(axis=axis) * np.arange(SIDE)).sum() / pixels.sum()
        assert abs(centre - SIDE / 2) < 1.1
    assert pixels.max() == 255


def test_a_thin_stroke_is_drawn_as_thick_as_mnist_does() -> None:
    thin, usual = (crop_to_pixels(as_ink(7, 300, pen)).sum() for pen in (3, 30))
    assert thin > 0.5 * usual


def test_no_ink_gives_black_pixels() -> None:
    assert not crop_to_pixels(np.zeros((50, 60), np.uint8)).any()
    assert not crop_to_pixels(np.full((50, 60), 120, np.uint8)).any()


def test_shares_of_ink_and_a_box_give_the_same_pixels() -> None:
    ink = as_ink(3, 60, 6)
    expected = crop_to_pixels(ink)
    assert np.array_equal(crop_to_pixels((ink / 255).astype(np.float32) + 1e-4), expected)
    page = np.zeros((300, 400), np.uint8)
    page[100 : 100 + ink.shape[0], 50 : 50 + ink.shape[1]] = ink
    page[:20, :20] = 255
    box = Box(50, 100, 50 + ink.shape[1], 100 + ink.shape[0])
    assert np.array_equal(crop_to_pixels(page, box), expected)
