"""The parts of a contrast map, and what else a hypothesis sees around a group of them."""

import numpy as np
import pytest

from digits.vision.components import MOST_PARTS, Others, Part, equal, find_parts, others_of
from digits.vision.contrast import Ground
from digits.vision.cropping import Box
from tests.cpu import within_cpu_s

HEAD = Part(1, Box(20, 20, 60, 60), 200, rim=False)


def around_the_head(box: Box, area: int = 50, rim: bool = False) -> Others:
    return others_of([HEAD], [HEAD, Part(2, box, area, rim)], HEAD.box)


def test_an_eye_is_inside() -> None:
    assert around_the_head(Box(30, 30, 34, 36), 20) == Others(inside=0.1)


def test_a_near_stroke_is_beside() -> None:
    assert around_the_head(Box(64, 20, 68, 60)) == Others(beside=0.25)


def test_a_far_stroke_and_a_rim_are_neither() -> None:
    assert around_the_head(Box(90, 20, 95, 60)) == Others()
    assert around_the_head(Box(62, 0, 70, 60), rim=True) == Others()


def test_a_frame_is_around() -> None:
    assert around_the_head(Box(10, 10, 70, 70)) == Others(around=True)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (3, 5)])
def test_a_label_is_found_in_a_map_of_any_size(shape: tuple[int, int]) -> None:
    labels = np.full(shape, 2, np.int32)
    assert (equal(labels, 2) == np.full(shape, 255)).all()
    assert not equal(labels, 1).any()


def test_only_the_largest_of_thousands_of_parts_are_described() -> None:
    """A PNG of 3 kB with a dot at every second pixel took 50 ms, nearly all of it in Python."""
    contrast = np.zeros((180, 180), np.uint8)
    contrast[::2, ::2] = 200
    contrast[90:100, 60:120] = 200
    found = within_cpu_s(0.01, lambda: find_parts(Ground("plain", contrast, 0.0)))
    assert found is not None
    assert len(found.parts) == MOST_PARTS
    assert found.parts[0].area >= 600
