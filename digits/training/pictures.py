"""A model's accuracy on pictures as people send them, read and chosen as in a request."""

from collections.abc import Iterable

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


def picture_metrics(predict: Predict, reject_below: float) -> dict[str, float]:
    """Returns the share of pictures of each group of kinds that are read right, drawn by judging writers.

    A picture that is refused counts as wrong.
    """
    return {
        f"test_accuracy_{group}": float(
            np.mean(read_right(predict, sample("judge", SEED, PER_KIND, tuple(kinds)), reject_below))
        )
        for group, kinds in GROUPS.items()
    }


def read_right(predict: Predict, examples: Iterable[Example], reject_below: float) -> NDArray[np.bool_]:
    """Returns for each picture of one digit whether that digit would be the answer."""
    read = [(example.label, _candidates(example.data)) for example in examples]
    scores = predict(np.concatenate([found.pixels for _, found in read]))
    right, start = np.zeros(len(read), np.bool_), 0
    for place, (label, found) in enumerate(read):
        own = scores[start : start + len(found.items)]
        start += len(own)
        verdict = judge_scores(found, own, reject_below)
        if verdict.kind == "digit" and verdict.best is not None:
            right[place] = own[verdict.best, :CLASSES].argmax() == label
    return right


def _candidates(data: bytes) -> Candidates:
    try:
        return read_file(data, MAX_PIXELS)
    except BadInput:
        return Candidates([])
