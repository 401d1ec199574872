"""What the model says about the candidates of a picture -> the digit, or why there is none.

The choice is learned: a linear score of a few facts about each candidate, fitted on pictures of training
writers so that the candidate whose digit is right gets the highest score of its picture.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from digits.task import CLASSES, Scores
from digits.vision.reading import Candidate, Candidates

Floats = NDArray[np.float32]

MOST_LOGIT = 9.0
LIKE_SIZE = 0.5  # of the height of the tallest: digits of one number are at least so tall
OVERLAP = 0.25  # of the narrower of two boxes that digits side by side may share

# The score's weight of each column of `features`, in its order.
WEIGHTS = np.array([0.45, 0.0, -1.04, -1.17, -1.47, 1.31, -1.67, 1.24, 0.6, -1.15, 0.58], np.float32)
# Of each value of `likeness_features`: the logit of being one digit.
LIKENESS_WEIGHTS = np.array(
    [0.87, 0.45, -0.94, -0.1, -0.66, -0.01, -3.95, 0.9, 0.41, -2.56, 0.11, -0.55, -1.03], np.float32
)
# Of each column of `row_features`, the last of the constant 1: above 0 the row wins.
ROW_WEIGHTS = np.array([-0.42, 0.53, -0.43, -1.25], np.float32)


@dataclass(frozen=True)
class Verdict:
    """What a picture shows.

    `best` is the place of the candidate that is most likely the digit, None for a blank picture. `is_digit`
    is how much that candidate and what else the picture holds look like one digit, 0 to 1. `row` holds the
    places of several digits from left to right, and is empty if there are not several.
    """

    kind: Literal["digit", "blank", "several_digits", "not_a_digit"]
    best: int | None
    is_digit: float = 0.0
    row: tuple[int, ...] = ()


def judge(
    items: Sequence[Candidate], probabilities: Floats, is_digit: Floats, reject_below: float
) -> Verdict:
    """Returns the verdict on a picture whose k candidates have (k, 10) probabilities and (k,) is_digit."""
    if not items:
        return Verdict("blank", None)
    if items[0].is_exact:
        likeness = float(is_digit[0])
        return Verdict("digit" if likeness >= reject_below else "not_a_digit", 0, likeness)
    facts = features(items, probabilities, is_digit)
    best = int((facts @ WEIGHTS).argmax()) if len(items) > 1 else 0
    likeness = _sigmoid(float(likeness_features(facts, best) @ LIKENESS_WEIGHTS))
    row = find_row(items, is_digit, reject_below) if len(items) > 1 else ()
    if len(row) > 1 and float(row_features(items, is_digit, row) @ ROW_WEIGHTS) > 0:
        return Verdict("several_digits", best, likeness, row)
    return Verdict("digit" if likeness >= reject_below else "not_a_digit", best, likeness)


def judge_scores(found: Candidates, scores: Scores, reject_below: float) -> Verdict:
    """The verdict on a picture whose k candidates have these (k, CLASSES) or (k, CLASSES + 1) scores.

    A model that does not say `is_digit` chooses by its highest probability, and refuses nothing.
    """
    if scores.shape[1] == CLASSES:
        return judge(found.items, scores, scores.max(axis=1), 0.0)
    return judge(found.items, scores[:, :CLASSES], scores[:, CLASSES], reject_below)


def features(items: Sequence[Candidate], probabilities: Floats, is_digit: Floats) -> Floats:
    """Facts about each candidate, (k, 11)."""
    strongest = max(max(item.contrast for item in items), 1.0)
    facts = [
        (
            item.ground == "dark",
            item.ground == "light",
            item.ground == "lined",
            item.sheet,
            item.share,
            item.rank > 0,
            np.log(max(item.contrast, 1.0) / strongest),
            np.log(max(_width(item), _height(item), 0.01)),
            item.box[0] <= 0 or item.box[1] <= 0 or item.box[2] >= 1 or item.box[3] >= 1,
        )
        for item in items
    ]
    says = np.stack([_logit(is_digit), _logit(probabilities.max(axis=1))], axis=1)
    return np.concatenate([says[:, :1], np.array(facts, np.float32), says[:, 1:]], axis=1)


def likeness_features(facts: Floats, best: int) -> Floats:
    """Facts about a picture whose best candidate has this place: those of the candidate, and how many are.

    A letter of several strokes leaves a stroke that alone looks like a 1: what else there is says more.
    """
    return np.concatenate([facts[best], [np.log(len(facts)), 1]]).astype(np.float32)


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-max(value, -50.0)))


def find_row(items: Sequence[Candidate], is_digit: Floats, reject_below: float) -> tuple[int, ...]:
    """Places of candidates that are digits of like size side by side, from left to right."""
    row: list[int] = []
    for place in np.argsort(-is_digit, kind="stable").tolist():
        if is_digit[place] < reject_below:
            break
        if all(_side_by_side(items[place], items[other]) for other in row):
            row.append(place)
    return tuple(sorted(row, key=lambda place: items[place].box[0]))


def row_features(items: Sequence[Candidate], is_digit: Floats, row: Sequence[int]) -> Floats:
    """Facts about a row of digits against one digit that covers two of them or more, (4,)."""
    whole = [
        place
        for place, item in enumerate(items)
        if place not in row and sum(not _side_by_side(item, items[other]) for other in row) > 1
    ]
    logits = _logit(is_digit)
    gaps = [items[b].box[0] - items[a].box[2] for a, b in pairwise(row)]
    tallest = max(_height(items[place]) for place in row)
    return np.array(
        [
            max((logits[place] for place in whole), default=-MOST_LOGIT),
            min(logits[place] for place in row),
            min(gaps) / max(tallest, 0.01),
            1,
        ],
        np.float32,
    )


def _side_by_side(first: Candidate, second: Candidate) -> bool:
    shared = min(first.box[2], second.box[2]) - max(first.box[0], second.box[0])
    heights = sorted((_height(first), _height(second)))
    level = min(first.box[3], second.box[3]) - max(first.box[1], second.box[1]) > 0
    return (
        level
        and shared <= OVERLAP * min(_width(first), _width(second))
        and heights[0] >= LIKE_SIZE * heights[1]
    )


def _width(item: Candidate) -> float:
    return item.box[2] - item.box[0]


def _height(item: Candidate) -> float:
    return item.box[3] - item.box[1]


def _logit(share: Floats) -> Floats:
    clipped = np.clip(share.astype(np.float64), 1e-6, 1 - 1e-6)
    return np.clip(np.log(clipped / (1 - clipped)), -MOST_LOGIT, MOST_LOGIT).astype(np.float32)
