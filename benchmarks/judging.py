"""A model's answers to pictures, read and chosen as in the service, and figures about the answers."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

import numpy as np

from digits.corpus.examples import Example
from digits.errors import BadInput
from digits.task import CLASSES, Images, Pixels, Scores
from digits.vision.candidates import Candidates
from digits.vision.choosing import judge_scores
from digits.vision.limits import MAX_PIXELS
from digits.vision.reading import read_file

PICTURES_OF_BATCH = 64

Figures = dict[str, float]


class Model(Protocol):
    @property
    def reject_below(self) -> float: ...

    def predict(self, images: Images) -> Scores: ...


@dataclass(frozen=True, slots=True)
class Judged:
    """An example and the answer to it."""

    example: Example  # without its data if the answer is right
    verdict: str  # of digits.vision.choosing.Verdict, or the code of BadInput
    answer: int | None = None  # the digit of the chosen candidate, None if there is no candidate
    row: tuple[int, ...] = ()  # the digits of a row of candidates
    score: float = 0.0  # is_digit of the chosen candidate, or its highest probability if the model has none
    was_found: bool = False  # whether the model reads the label from any candidate
    pixels: Pixels | None = None  # the chosen candidate

    @property
    def right(self) -> bool:
        """Whether a digit got its label, several digits got all of theirs, and anything else was rejected."""
        if self.example.label is not None:
            return self.verdict == "digit" and self.answer == self.example.label
        if self.example.digits:
            return self.verdict == "several_digits" and self.row == self.example.digits
        return self.rejected

    @property
    def rejected(self) -> bool:
        return self.verdict != "digit"


def judge_all(examples: Iterable[Example], model: Model) -> Iterator[Judged]:
    """Yields each example judged; the candidates of many pictures go to the model together."""
    queue = iter(examples)
    while some := list(islice(queue, PICTURES_OF_BATCH)):
        found = [_read(example.data) for example in some]
        images = [each.pixels for each in found if isinstance(each, Candidates) and each.items]
        scores = model.predict(np.concatenate(images)) if images else np.zeros((0, CLASSES), np.float32)
        start = 0
        for example, each in zip(some, found, strict=True):
            if isinstance(each, str):
                yield Judged(example, each)
                continue
            own = scores[start : start + len(each.items)]
            start += len(own)
            judged = _judged(example, each, own, model.reject_below)
            yield replace(judged, example=replace(example, data=b"")) if judged.right else judged


def _read(data: bytes) -> Candidates | str:
    try:
        return read_file(data, MAX_PIXELS)
    except BadInput as error:
        return error.code


def _judged(example: Example, found: Candidates, scores: Scores, reject_below: float) -> Judged:
    verdict = judge_scores(found, scores, reject_below)
    if verdict.best is None:
        return Judged(example, verdict.kind)
    digits = scores[:, :CLASSES].argmax(axis=1).tolist()
    looks = verdict.is_digit if scores.shape[1] > CLASSES else float(scores[verdict.best].max())
    return Judged(
        example,
        verdict.kind,
        answer=digits[verdict.best],
        row=tuple(digits[place] for place in verdict.row),
        score=looks,
        was_found=example.label in digits,
        pixels=found.items[verdict.best].pixels,
    )


def accuracy(judged: Sequence[Judged]) -> Figures:
    """Returns n, and the shares right, rejected, and found by the reader, for pictures of one digit."""
    return {
        "n": len(judged),
        "right": _mean(each.right for each in judged),
        "rejected": _mean(each.rejected for each in judged),
        "found": _mean(each.was_found for each in judged),
    }


def rejections(judged: Sequence[Judged], digits: Sequence[Judged]) -> Figures:
    """Returns n, the share rejected, and the AUROC against the digits, for pictures without a digit."""
    return {
        "n": len(judged),
        "rejected": _mean(each.rejected for each in judged),
        "auroc": auroc(digits, judged),
    }


def several_figures(judged: Sequence[Judged]) -> Figures:
    """Returns n, and the shares recognised as several and with every digit right, for several digits."""
    return {
        "n": len(judged),
        "several": _mean(each.verdict == "several_digits" for each in judged),
        "right": _mean(each.right for each in judged),
    }


def auroc(digits: Sequence[Judged], others: Sequence[Judged]) -> float:
    """Returns how well the score separates digits from others, 0.5 to 1; NaN if one of the two is empty."""
    from sklearn.metrics import roc_auc_score

    if not digits or not others:
        return float("nan")
    truth = [True] * len(digits) + [False] * len(others)
    return float(roc_auc_score(truth, [each.score for each in (*digits, *others)]))


def by_kind(judged: Iterable[Judged]) -> dict[str, list[Judged]]:
    groups: dict[str, list[Judged]] = defaultdict(list)
    for each in judged:
        groups[each.example.kind].append(each)
    return dict(groups)


def _mean(values: Iterable[bool]) -> float:
    return float(np.mean([float(value) for value in values] or [np.nan]))
