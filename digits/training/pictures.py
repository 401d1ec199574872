"""How a model reads pictures as people send them: read and judged as in a request."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from digits.corpus.examples import Example, sample
from digits.corpus.kinds import GROUPS
from digits.errors import BadInput
from digits.task import CLASSES
from digits.training.evaluation import Predict
from digits.vision.choosing import judge_scores
from digits.vision.decoding import MAX_PIXELS
from digits.vision.reading import Candidates, read_file

PER_KIND = 8  # pictures of each kind: some 100 to 200 of each group
SEED = 7


class Judged(NamedTuple):
    """Of n pictures."""

    right: NDArray[np.bool_]  # whether the digit is the answer; False for a refused picture
    is_digit: NDArray[np.float64]  # 0 for a blank or unreadable one


def picture_metrics(predict: Predict, reject_below: float) -> dict[str, float]:
    """Returns the share of pictures of each group of kinds that are read right, drawn by judging writers."""
    return {
        f"test_accuracy_{group}": float(
            judge_pictures(predict, sample("judge", SEED, PER_KIND, tuple(kinds)), reject_below).right.mean()
        )
        for group, kinds in GROUPS.items()
    }


def judge_pictures(predict: Predict, examples: Iterable[Example], reject_below: float) -> Judged:
    """Returns what the service would answer to each picture."""
    labels, found = [], []
    for example in examples:
        labels.append(example.label)
        found.append(_candidates(example.data))
    scores = predict(np.concatenate([candidates.pixels for candidates in found]))
    judged = Judged(np.zeros(len(found), np.bool_), np.zeros(len(found)))
    start = 0
    for place, candidates in enumerate(found):
        own = scores[start : start + len(candidates.items)]
        start += len(own)
        verdict = judge_scores(candidates, own, reject_below)
        if verdict.best is not None:
            judged.is_digit[place] = verdict.is_digit
            read = own[verdict.best, :CLASSES].argmax()
            judged.right[place] = verdict.kind == "digit" and read == labels[place]
    return judged


def _candidates(data: bytes) -> Candidates:
    try:
        return read_file(data, MAX_PIXELS)
    except BadInput:
        return Candidates([])
