"""Fits the weights of digits/vision/choosing.py on pictures of the corpus, and prints them.

python -m benchmarks.fit_choice --model models/starter
"""

import argparse
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from tqdm import tqdm

from benchmarks.services import ROOT
from digits.corpus.examples import SEVERAL, Example, sample
from digits.corpus.kinds import KINDS
from digits.errors import BadInput
from digits.models.manifest import read_manifest
from digits.models.runtime import DigitModel
from digits.task import CLASSES
from digits.vision.choosing import WEIGHTS, features, find_row, row_features
from digits.vision.decoding import MAX_PIXELS
from digits.vision.reading import Candidate, read_file

Floats = NDArray[np.floating]
ROWS = 8  # times as many pictures of several digits as of each kind
PENALTY = 1.0  # of the squared weights: few pictures have a say on some of the facts


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "starter")
    parser.add_argument("--per-kind", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    sha256 = read_manifest(arguments.model).onnx_sha256
    model = DigitModel.load(arguments.model, sha256=sha256, threads=1, max_batch_size=64)
    pictures: list[tuple[Floats, NDArray[np.bool_]]] = []
    rows: list[tuple[Floats, bool]] = []
    # Writers that the model was not trained on: of its own ones it is surer than it will be of others.
    count = arguments.per_kind
    examples = chain(
        sample("validation", arguments.seed, count, tuple(KINDS)),
        sample("validation", arguments.seed, count * ROWS, (SEVERAL,)),
    )
    for example in tqdm(examples, total=count * (len(KINDS) + ROWS), unit="picture"):
        try:
            found = read_file(example.data, MAX_PIXELS)
        except BadInput:
            continue
        if len(found.items) < 2:
            continue
        scores = model.predict(found.pixels)
        _add(
            example, found.items, scores[:, :CLASSES], scores[:, CLASSES], model.reject_below, pictures, rows
        )
    weights = _fitted(
        lambda w: sum(_listwise_loss(w, *picture) for picture in pictures), pictures[0][0].shape[1]
    )
    for name, used in (("now", WEIGHTS), ("WEIGHTS", np.round(weights, 2))):
        right = np.mean([is_right[(facts @ used).argmax()] for facts, is_right in pictures])
        print(f"{name} = {used.tolist()}  # right in {right:.1%} of {len(pictures)} pictures")
    if rows:
        facts, several = np.array([row for row, _ in rows]), np.array([answer for _, answer in rows])
        of_rows = _fitted(lambda w: float(np.logaddexp(0, -np.where(several, 1, -1) * (facts @ w)).sum()), 4)
        agree = ((facts @ of_rows > 0) == several).mean()
        print(f"ROW_WEIGHTS = {np.round(of_rows, 2).tolist()}  # right for {agree:.1%} of {len(rows)} rows")


def _add(
    example: Example,
    items: Sequence[Candidate],
    probabilities: Floats,
    is_digit: Floats,
    reject_below: float,
    pictures: list[tuple[Floats, NDArray[np.bool_]]],
    rows: list[tuple[Floats, bool]],
) -> None:
    read = probabilities.argmax(axis=1)
    if example.label is not None:
        is_right = read == example.label
        if is_right.any() and not is_right.all():
            pictures.append((features(items, probabilities, is_digit), is_right))
    row = find_row(items, is_digit, reject_below)
    if len(row) > 1:
        seen = tuple(read[list(row)].tolist())
        if example.label is not None or seen == example.digits:
            rows.append((row_features(items, is_digit, row), example.label is None))


def _listwise_loss(weights: Floats, facts: Floats, is_right: NDArray[np.bool_]) -> float:
    """The negative log-likelihood that a right candidate is drawn, with odds that grow with its score."""
    scores = facts @ weights
    return float(np.logaddexp.reduce(scores) - np.logaddexp.reduce(scores[is_right]))


def _fitted(loss: Callable[[Floats], float], count: int) -> Floats:
    result = minimize(lambda w: loss(w) + PENALTY * float(w @ w), np.zeros(count), method="L-BFGS-B")
    return np.asarray(result.x)


if __name__ == "__main__":
    main()
