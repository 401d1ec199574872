"""Fits the weights of digits/vision/{choosing,rows}.py on pictures of the corpus, and prints them.

python -m benchmarks.fit_choice --model models/starter
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from tqdm import tqdm

from digits.corpus.examples import SEVERAL, Example, sample
from digits.corpus.kinds import KINDS
from digits.corpus.negatives import NEGATIVES
from digits.errors import BadInput
from digits.task import CLASSES, Scores
from digits.vision.choosing import WEIGHTS, features, likeness_features
from digits.vision.limits import MAX_PIXELS
from digits.vision.reading import Candidate, read_file
from digits.vision.rows import possible_rows, row_features
from testkit.models import STARTER, load_model

Floats = NDArray[np.floating]
PENALTY = 1.0  # of the squared weights: few pictures have a say on some of the facts
SEVERALS, OTHERS = 8, 6  # times as many pictures of several digits, and of each kind of none, as of a kind
# Written as a digit is, so neither a digit nor none.
AMBIGUOUS = "letter_like_digits"


@dataclass
class Facts:
    """What the weights are fitted on."""

    choices: list[tuple[Floats, NDArray[np.bool_]]] = field(default_factory=list)  # and which are right
    # Of each picture of one digit or of none: also whether it is one.
    pictures: list[tuple[Floats, NDArray[np.bool_], bool]] = field(default_factory=list)
    rows: list[tuple[Floats, bool]] = field(default_factory=list)  # and whether they are several digits

    def add(self, example: Example, items: list[Candidate], scores: Scores, reject_below: float) -> None:
        probabilities, is_digit = scores[:, :CLASSES], scores[:, CLASSES]
        read = probabilities.argmax(axis=1)
        facts = features(items, probabilities, is_digit)
        if example.label is not None:
            is_right = read == example.label
            if is_right.any() and not is_right.all():
                self.choices.append((facts, is_right))
        if not example.digits or example.label is not None:
            self.pictures.append((facts, read == example.label, example.label is not None))
        for row in possible_rows(items, is_digit, reject_below) if example.digits else ():
            seen = tuple(read[list(row)].tolist())
            if example.label is not None or seen == example.digits:
                self.rows.append((row_features(items, is_digit, row), example.label is None))

    def likenesses(self, weights: Floats) -> list[tuple[Floats, bool]]:
        """Returns facts about each picture, and whether it shows a digit, of the candidates chosen so.

        A digit that is read wrong says nothing of either.
        """
        found = []
        for facts, is_right, is_digit in self.pictures:
            best = int((facts @ weights).argmax())
            if not is_digit or is_right[best]:
                found.append((likeness_features(facts, best), is_digit))
        return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=STARTER)
    parser.add_argument("--per-kind", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    model = load_model(arguments.model, max_batch_size=64)
    facts = Facts()
    others = [name for name in NEGATIVES if name != AMBIGUOUS]
    count = arguments.per_kind
    # Writers that the model was not trained on: of its own ones it is surer than it will be of others.
    examples = chain.from_iterable(
        sample("validation", arguments.seed, times * count, kinds)
        for times, kinds in ((1, tuple(KINDS)), (OTHERS, others), (SEVERALS, (SEVERAL,)))
    )
    total = count * (len(KINDS) + OTHERS * len(others) + SEVERALS)
    for example in tqdm(examples, total=total, unit="picture"):
        try:
            found = read_file(example.data, MAX_PIXELS)
        except BadInput:
            continue
        if found.items and not found.items[0].is_exact:
            facts.add(example, found.items, model.predict(found.pixels), model.reject_below)
    print_weights(facts)


def print_weights(facts: Facts) -> None:
    choices = facts.choices
    weights = _fitted(lambda w: sum(_listwise_loss(w, *choice) for choice in choices), len(WEIGHTS))
    for name, used in (("now", WEIGHTS), ("WEIGHTS", weights)):
        right = np.mean([is_right[(rows @ used).argmax()] for rows, is_right in choices])
        _print(name, used, f"right in {right:.1%} of {len(choices)} pictures")
    for name, samples, evenly in (
        ("LIKENESS_WEIGHTS", facts.likenesses(weights), True),
        ("rows.WEIGHTS", facts.rows, False),  # a digit must not be taken for several
    ):
        rows = np.array([row for row, _ in samples])
        answers = np.array([answer for _, answer in samples])
        fitted = _fitted(_logistic_loss(rows, answers, evenly), rows.shape[1])
        agree = ((rows @ fitted > 0) == answers).mean()
        _print(name, fitted, f"right for {agree:.1%} of {len(rows)}")


def _print(name: str, weights: Floats, comment: str) -> None:
    print(f"{name} = {[round(float(weight), 2) for weight in weights]}  # {comment}")


def _listwise_loss(weights: Floats, facts: Floats, is_right: NDArray[np.bool_]) -> float:
    """Returns minus the log-likelihood that a right candidate is drawn; its odds grow with its score."""
    scores = facts @ weights
    return float(np.logaddexp.reduce(scores) - np.logaddexp.reduce(scores[is_right]))


def _logistic_loss(rows: Floats, answers: NDArray[np.bool_], evenly: bool) -> Callable[[Floats], float]:
    """Returns minus the log-likelihood of the answers, as a function of the weights.

    With `evenly` the true and the false ones weigh the same together.
    """
    signs = np.where(answers, 1, -1)
    weights = np.ones(len(answers))
    if evenly:
        weights = np.where(answers, 1 / answers.sum(), 1 / (~answers).sum()) * len(answers) / 2
    return lambda w: float((weights * np.logaddexp(0, -signs * (rows @ w))).sum())


def _fitted(loss: Callable[[Floats], float], count: int) -> Floats:
    result = minimize(lambda w: loss(w) + PENALTY * float(w @ w), np.zeros(count), method="L-BFGS-B")
    return np.asarray(result.x)


if __name__ == "__main__":
    main()
