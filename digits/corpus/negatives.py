"""Writings that are not one digit: letters, symbols, words, scribbles, shapes, signs, faces, nothing at all.

Each is a writing, so it is drawn with the same pens on the same grounds as digits.
"""

from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import TypeVar

import numpy as np

from digits.corpus.canvas import BLANK, Rng
from digits.corpus.handwriting import Points, Split, Writing, writings
from digits.corpus.several import side_by_side
from digits.corpus.shapes import SCRIBBLES, SHAPES, SIGNS, Lines, ellipse

T = TypeVar("T")
Negative = Callable[[Split, Rng], Writing]

WORD = (3, 7)  # letters
LEAST_UNLIKE = 2  # letters of a word that are unlike digits


def letter_unlike_digits(split: Split, rng: Rng) -> Writing:
    return _pick(_letters(split, False), rng)


def letter_like_digits(split: Split, rng: Rng) -> Writing:
    return _pick(_letters(split, True), rng)


def symbol(split: Split, rng: Rng) -> Writing:
    return _pick(writings()[split]["symbols"], rng)


def word(split: Split, rng: Rng) -> Writing:
    """Letters side by side, most of them unlike digits."""
    while True:
        letters = [_pick(writings()[split]["letters"], rng) for _ in range(rng.integers(*WORD))]
        if sum(not letter.is_like_a_digit for letter in letters) >= LEAST_UNLIKE:
            return side_by_side(letters, rng, (0.05, 0.25))


def scribble(split: Split, rng: Rng) -> Writing:
    """A pen that goes back and forth, round and round, or hatches."""
    return _writing("scribble", [_pick(SCRIBBLES, rng)(rng)])


def shape(split: Split, rng: Rng) -> Writing:
    return _drawn(SHAPES, split, rng)


def sign(split: Split, rng: Rng) -> Writing:
    return _drawn(SIGNS, split, rng)


def face(split: Split, rng: Rng) -> Writing:
    """A face, or a figure of some ellipses."""
    head = ellipse(0.5, 0.5, 0.5, rng.uniform(0.4, 0.5))
    eyes = [ellipse(0.5 + side * 0.18, 0.38, 0.03, rng.uniform(0.02, 0.06)) for side in (-1, 1)]
    bow = np.linspace(-1, 1, 9)
    mouth = np.stack([0.5 + 0.22 * bow, 0.68 + rng.uniform(-0.1, 0.12) * (1 - bow**2)], axis=1)
    nose = [np.array([[0.5, 0.45], [0.46, 0.57], [0.52, 0.57]])] if rng.random() < 0.5 else []
    return _writing("face", _shaken([head, *eyes, mouth, *nose], rng, 0.012))


def nothing(split: Split, rng: Rng) -> Writing:
    """The empty ground."""
    return BLANK


def spots(split: Split, rng: Rng) -> Writing:
    """Dots and short dashes here and there."""
    places = rng.uniform(0, 1, (rng.integers(4, 12), 2))
    dashes = rng.uniform(-0.06, 0.06, places.shape) * (rng.random() < 0.6)
    return _writing(
        "spots", [np.stack([place, place + dash]) for place, dash in zip(places, dashes, strict=True)]
    )


NEGATIVES: dict[str, Negative] = {
    each.__name__: each
    for each in (
        letter_unlike_digits, letter_like_digits, symbol, word, scribble, shape, sign, face, spots, nothing,
    )
}  # fmt: skip


@cache
def _letters(split: Split, like_digits: bool) -> list[Writing]:
    return [letter for letter in writings()[split]["letters"] if letter.is_like_a_digit == like_digits]


def own_names(drawings: Collection[str], split: Split) -> list[str]:
    """Returns the names of the drawings that belong to a split, and to no other."""
    names = sorted(drawings)
    judged, validated = names[0::3], names[1::6]
    trained = [name for name in names if name not in judged and name not in validated]
    return {"judge": judged, "validation": validated, "train": trained}[split]


def _drawn(drawings: dict[str, Lines], split: Split, rng: Rng) -> Writing:
    """Returns one of the drawings that belong to a split, as a hand draws it."""
    name = _pick(own_names(drawings, split), rng)
    strokes = drawings[name]
    longer = float(np.ptp(np.concatenate(strokes), axis=0).max())
    return _writing(name, _shaken([stroke / longer for stroke in strokes], rng, 0.02))


def _shaken(strokes: Lines, rng: Rng, most: float) -> Lines:
    """Returns strokes turned, with bows and corners that no ruler makes, and none exactly closed."""
    angle = rng.normal(0, 0.08)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    shaken = []
    for stroke in strokes:
        steps = max(2, 24 // len(stroke))
        places = np.linspace(0, len(stroke) - 1, (len(stroke) - 1) * steps + 1)
        dense = np.stack([np.interp(places, np.arange(len(stroke)), stroke[:, axis]) for axis in (0, 1)], 1)
        knots = rng.normal(0, most, (max(2, len(dense) // 4), 2))
        where = np.linspace(0, 1, len(dense))
        bow = [np.interp(where, np.linspace(0, 1, len(knots)), knots[:, axis]) for axis in (0, 1)]
        small = 0.2 if np.ptp(stroke, axis=0).max() < 0.2 else 1.0
        shaken.append((dense + small * np.stack(bow, 1)) @ turn)
    return shaken


def _writing(label: str, strokes: Lines) -> Writing:
    """Returns strokes of any scale as a writing whose longer side is 1."""
    everything = np.concatenate(strokes)
    low = everything.min(axis=0)
    longer = max(float((everything.max(axis=0) - low).max()), 1e-3)
    scaled: tuple[Points, ...] = tuple(((stroke - low) / longer).astype(np.float32) for stroke in strokes)
    return Writing(label, 0, scaled)


def _pick(members: Sequence[T], rng: Rng) -> T:
    return members[int(rng.integers(len(members)))]
