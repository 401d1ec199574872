"""The scores of a picture's candidates -> its prediction, or the reason why there is none."""

from collections.abc import Sequence

from digits.errors import BadInput, NoDigit
from digits.inference.batcher import Answer
from digits.inference.items import Item, Read
from digits.task import CLASSES, LABELS, ModelVersion, Prediction, Scores
from digits.vision.candidates import Candidates
from digits.vision.choosing import Verdict, judge_scores

BLANK = "No ink stands out from the paper; write darker, or crop the picture closer to the digit"


def choose_all(
    items: Sequence[Item],
    read: Sequence[Read],
    answer: Answer | None,
    version: ModelVersion,
    reject_below: float,
) -> list[Prediction | BadInput]:
    """Returns the chosen candidate of each picture; their scores follow one another in the answer.

    Grey levels with ink are never rejected: the program that sends them gets is_digit and decides itself.
    """
    chosen: list[Prediction | BadInput] = []
    start = 0
    for item, found in zip(items, read, strict=True):
        if isinstance(found, BadInput):
            chosen.append(found)
            continue
        if not found.items or answer is None:
            chosen.append(BadInput("image_blank", BLANK))
            continue
        scores = answer.scores[start : start + len(found.items)]
        start += len(found.items)
        threshold = reject_below if isinstance(item, bytes) else 0.0
        chosen.append(_choose(found, scores, answer, version, threshold))
    return chosen


def _choose(
    found: Candidates, scores: Scores, answer: Answer, version: ModelVersion, reject_below: float
) -> Prediction | NoDigit:
    verdict = judge_scores(found, scores, reject_below)
    best = verdict.best or 0
    row = scores[best, :CLASSES].tolist()  # of a few numbers, plain floats are faster than numpy
    confidence = max(row)
    prediction = Prediction(
        row.index(confidence),
        confidence,
        row,
        verdict.is_digit if scores.shape[1] > CLASSES else None,
        version,
        answer.queue_s * 1000,
        answer.model_s * 1000,
        answer.batch_size,
        found.items[best].pixels,
    )
    if reject_below and prediction.is_digit is not None and verdict.kind != "digit":
        return _refusal(verdict, scores, prediction, reject_below)
    return prediction


def _refusal(verdict: Verdict, scores: Scores, guess: Prediction, reject_below: float) -> NoDigit:
    if verdict.kind == "several_digits":
        seen = " ".join(LABELS[int(scores[place, :CLASSES].argmax())] for place in verdict.row)
        return NoDigit(
            "several_digits",
            f"The picture shows the digits {seen}; send a separate picture of each digit",
            guess._replace(is_digit=0.0),
        )
    return NoDigit(
        "not_a_digit",
        f"The picture does not look like one digit: is_digit is {guess.is_digit:.3f}, below the threshold of "
        f"{reject_below:g}; the best guess is {guess.label} (confidence {guess.confidence:.2f}); crop the "
        "picture to one digit",
        guess,
    )
