"""Strokes of one colour on a ground of many are found by their colour."""

import cv2
import numpy as np
import pytest

from digits.vision.inks import INKS, ink_maps
from digits.vision.views import Levels, Map

SIDE = 160
Colour = tuple[int, int, int]


def scene() -> Levels:
    """Soft spots of many moderate colours."""
    levels = np.random.default_rng(0).uniform(60, 190, (12, 12, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(levels, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.uint8)


def stroke() -> Map:
    ink = np.zeros((SIDE, SIDE), np.uint8)
    cv2.polylines(ink, [np.array([[40, 30], [120, 40], [70, 130]])], False, (255,), 9)
    return ink


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (255, 235, 20), (230, 0, 120)])
def test_a_stroke_of_one_colour_is_found(colour: Colour) -> None:
    levels = scene()
    levels[stroke() > 0] = colour
    assert any(np.array_equal(found > 200, stroke() > 0) for found in ink_maps(levels))


def test_no_more_colours_are_tried_than_allowed() -> None:
    levels = scene()
    for place, colour in enumerate(((255, 255, 255), (0, 0, 0), (255, 0, 0), (0, 0, 255))):
        levels[20:140, 20 + 35 * place : 30 + 35 * place] = colour
    assert len(list(ink_maps(levels))) == INKS


def test_a_picture_of_one_colour_has_no_ink() -> None:
    assert list(ink_maps(np.full((SIDE, SIDE, 1), 200, np.uint8))) == []
