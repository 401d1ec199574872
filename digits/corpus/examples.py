"""Labelled pictures of every kind, reproducible from a seed: what a model is trained on, and judged by."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np

from digits.corpus import photos
from digits.corpus.canvas import Rng
from digits.corpus.handwriting import Split, Writing, writings
from digits.corpus.kinds import KINDS, make_picture
from digits.corpus.negatives import NEGATIVES
from digits.corpus.several import several_digits
from digits.corpus.threads import in_threads
from digits.task import CLASSES

SEVERAL = "several_digits"
ALL_KINDS = (*KINDS, *NEGATIVES, SEVERAL)
SPLITS: tuple[Split, ...] = ("train", "validation", "judge")
# Too few pixels for more than one character, or cut where it matters.
ONE_CHARACTER = frozenset({
    "grey_28", "grey_32", "grey_20", "grey_16", "jpeg_28", "levels_0_and_1", "few_levels", "pixelated",
    "thumbnail_of_a_photo", "messenger_thumbnail", "touching_an_edge", "form_comb", "thick_marker",
})  # fmt: skip
# Where nothing is written, what is left is a box or a frame rather than an empty ground.
EMPTY_GROUNDS = (
    "canvas_white_on_black", "drawing_600", "on_a_gradient", "small_on_a_sheet", "ruled_paper", "ruled_dark",
    "squared_paper", "dotted_paper", "creased_paper", "scan_with_dust", "fax", "punched_holes",
    *photos.KINDS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Example:
    kind: str  # of KINDS for one digit, of NEGATIVES, or SEVERAL
    ground: str  # the kind of KINDS that it is drawn as
    data: bytes  # an image file
    label: int | None  # None if it does not hold one digit
    digits: tuple[int, ...]  # that it holds, from left to right


def sample(split: Split, seed: int, per_kind: int, kinds: Sequence[str] | None = None) -> Iterator[Example]:
    """Returns `per_kind` pictures of each kind (None: of KINDS, NEGATIVES and SEVERAL), the same for a seed.

    Writers, symbols and shapes of one split are in no other. Each kind has digits of every label alike.
    """
    wanted = product(kinds if kinds is not None else ALL_KINDS, range(per_kind))
    return in_threads(lambda one: example(one[0], split, seed, one[1]), wanted)


def example(kind: str, split: Split, seed: int, number: int) -> Example:
    """Returns one picture of a kind, always the same; a digit's label follows from the number."""
    rng = _generator(split, seed, kind, number)
    if kind in KINDS:
        own = _by_label(split)[number % CLASSES]
        return _of_digit(kind, own[int(rng.integers(len(own)))], rng)
    if kind == SEVERAL:
        writing = several_digits(split, rng)
        ground = _pick(rng, [name for name in KINDS if name not in ONE_CHARACTER])
        return Example(kind, ground, make_picture(ground, writing, rng), None, tuple(map(int, writing.label)))
    writing = NEGATIVES[kind](split, rng)
    ground = _pick(rng, _grounds(kind))
    return Example(kind, ground, make_picture(ground, writing, rng), None, ())


def each_digit(kind: str, split: Split, seed: int) -> Iterator[Example]:
    """Returns a picture of every digit of a split, as one of KINDS, in random order."""
    own = writings()[split]["digits"]

    def drawn(number: int) -> Example:
        return _of_digit(kind, own[number], _generator(split, seed, kind, number))

    return in_threads(drawn, _generator(split, seed, kind, -1).permutation(len(own)).tolist())


def _of_digit(kind: str, writing: Writing, rng: Rng) -> Example:
    label = int(writing.label)
    return Example(kind, kind, make_picture(kind, writing, rng), label, (label,))


def _generator(split: Split, seed: int, kind: str, number: int) -> Rng:
    return np.random.default_rng([seed, SPLITS.index(split), zlib.crc32(kind.encode()), number + 1])


def _grounds(kind: str) -> Sequence[str]:
    if kind == "nothing":
        return EMPTY_GROUNDS
    if kind in ("word", "face", "scribble", "spots"):
        return [name for name in KINDS if name not in ONE_CHARACTER]
    return list(KINDS)


@cache
def _by_label(split: Split) -> list[list[Writing]]:
    found: list[list[Writing]] = [[] for _ in range(CLASSES)]
    for digit in writings()[split]["digits"]:
        found[int(digit.label)].append(digit)
    return found


def _pick(rng: Rng, names: Sequence[str]) -> str:
    return names[int(rng.integers(len(names)))]
