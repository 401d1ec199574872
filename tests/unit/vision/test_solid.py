"""Outlines and rows of dots become solid strokes; digits with loops, specks and single strokes stay."""

import cv2
import numpy as np
import pytest

from digits.vision.components import find_parts
from digits.vision.contrast import ground_of_map
from digits.vision.solid import solid_strokes
from digits.vision.views import Map

SIDE = 160


def solid(ink: Map) -> Map | None:
    parts = find_parts(ground_of_map(ink, "ink"))
    assert parts is not None
    return solid_strokes(parts)


def nothing() -> Map:
    return np.zeros((SIDE, SIDE), np.uint8)


def stroke(width: int) -> Map:
    """A stroke that bends."""
    ink = nothing()
    cv2.polylines(ink, [np.array([[40, 30], [120, 40], [70, 130]])], False, (255,), width)
    return ink


def test_the_outline_of_a_stroke_is_filled() -> None:
    outline = cv2.subtract(stroke(15), stroke(9))
    found = solid(outline)
    assert found is not None
    assert np.count_nonzero((found > 127) != (stroke(15) > 0)) < 0.1 * np.count_nonzero(stroke(15))


@pytest.mark.parametrize("step", [8, 10])
def test_dots_in_a_row_are_connected(step: int) -> None:
    dots = nothing()
    for place in range(20, 140, step):
        cv2.circle(dots, (place, 150 - place), 3, (255,), -1)
    found = solid(dots)
    assert found is not None
    count, _ = cv2.connectedComponents((found > 127).astype(np.uint8))
    assert count == 2  # paper and one stroke


@pytest.mark.parametrize("radii", [(40, 40), (18, 50)])
def test_a_loop_is_not_filled(radii: tuple[int, int]) -> None:
    ring = nothing()
    cv2.ellipse(ring, (80, 80), radii, 20, 0, 360, (255,), 8)
    assert solid(ring) is None


def test_a_stroke_among_specks_stays() -> None:
    ink = stroke(9)
    for place in range(10, 150, 12):
        ink[place : place + 3, 10:13] = 255
    assert solid(ink) is None


def test_dots_that_are_far_apart_are_not_connected() -> None:
    dots = nothing()
    for y in range(10, 160, 50):
        for x in range(10, 160, 50):
            dots[y : y + 4, x : x + 4] = 255
    assert solid(dots) is None
