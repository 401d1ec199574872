"""Drawn training images: reproducible, of every label, and by other writers than the test pictures."""

import numpy as np
import pytest

from digits.corpus.canvas import BLANK
from digits.corpus.drawing import draw
from digits.corpus.handwriting import writings
from digits.task import CLASSES
from digits.training import samples as module
from digits.training.samples import NO_DIGIT, draw_samples
from digits.vision.cropping import crop_to_pixels

SEED = 3


def test_a_sample_depends_on_the_seed_and_its_number_alone() -> None:
    """Two workers draw the odd and the even numbers of the samples that one worker draws."""
    whole = draw_samples("train", range(24), SEED)
    for start in (0, 1):
        part = draw_samples("train", range(start, 24, 2), SEED)
        np.testing.assert_array_equal(part.images, whole.images[start::2])
        np.testing.assert_array_equal(part.labels, whole.labels[start::2])
    assert (draw_samples("train", range(24), SEED + 1).images != whole.images).any()


def test_there_are_digits_of_each_label_and_images_without_one() -> None:
    images, labels = draw_samples("train", range(300), SEED)
    counts = np.bincount(labels, minlength=CLASSES + 1)
    assert (counts > 0).all()
    assert counts[NO_DIGIT] == pytest.approx(300 * 0.5, rel=0.15)
    assert images.any(axis=(1, 2)).all()


def test_training_draws_no_writing_of_a_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    everything = writings()

    class Watched(dict):  # type: ignore[type-arg]
        def __getitem__(self, split: str) -> object:
            drawn.append(split)
            return super().__getitem__(split)

    monkeypatch.setattr(module, "writings", lambda: Watched(everything))
    draw_samples("validation", range(40), SEED)
    assert set(drawn) == {"validation"}


def test_nothing_narrow_is_taught_as_no_digit() -> None:
    """It may be a 1."""
    images, labels = draw_samples("train", range(200), SEED)
    widths = [np.ptp(np.flatnonzero(image.any(axis=0))) + 1 for image in images[labels == NO_DIGIT]]
    assert min(widths) > module.NARROW


def test_a_crop_is_taught_only_if_it_shows_the_whole_writing() -> None:
    """A half of an 8 is a 0, and a wooden desk is no digit though one was drawn on it."""
    eight = next(each for each in writings()["train"]["digits"] if each.label == "8")
    ink = draw(eight, 80, 11)
    whole, half = crop_to_pixels(ink), crop_to_pixels(ink[: len(ink) // 2])
    assert module._is_alike(whole, eight)
    assert not module._is_alike(half, eight)
    assert not module._is_alike(np.full((28, 28), 255, np.uint8), eight)


def test_an_empty_picture_is_labelled_as_no_digit() -> None:
    assert module._label(BLANK) == NO_DIGIT
