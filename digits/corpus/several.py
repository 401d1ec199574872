"""Two or three digits side by side, and other characters: several writings as one."""

from collections.abc import Sequence

import numpy as np

from digits.corpus.canvas import Range, Rng
from digits.corpus.handwriting import Split, Writing, writings

LIKE_HEIGHT = (0.8, 1.0)  # of each character, in heights of the tallest
GAPS = (0.12, 0.5)  # between digits, in heights


def several_digits(split: Split, rng: Rng) -> Writing:
    """Returns two or three separate digits of similar size by one writer; the label is all of them."""
    digits = writings()[split]["digits"]
    first = digits[int(rng.integers(len(digits)))]
    own = [digit for digit in digits if digit.writer == first.writer]
    others = [own[int(rng.integers(len(own)))] for _ in range(rng.integers(1, 3))]
    return side_by_side([first, *others], rng, GAPS)


def side_by_side(characters: Sequence[Writing], rng: Rng, gaps: Range) -> Writing:
    """Returns characters (of strokes) as one writing: of similar height, on one line, with gaps."""
    strokes, left = [], 0.0
    for character in characters:
        everything = np.concatenate(character.strokes)
        low, high = everything.min(axis=0), everything.max(axis=0)
        height = rng.uniform(*LIKE_HEIGHT)
        scale = height / max(float(high[1] - low[1]), 0.5)
        base = np.array([left, 1 - height + rng.uniform(-0.05, 0.05)])
        strokes += [(stroke - low) * scale + base for stroke in character.strokes]
        left += float(high[0] - low[0]) * scale + rng.uniform(*gaps)
    everything = np.concatenate(strokes)
    low = everything.min(axis=0)
    longer = float((everything.max(axis=0) - low).max())
    return Writing(
        "".join(character.label for character in characters),
        characters[0].writer,
        tuple(((stroke - low) / longer).astype(np.float32) for stroke in strokes),
    )
