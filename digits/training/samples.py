"""Drawn training images: digits in other handwriting than MNIST's, and images without a digit.

Most are writings of the corpus, cropped as the reader crops them; the others are read from whole pictures of
the corpus. Sample i depends only on the seed and i, so workers can draw their own shares.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from digits.corpus.canvas import BLANK, Rng
from digits.corpus.drawing import bend, draw, smooth
from digits.corpus.examples import EMPTY_GROUNDS, SEVERAL
from digits.corpus.handwriting import Split, Writing, writings
from digits.corpus.kinds import KINDS, make_picture
from digits.corpus.negatives import NEGATIVES
from digits.corpus.several import several_digits
from digits.corpus.threads import in_threads
from digits.task import CLASSES, LABELS, SHAPE, Images, Pixels
from digits.vision.cropping import crop_to_pixels
from digits.vision.limits import MAX_PIXELS
from digits.vision.reading import read_file

NO_DIGIT = CLASSES  # the label of an image that shows no digit: the position after those of LABELS

DIGITS = 0.5  # share of digits in the samples
# Shares of the kinds of writing that are not one digit.  Letters like digits are left out, and so are
# truncated digits: a part of a 4, a 7 or a 9 often is another digit.
OTHERS: dict[str, float] = {
    "letter_unlike_digits": 0.4, "symbol": 0.2, SEVERAL: 0.1, "shape": 0.08, "sign": 0.07, "word": 0.06,
    "scribble": 0.05, "face": 0.02, "spots": 0.02,
}  # fmt: skip
PICTURED = 0.1  # share of samples that are read from a picture, which costs 20 ms instead of 0.5
EMPTY = 0.35  # share of crops without writing (paper, frames, desks) among samples without a digit
READY = 64  # samples of each thread that wait for a slow one: a photo of 24 megapixels takes as long as 400
SIDES = (30.0, 84.0)  # range of the longer side of a drawn writing, in pixels
PENS = (0.05, 0.19)  # pen widths, as shares of that side
SMOOTH = 0.5  # share of writings drawn without the corners of coarse tablets
REFERENCE = (60.0, 6.0)  # side and pen of the crop that a candidate is compared with
ALIKE = 0.75  # minimum correlation of blurred images for a candidate to be the writing, not a part of it
MOST_INK = 1.9  # maximum ink relative to that crop: a thick pen has more, a solid shape still more
NARROW = 7  # pixels; a writing this narrow may be a 1
TRIES = 20


class Samples(NamedTuple):
    images: Images
    labels: NDArray[np.uint8]  # positions in LABELS, or NO_DIGIT


def joined(first: Samples, second: Samples) -> Samples:
    return Samples(*(np.concatenate(parts) for parts in zip(first, second, strict=True)))


def draw_samples(split: Split, numbers: range, seed: int) -> Samples:
    """Returns the samples with these numbers, drawn from the writings of one split."""
    images = np.zeros((len(numbers), *SHAPE), np.uint8)
    labels = np.zeros(len(numbers), np.uint8)
    drawn = in_threads(lambda number: _sample(split, np.random.default_rng([seed, number])), numbers, READY)
    for place, (image, label) in enumerate(drawn):
        images[place], labels[place] = image, label
    return Samples(images, labels)


def _sample(split: Split, rng: Rng) -> tuple[Pixels, int]:
    is_digit = rng.random() < DIGITS
    draw_one = _from_picture if rng.random() < PICTURED else _drawn
    while True:
        image, label = draw_one(split, is_digit, rng)
        if is_digit or cv2.boundingRect(image)[2] > NARROW:
            return image, label


def _drawn(split: Split, is_digit: bool, rng: Rng) -> tuple[Pixels, int]:
    writing = _writing(split, is_digit, rng)
    shape = bend(smooth(writing) if rng.random() < SMOOTH else writing, rng)
    side = rng.uniform(*SIDES)
    return crop_to_pixels(draw(shape, side, max(1.0, side * rng.uniform(*PENS)))), _label(writing)


def _from_picture(split: Split, is_digit: bool, rng: Rng) -> tuple[Pixels, int]:
    """Returns a sample read from a picture; tries again if the reader does not find the writing."""
    for _ in range(TRIES):
        writing = BLANK if not is_digit and rng.random() < EMPTY else _writing(split, is_digit, rng)
        kinds = EMPTY_GROUNDS if writing is BLANK else tuple(KINDS)
        candidates = read_file(make_picture(str(rng.choice(kinds)), writing, rng), MAX_PIXELS).pixels
        found = [pixels for pixels in candidates if writing is BLANK or _is_alike(pixels, writing)]
        if found:
            return found[rng.integers(len(found))], _label(writing)
    return _drawn(split, is_digit, rng)


def _writing(split: Split, is_digit: bool, rng: Rng) -> Writing:
    if is_digit:
        digits = writings()[split]["digits"]
        return digits[rng.integers(len(digits))]
    name = str(rng.choice(list(OTHERS), p=list(OTHERS.values())))
    return several_digits(split, rng) if name == SEVERAL else NEGATIVES[name](split, rng)


def _label(writing: Writing) -> int:
    return LABELS.index(writing.label) if writing.label in LABELS else NO_DIGIT


def _is_alike(pixels: Pixels, writing: Writing) -> bool:
    reference = crop_to_pixels(draw(writing, *REFERENCE))
    if not 0.5 < pixels.mean() / reference.mean() < MOST_INK:
        return False
    blurred = [cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.0) for image in (pixels, reference)]
    return float(np.corrcoef(*(image.ravel() for image in blurred))[0, 1]) > ALIKE
