"""Several digits side by side: which candidates form a row, and whether the picture shows it or one digit.

A frame, a row of boxes, a window's edge and a shadow leave upright lines that look like ones. But the digits
of a number have one ink and a similar size, and are nearly all that is written.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from digits.vision.candidates import Candidate
from digits.vision.fitted import fitted
from digits.vision.measures import (
    MOST_LOGIT,
    Floats,
    flatness,
    height,
    is_at_edge,
    log_contrast,
    logit,
    slimness,
    width,
)

Row = tuple[int, ...]  # places of candidates from left to right

LIKE_SIZE = 0.5  # minimum height relative to the tallest digit of a number
OVERLAP = 0.25  # maximum overlap of neighbouring digits, relative to the narrower box
LIKE_INK = math.log(2)  # maximum logarithm of the ratio of two digits' contrasts
NEARLY_ALL = 0.9  # minimum share of the ink of a hypothesis that sees one of the digits alone
STARTS = 6  # number of candidates, the most digit-like first, that a row is built around


def find_row(items: Sequence[Candidate], is_digit: Floats, reject_below: float) -> Row:
    """Returns the row of digits among k candidates with (k,) is_digit; empty if there is none."""
    scored = [
        (float(fitted()["row"](row_features(items, is_digit, row)[None])[0]), row)
        for row in possible_rows(items, is_digit, reject_below)
    ]
    score, row = max(scored, default=(0.0, ()))
    return row if score > 0 else ()


def possible_rows(items: Sequence[Candidate], is_digit: Floats, reject_below: float) -> Iterator[Row]:
    """Yields rows of two or more candidates: digits of similar size and ink, side by side, none a guess."""
    order = [
        place
        for place in np.argsort(-is_digit, kind="stable").tolist()
        if is_digit[place] >= reject_below and not items[place].is_guess
    ]
    seen = set()
    for start in order[:STARTS]:
        chosen = [start]
        for place in order:
            if all(_are_alike(items[place], items[other]) for other in chosen):
                chosen.append(place)
        row = tuple(sorted(chosen, key=lambda place: items[place].box[0]))
        if len(row) > 1 and row not in seen:
            seen.add(row)
            yield row


def row_features(items: Sequence[Candidate], is_digit: Floats, row: Row) -> Floats:
    """Returns facts about a row of digits, also compared with one digit instead, (12,)."""
    own = [items[place] for place in row]
    whole = [
        place
        for place, item in enumerate(items)
        if place not in row and not item.is_guess and sum(not _side_by_side(item, other) for other in own) > 1
    ]
    alone = [
        place
        for place, item in enumerate(items)
        if place not in row
        and not item.is_guess
        and item.share > NEARLY_ALL
        and sum(not _side_by_side(item, other) for other in own) == 1
    ]
    logits = logit(is_digit)
    heights = [height(item) for item in own]
    contrasts = [log_contrast(item) for item in own]
    tallest = max(*heights, 0.01)
    return np.array(
        [
            max((logits[place] for place in whole), default=-MOST_LOGIT),
            max((logits[place] for place in alone), default=-MOST_LOGIT),
            min(logits[place] for place in row),
            min(right.box[0] - left.box[2] for left, right in pairwise(own)) / tallest,
            math.log(max(min(heights), 0.001) / tallest),
            max(contrasts) - min(contrasts),
            len({item.ground for item in own}) > 1,
            any(map(is_at_edge, own)),
            max(map(slimness, own)),
            max(map(flatness, own)),
            max(_colour_distance(own[0], other) for other in own[1:]),
            min(1.0, sum(item.share for item in own)),
        ],
        np.float32,
    )


def _are_alike(first: Candidate, second: Candidate) -> bool:
    return (
        first.sheet == second.sheet
        and abs(log_contrast(first) - log_contrast(second)) < LIKE_INK
        and _side_by_side(first, second)
    )


def _side_by_side(first: Candidate, second: Candidate) -> bool:
    shared = min(first.box[2], second.box[2]) - max(first.box[0], second.box[0])
    heights = sorted((height(first), height(second)))
    level = min(first.box[3], second.box[3]) - max(first.box[1], second.box[1]) > 0
    return (
        level
        and shared <= OVERLAP * min(width(first), width(second))
        and heights[0] >= LIKE_SIZE * heights[1]
    )


def _colour_distance(first: Candidate, second: Candidate) -> float:
    """Returns the largest difference of the channels of two inks, relative to full scale; 0 if unknown."""
    if len(first.colour) != len(second.colour):
        return 0.0
    return max((abs(a - b) for a, b in zip(first.colour, second.colour, strict=True)), default=0.0) / 255
