"""Fits the scores of digits/vision/fitted.py on pictures of the corpus, and writes fitted.json.

python -m benchmarks.fit_choice --model models/starter
"""

import argparse
import json
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
from digits.vision import fitted
from digits.vision.candidates import Candidate
from digits.vision.choosing import features, likeness_features
from digits.vision.fitted import Quadratic, standardised
from digits.vision.limits import MAX_PIXELS
from digits.vision.reading import read_file
from digits.vision.rows import possible_rows, row_features
from testkit.models import STARTER, load_model

Floats = NDArray[np.floating]
Loss = Callable[[Floats], tuple[float, Floats]]  # of the scores of all facts: the loss and its derivative

FILE = Path(fitted.__file__).with_name(fitted.FILE)
# Penalties on the squared weights, because only few pictures determine some of them.  Chosen on pictures of
# another seed.
PENALTIES = {"choice": 10.0, "likeness": 30.0, "row": 10.0}
CERTAINTIES = {"choice": 2, "likeness": 2, "row": 0}  # how many of the first facts are the model's certainty
# For each picture of a kind with one digit: pictures of several digits, and of each kind without a digit.
SEVERALS, OTHERS = 8, 6
# Left out, because some people write these letters exactly like digits.
AMBIGUOUS = "letter_like_digits"


@dataclass
class Facts:
    """What the scores are fitted on."""

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

    def likenesses(self, choice: Quadratic) -> list[tuple[Floats, bool]]:
        """Returns facts about the candidate that `choice` takes of each picture, and whether it is a digit.

        Misread digits are left out.
        """
        found = []
        for facts, is_right, is_digit in self.pictures:
            best = int(choice(facts).argmax())
            if not is_digit or is_right[best]:
                found.append((likeness_features(facts, best), is_digit))
        return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=STARTER)
    parser.add_argument("--per-kind", type=int, default=50, help="pictures of each kind and seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    model = load_model(arguments.model, max_batch_size=64)
    facts = Facts()
    others = [name for name in NEGATIVES if name != AMBIGUOUS]
    count = arguments.per_kind
    # Writers that the model was not trained on: it is more certain of those that it was trained on.
    examples = chain.from_iterable(
        sample("validation", seed, times * count, kinds)
        for seed in arguments.seeds
        for times, kinds in ((1, tuple(KINDS)), (OTHERS, others), (SEVERALS, (SEVERAL,)))
    )
    total = len(arguments.seeds) * count * (len(KINDS) + OTHERS * len(others) + SEVERALS)
    for example in tqdm(examples, total=total, unit="picture"):
        try:
            found = read_file(example.data, MAX_PIXELS)
        except BadInput:
            continue
        if found.items and not found.items[0].is_exact:
            facts.add(example, found.items, model.predict(found.pixels), model.reject_below)
    FILE.write_text(json.dumps(fit(facts)) + "\n")


def fit(facts: Facts) -> dict[str, dict[str, list[float]]]:
    """Returns the fitted scores as fitted.json holds them, and prints how often they are right."""
    rows = np.concatenate([own for own, _ in facts.choices])
    counts = [len(own) for own, _ in facts.choices]
    choice = _fitted("choice", rows, _listwise(counts, np.concatenate([right for _, right in facts.choices])))
    chosen = [bool(is_right[choice(own).argmax()]) for own, is_right in facts.choices]
    print(f"choice: right in {np.mean(chosen):.1%} of {len(chosen)} pictures")
    found = {"choice": choice}
    for name, samples, evenly in (
        ("likeness", facts.likenesses(choice), True),
        ("row", facts.rows, False),  # taking one digit for several is the worse mistake
    ):
        rows = np.array([row for row, _ in samples])
        answers = np.array([answer for _, answer in samples])
        found[name] = _fitted(name, rows, _logistic(answers, evenly))
        print(f"{name}: right for {((found[name](rows) > 0) == answers).mean():.1%} of {len(rows)}")
    return {
        name: {part: values.tolist() for part, values in vars(own).items()} for name, own in found.items()
    }


def _listwise(counts: list[int], is_right: NDArray[np.bool_]) -> Loss:
    """Returns minus the log-likelihood of drawing a right candidate of each picture; the odds are e^score."""
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    picture = np.repeat(np.arange(len(counts)), counts)

    def loss(scores: Floats) -> tuple[float, Floats]:
        odds = np.exp(scores - np.maximum.reduceat(scores, starts)[picture])
        every, right = np.add.reduceat(odds, starts), np.add.reduceat(odds * is_right, starts) + 1e-300
        slope = odds / every[picture] - odds * is_right / right[picture]
        return float(np.log(every / right).sum()), slope

    return loss


def _logistic(answers: NDArray[np.bool_], evenly: bool) -> Loss:
    """Returns minus the log-likelihood of the answers; `evenly` gives both of them the same total weight."""
    signs = np.where(answers, 1.0, -1.0)
    weights = np.ones(len(answers))
    if evenly:
        weights = np.where(answers, 1 / answers.sum(), 1 / (~answers).sum()) * len(answers) / 2

    def loss(scores: Floats) -> tuple[float, Floats]:
        margins = signs * scores
        slope = -weights * signs * np.exp(-np.logaddexp(0, margins))
        return float((weights * np.logaddexp(0, -margins)).sum()), slope

    return loss


def _fitted(name: str, rows: Floats, loss: Loss) -> Quadratic:
    centre, scale = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    standard = standardised(rows, centre, scale)
    first, second = np.triu_indices(standard.shape[1])
    # More certainty of the model must never make a candidate worse, so it is in no product.
    certain = range(1, 1 + CERTAINTIES[name])
    allowed = (first == 0) | ~(np.isin(first, certain) | np.isin(second, certain))
    first, second = first[allowed], second[allowed]
    products = standard[:, first] * standard[:, second]
    penalty = np.where(second == 0, 0.0, PENALTIES[name])  # the constant is free

    def objective(weights: Floats) -> tuple[float, Floats]:
        value, slope = loss(products @ weights)
        return value + float(penalty @ weights**2), products.T @ slope + 2 * penalty * weights

    result = minimize(
        objective,
        np.zeros(len(first)),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 5000, "maxfun": 10000},
    )
    weights = np.zeros((standard.shape[1],) * 2)
    weights[first, second] = result.x
    return Quadratic(*(np.round(each.astype(float), 4) for each in (centre, scale, weights)))


if __name__ == "__main__":
    main()
