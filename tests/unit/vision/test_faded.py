"""Ink that gets weaker along a stroke is found whole; paper, shadows and separate pale lines are not ink."""

import cv2
import numpy as np

from digits.vision.components import find_parts
from digits.vision.contrast import plain_grounds
from digits.vision.faded import with_faded_ink
from digits.vision.views import Levels, Map, view_of

SIDE = 160
STROKE = np.s_[20:140, 70:80]


def faded(levels: Levels) -> Map | None:
    """Where ink is, once faded ink counts too."""
    ground = plain_grounds(view_of(levels))[0]
    parts = find_parts(ground)
    assert parts is not None
    whole = with_faded_ink(ground, parts)
    if whole is None:
        return None
    rest = find_parts(whole)
    assert rest is not None
    return rest.mask


def sheet() -> Levels:
    return np.full((SIDE, SIDE), 250, np.uint8)


def fading() -> Levels:
    levels = sheet()
    levels[STROKE] = np.linspace(20, 205, 120)[:, None]
    return levels


def test_a_fading_stroke_is_found_whole() -> None:
    mask = faded(fading())
    assert mask is not None
    assert np.count_nonzero(mask[STROKE]) > 0.95 * mask[STROKE].size
    mask[STROKE] = 0
    assert not mask.any()


def test_pale_lines_that_touch_no_stroke_stay_paper() -> None:
    levels = fading()
    levels[20:140, 110:113] = 200
    mask = faded(levels)
    assert mask is not None
    assert not mask[:, 105:120].any()


def test_a_stroke_of_one_strength_has_no_faded_ink() -> None:
    levels = sheet()
    cv2.line(levels, (70, 20), (90, 140), (30,), 9, cv2.LINE_AA)
    assert faded(levels) is None


def test_a_shadow_around_a_stroke_is_not_ink() -> None:
    levels = sheet()
    levels[:, :110] = 190
    levels[STROKE] = 20
    assert faded(levels) is None


def test_ink_as_weak_as_the_grain_of_the_paper_is_not_ink() -> None:
    noise = np.random.default_rng(0).normal(0, 25, (SIDE, SIDE))
    assert faded(np.clip(fading() + noise, 0, 255).astype(np.uint8)) is None
