"""Ink that is paler than the writing becomes paper, unless the writing itself fades."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from digits.vision.components import find_parts
from digits.vision.contrast import plain_grounds
from digits.vision.faint import without_faint_ink
from digits.vision.views import Levels, Map, view_of

SIDE = 160
BLACK = (0, 0, 0)


def sheet() -> Levels:
    return np.full((SIDE, SIDE, 3), 255, np.uint8)


def strong(levels: Levels) -> list[Map]:
    """The ink of each hypothesis without faint ink, as a mask."""
    view = view_of(levels)
    masks = []
    for ground in plain_grounds(view):
        parts = find_parts(ground)
        assert parts is not None
        for found in without_faint_ink(view, ground, parts):
            rest = find_parts(found)
            assert rest is not None
            masks.append(rest.mask)
    return masks


def stroke(levels: Levels) -> Levels:
    """A black stroke across the sheet."""
    cv2.line(levels, (70, 20), (90, 140), BLACK, 9)
    return levels


WANTED = cv2.threshold(255 - stroke(sheet())[:, :, 0], 127, 255, cv2.THRESH_BINARY)[1]


def lines() -> Levels:
    levels = sheet()
    for row in range(15, SIDE, 20):
        levels[row : row + 3, 10:150] = 130
    return levels


def band() -> Levels:
    levels = sheet()
    levels[50:110, 15:145] = (255, 240, 0)
    return levels


def stain() -> Levels:
    levels = sheet()
    cv2.circle(levels, (80, 80), 45, (190, 150, 120), 12)
    return levels


@pytest.mark.parametrize("ground", [lines, band, stain])
def test_what_is_paler_than_the_writing_is_paper(ground: Callable[[], Levels]) -> None:
    masks = strong(stroke(ground()))
    assert min(np.count_nonzero(mask != WANTED) for mask in masks) < 0.15 * np.count_nonzero(WANTED)


def test_writing_of_one_strength_has_no_faint_ink() -> None:
    assert strong(stroke(sheet())) == []


def test_a_stroke_that_fades_is_not_cut() -> None:
    levels = sheet()
    for row in range(20, 140):
        levels[row : row + 4, 70:82] = row
    assert strong(levels) == []
