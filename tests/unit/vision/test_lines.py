"""A printed box is recognised by its lines, and no digit is one."""

import cv2
import numpy as np
import pytest

from digits.vision.golden import golden_digits
from digits.vision.lines import is_framed
from digits.vision.views import Map


def ink(image: Map) -> Map:
    """The ink's own box, as a mask."""
    large = cv2.resize(image, None, fx=5, fy=5, interpolation=cv2.INTER_CUBIC)
    mask = cv2.threshold(large, 127, 255, cv2.THRESH_BINARY)[1]
    left, top, width, height = cv2.boundingRect(mask)
    return np.ascontiguousarray(mask[top : top + height, left : left + width])


@pytest.mark.parametrize("label", range(10))
def test_a_digit_is_no_printed_box(label: int) -> None:
    assert not is_framed(ink(golden_digits()[0][label]))


def box(angle: float = 0.0) -> Map:
    """A box of 100 pixels a side with lines 3 pixels wide, and a stroke that crosses its lower line."""
    image = np.zeros((160, 160), np.uint8)
    cv2.rectangle(image, (30, 30), (130, 130), (255,), 3)
    cv2.line(image, (80, 60), (80, 150), (255,), 5)
    rotated: Map = cv2.warpAffine(image, cv2.getRotationMatrix2D((80, 80), angle, 1), (160, 160))
    return rotated


@pytest.mark.parametrize("angle", [0.0, 0.5])
def test_a_box_is_recognised_although_ink_crosses_it(angle: float) -> None:
    rows, columns = np.nonzero(box(angle))
    cut = box(angle)[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert is_framed(cv2.threshold(cut, 127, 255, cv2.THRESH_BINARY)[1])


def test_a_sheet_is_no_box() -> None:
    image = np.full((100, 100), 255, np.uint8)
    cv2.line(image, (40, 30), (60, 70), (0,), 9)
    assert not is_framed(image)


def test_three_sides_are_no_box() -> None:
    image = np.zeros((100, 100), np.uint8)
    cv2.polylines(image, [np.array([[0, 0], [0, 99], [99, 99], [99, 0]])], False, (255,), 5)
    assert not is_framed(image)
