"""Every kind of picture is a file that the service takes, the same for a seed, with the writing in it."""

from functools import cache

import cv2
import numpy as np
import pytest

from digits.corpus.canvas import BLANK
from digits.corpus.handwriting import writings
from digits.corpus.kinds import KINDS, make_picture
from digits.vision.decoding import decode_picture
from digits.vision.formats import is_image_file
from digits.vision.picture import Picture

FOUR = next(each for each in writings()["train"]["digits"] if each.label == "4")
LEAST_STEP = 6  # levels by which the writing changes a pixel
LEAST_INKED = 0.0002  # of the picture's pixels: 2 cm on A4, by a fine pen
MOST_BYTES = 2_500_000
LIKE_THE_BLANK = sorted(KINDS.keys() - {"touching_an_edge"})  # which is cut to the writing


@cache
def made(kind: str, seed: int) -> bytes:
    return make_picture(kind, FOUR, np.random.default_rng(seed))


def test_there_are_kinds_enough() -> None:
    assert len(KINDS) >= 90


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_the_same_for_a_seed_only(kind: str) -> None:
    first = make_picture(kind, FOUR, np.random.default_rng(1))
    assert made(kind, 1) == first
    assert made(kind, 2) != first


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_a_file_that_the_service_takes(kind: str) -> None:
    for seed in (1, 2):
        data = made(kind, seed)
        assert is_image_file(data)
        assert len(data) < MOST_BYTES
        assert min(decode_picture(data).channels.shape[:2]) >= 16


@pytest.mark.parametrize("kind", LIKE_THE_BLANK)
def test_the_writing_is_in_the_picture(kind: str) -> None:
    """The same picture without the writing differs where the ink is, and in a connected place."""
    for seed in (1, 2):
        with_ink = levels_of(decode_picture(made(kind, seed)))
        without = levels_of(decode_picture(make_picture(kind, BLANK, np.random.default_rng(seed))))
        assert with_ink.shape == without.shape
        changed = cv2.absdiff(with_ink, without).max(axis=2) >= LEAST_STEP
        assert changed.mean() >= LEAST_INKED
        assert changed.any(axis=0).sum() >= 3


def test_a_writing_that_touches_an_edge_does() -> None:
    for seed in range(4):
        levels = levels_of(decode_picture(made("touching_an_edge", seed))).astype(int)
        paper = np.median(levels, axis=(0, 1))
        apart = np.abs(levels - paper).max(axis=2)
        ends = (apart[:2], apart[-2:], apart[:, :2], apart[:, -2:])
        assert max(end.max() for end in ends) > 0.4 * apart.max()


def levels_of(picture: Picture) -> np.ndarray:
    """(h, w, 4): the colours and the opacity."""
    levels = picture.levels
    opacity = np.full(levels.shape[:2], 255, np.uint8) if picture.alpha is None else picture.alpha
    return np.dstack([levels] * 3 + [opacity] if levels.ndim == 2 else [levels, opacity])
