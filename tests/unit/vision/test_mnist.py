"""Which images are like MNIST's, one by one and a batch at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digits.task import SIDE, Images, Pixels
from digits.vision.golden import golden_digits
from digits.vision.mnist import are_surely_mnist_like, as_mnist_like

IMAGES: Images = golden_digits()[0]


@pytest.mark.parametrize("label", range(10))
def test_a_golden_digit_and_its_negative_are_like_mnist(label: int) -> None:
    image: Pixels = IMAGES[label]
    assert as_mnist_like(image) is image
    inverted = as_mnist_like(np.uint8(255) - image)
    assert inverted is not None
    assert np.array_equal(inverted, image)


def test_golden_digits_are_surely_mnist_like() -> None:
    assert are_surely_mnist_like(np.array(IMAGES)).all()
    assert not are_surely_mnist_like(255 - np.array(IMAGES)).any()


@pytest.mark.parametrize(
    "other",
    [np.zeros_like(IMAGES[7]), np.full_like(IMAGES[7], 255), np.roll(IMAGES[7], 4, 0), IMAGES[7] // 2,
     np.full_like(IMAGES[7], 77), np.kron(IMAGES[7][7:21, 7:21], np.ones((2, 2), np.uint8))],
    ids=["black", "white", "off centre", "faint", "grey", "too large"],
)  # fmt: skip
def test_other_images_are_not_like_mnist(other: Pixels) -> None:
    assert as_mnist_like(other) is None
    assert not are_surely_mnist_like(other[None])[0]


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 9),
    st.tuples(st.integers(-5, 5), st.integers(-5, 5)),
    st.sampled_from([1, 0.9, 0.7, 0]),
    st.lists(st.tuples(st.integers(0, SIDE - 1), st.integers(0, SIDE - 1), st.integers(0, 255)), max_size=3),
)
def test_what_is_surely_mnist_like_passes_untouched(
    label: int, shift: tuple[int, int], dim: float, specks: list[tuple[int, int, int]]
) -> None:
    image = (np.roll(IMAGES[label], shift, (0, 1)) * dim).astype(np.uint8)
    for row, column, level in specks:
        image[row, column] = level
    if are_surely_mnist_like(image[None])[0]:
        assert as_mnist_like(image) is image
