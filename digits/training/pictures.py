"""How a model reads pictures of the corpus: read and judged as in a request."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from digits.corpus.examples import Example, sample
from digits.corpus.kinds import GROUPS
from digits.corpus.threads import in_threads
from digits.errors import BadInput
from digits.task import CLASSES
from digits.training.evaluation import Predict, scores_of_each
from digits.vision.candidates import Candidates
from digits.vision.choosing import judge_scores
from digits.vision.limits import MAX_PIXELS
from digits.vision.reading import read_file

PER_KIND = 8  # pictures of each kind: some 100 to 200 of each group
SEED = 7


class Judged(NamedTuple):
    """The results for n pictures."""

    right: NDArray[np.bool_]  # whether the answer is correct; False for a rejected picture
    is_digit: NDArray[np.float64]  # 0 for a blank or unreadable one


def picture_metrics(predict: Predict, reject_below: float) -> dict[str, float]:
    """Returns the accuracy for each group of kinds, on pictures drawn from test writers."""
    return {
        f"test_accuracy_{group}": float(
            judge_pictures(predict, sample("judge", SEED, PER_KIND, tuple(kinds)), reject_below).right.mean()
        )
        for group, kinds in GROUPS.items()
    }


def judge_pictures(predict: Predict, examples: Iterable[Example], reject_below: float) -> Judged:
    """Returns how the service would answer each picture."""
    labels, found = zip(*in_threads(_labelled, examples), strict=True)
    judged = Judged(np.zeros(len(found), np.bool_), np.zeros(len(found)))
    for place, (candidates, scores) in enumerate(zip(found, scores_of_each(predict, found), strict=True)):
        verdict = judge_scores(candidates, scores, reject_below)
        if verdict.best is not None:
            judged.is_digit[place] = verdict.is_digit
            read = scores[verdict.best, :CLASSES].argmax()
            judged.right[place] = verdict.kind == "digit" and read == labels[place]
    return judged


def _labelled(example: Example) -> tuple[int | None, Candidates]:
    try:
        return example.label, read_file(example.data, MAX_PIXELS)
    except BadInput:
        return example.label, Candidates([])
