"""The model's scores for the candidates of a picture -> the digit, or the reason why there is none.

The choice is learned: a score of a few facts about each candidate (fitted.py). It was fitted on pictures of
validation writers so that the candidate with the right digit gets the highest score of its picture.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from digits.task import CLASSES, Scores
from digits.vision.candidates import Candidate, Candidates
from digits.vision.contrast import GUESSES
from digits.vision.fitted import fitted
from digits.vision.measures import (
    Floats,
    flatness,
    height,
    is_at_edge,
    log_contrast,
    logit,
    slimness,
    width,
)
from digits.vision.rows import find_row

# The hypotheses but the first, paper of one colour.
GROUNDS = ("dark", "light", "lined", "strong", *GUESSES)


@dataclass(frozen=True)
class Verdict:
    """What a picture shows.

    `best` is the position of the candidate that most likely is the digit, None for a blank picture.
    `is_digit`, 0 to 1, is how much that candidate and the rest of the picture look like one digit. `row` has
    the positions of several digits from left to right; it is empty unless there are several.
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
    best = int(fitted()["choice"](facts).argmax()) if len(items) > 1 else 0
    likeness = _sigmoid(float(fitted()["likeness"](likeness_features(facts, best)[None])[0]))
    if len(items) > 1 and (row := find_row(items, is_digit, reject_below)):
        return Verdict("several_digits", best, likeness, row)
    return Verdict("digit" if likeness >= reject_below else "not_a_digit", best, likeness)


def judge_scores(found: Candidates, scores: Scores, reject_below: float) -> Verdict:
    """Returns the verdict on a picture whose k candidates have (k, CLASSES) or (k, CLASSES + 1) scores.

    A model without `is_digit` chooses by its highest probability, and rejects nothing.
    """
    if scores.shape[1] == CLASSES:
        return judge(found.items, scores, scores.max(axis=1), 0.0)
    return judge(found.items, scores[:, :CLASSES], scores[:, CLASSES], reject_below)


def features(items: Sequence[Candidate], probabilities: Floats, is_digit: Floats) -> Floats:
    """Returns facts about each candidate, (k, 20)."""
    strongest = max(map(log_contrast, items))
    facts = [
        (
            *(item.ground == name for name in GROUNDS),
            item.sheet,
            item.share,
            item.rank > 0,
            log_contrast(item) - strongest,
            math.log(max(width(item), height(item), 0.01)),
            is_at_edge(item),
            math.log1p(20 * item.others.inside),
            math.log1p(4 * item.others.beside),
            item.others.around,
            slimness(item),
            flatness(item),
        )
        for item in items
    ]
    says = np.stack([logit(is_digit), logit(probabilities.max(axis=1))], axis=1)
    return np.concatenate([says, np.array(facts, np.float32)], axis=1)


def likeness_features(facts: Floats, best: int) -> Floats:
    """Returns facts (21,) about a picture and its best candidate, which has this position.

    A letter of several strokes can leave a stroke that alone looks like a 1: the rest of the picture says
    more.
    """
    return np.append(facts[best], np.log(len(facts))).astype(np.float32)


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-max(value, -50.0)))
