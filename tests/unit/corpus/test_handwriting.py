"""Handwriting is split by writer, drawn at any size, and never read from a damaged file."""

import cv2
import numpy as np
import pytest

from digits.corpus import handwriting, mislabelled
from digits.corpus.drawing import bend, draw, smooth
from digits.corpus.handwriting import SYMBOLS_LIKE_DIGITS, Split, Writing, writings
from digits.errors import DataUnavailable

SPLITS: tuple[Split, ...] = ("train", "validation", "judge")
LINE = Writing("1", 0, (np.array([[0.0, 0.0], [0.2, 0.5], [0.0, 1.0]], np.float32),))
SLANT = 1.08  # of its width that a line like LINE measures horizontally
MARK = Writing("symbol", 0, ink=np.pad(np.full((60, 20), 255, np.uint8), ((20, 25), (40, 45))))


def writers(split: Split) -> set[int]:
    return {each.writer for group in ("digits", "letters") for each in writings()[split][group]}


def test_no_writer_is_in_two_splits() -> None:
    assert sum(len(writers(split)) for split in SPLITS) == len(set().union(*map(writers, SPLITS)))


def test_no_symbol_is_in_two_splits() -> None:
    symbols = [{each.writer for each in writings()[split]["symbols"]} for split in SPLITS]
    assert sum(map(len, symbols)) == len(set().union(*symbols))
    assert set().union(*symbols) == set(range(86)) - SYMBOLS_LIKE_DIGITS


@pytest.mark.parametrize("split", SPLITS)
def test_each_split_has_every_digit(split: Split) -> None:
    assert {each.label for each in writings()[split]["digits"]} == set("0123456789")


def test_what_no_person_can_read_is_left_out() -> None:
    held = sum(len(writings()[split][group]) for split in SPLITS for group in ("digits", "letters"))
    assert held == 5_634 + 12_572 - len(mislabelled.DIGITS) - len(mislabelled.LETTERS)


def test_a_damaged_file_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handwriting, "SHA256", "0" * 64)
    with pytest.raises(DataUnavailable, match="restore it from the repository"):
        writings.__wrapped__()


@pytest.mark.parametrize("writing", [LINE, MARK], ids=["strokes", "ink"])
@pytest.mark.parametrize(("side", "pen"), [(20, 1.5), (20, 3), (300, 20)])
def test_ink_is_as_large_and_thick_as_asked_for(writing: Writing, side: float, pen: float) -> None:
    ink = draw(writing, side, pen)
    left, top, width, height = cv2.boundingRect(ink)
    assert max(left, top, ink.shape[1] - left - width, ink.shape[0] - top - height) <= 2
    if writing.strokes:
        assert height == pytest.approx(side + pen, abs=3)
        assert (ink[ink.shape[0] // 4] / 255).sum() == pytest.approx(pen * SLANT, rel=0.15)
    else:
        assert side - 1 <= height <= side + pen


def test_a_bent_writing_keeps_its_size_and_changes() -> None:
    bent = bend(LINE, np.random.default_rng(1))
    extent = np.ptp(bent.strokes[0], axis=0).max()
    assert extent == pytest.approx(1, abs=1e-5)
    assert not np.allclose(bent.strokes[0], LINE.strokes[0])


def test_smoothing_keeps_the_ends_and_cuts_corners() -> None:
    (stroke,) = smooth(LINE).strokes
    assert (stroke[[0, -1]] == LINE.strokes[0][[0, -1]]).all()
    assert stroke[:, 0].max() < 0.2
