"""Examples have the right labels, repeat for a seed, and share nothing between the splits."""

from itertools import chain

import numpy as np
import pytest

from digits.corpus.canvas import Rng, ink_of
from digits.corpus.examples import ALL_KINDS, SEVERAL, SPLITS, each_digit, example, sample
from digits.corpus.handwriting import Split, writings
from digits.corpus.negatives import NEGATIVES, own_names
from digits.corpus.several import several_digits
from digits.corpus.shapes import SHAPES, SIGNS
from digits.vision.decoding import decode_picture

SOME = ("canvas_white_on_black", "photo_of_paper", "word", SEVERAL)


def rng(seed: int) -> Rng:
    return np.random.default_rng(seed)


def test_examples_are_the_same_for_a_seed_only() -> None:
    first, again, other = ([each.data for each in sample("train", seed, 2, SOME)] for seed in (1, 1, 2))
    assert first == again
    assert len(set(first)) == len(first)
    assert not set(first) & set(other)


def test_examples_of_two_splits_differ() -> None:
    train, judge = ({each.data for each in sample(split, 1, 2, SOME)} for split in ("train", "judge"))
    assert not train & judge


def test_each_kind_has_digits_of_every_label() -> None:
    found = list(sample("validation", 3, 10, ["drawing_small"]))
    assert [each.label for each in found] == list(range(10))
    assert all(each.digits == (each.label,) for each in found)


def test_a_sample_has_every_kind_by_itself() -> None:
    kinds = [
        each.kind for each in sample("judge", 1, 1, [kind for kind in ALL_KINDS if "a4" not in kind][:8])
    ]
    assert len(kinds) == 8
    assert [*NEGATIVES, SEVERAL] == list(ALL_KINDS[-len(NEGATIVES) - 1 :])


@pytest.mark.parametrize("kind", NEGATIVES)
def test_a_negative_is_a_picture_without_a_label(kind: str) -> None:
    for number in range(3):
        found = example(kind, "train", 1, number)
        assert (found.label, found.digits) == (None, ())
        assert decode_picture(found.data).channels.size


@pytest.mark.parametrize("kind", NEGATIVES.keys() - {"nothing"})
@pytest.mark.parametrize("split", SPLITS)
def test_a_negative_is_drawn(kind: str, split: Split) -> None:
    ink = ink_of(NEGATIVES[kind](split, rng(1)), rng(2), 100)
    assert max(ink.shape) >= 60
    assert ink.max() > 200


def test_letters_like_and_unlike_digits_are_apart() -> None:
    for seed in range(20):
        assert not NEGATIVES["letter_unlike_digits"]("judge", rng(seed)).is_like_a_digit
        assert NEGATIVES["letter_like_digits"]("judge", rng(seed)).is_like_a_digit


@pytest.mark.parametrize("drawings", [SHAPES, SIGNS], ids=["shapes", "signs"])
def test_no_shape_is_in_two_splits(drawings: dict[str, object]) -> None:
    names = [own_names(drawings, split) for split in SPLITS]
    assert all(names)
    assert sorted(chain.from_iterable(names)) == sorted(drawings)


def test_several_digits_stand_side_by_side_in_order() -> None:
    """Each digit's strokes lie to the right of those of the one before, with a gap of paper between them."""
    for seed in range(10):
        number = several_digits("train", rng(seed))
        assert len(number.label) in (2, 3)
        columns = ink_of(number, rng(seed), 300, (0.01, 0.011)).any(axis=0)
        assert np.count_nonzero(np.diff(columns.astype(int), prepend=0) == 1) >= len(number.label)


def test_a_picture_of_several_digits_says_which() -> None:
    found = example(SEVERAL, "judge", 1, 0)
    assert found.label is None
    assert len(found.digits) in (2, 3)


def test_each_digit_of_a_split_is_drawn_once() -> None:
    labels = [each.digits[0] for each in each_digit("drawing_small", "validation", 1)]
    assert sorted(labels) == sorted(int(each.label) for each in writings()["validation"]["digits"])
