"""Fitted scores: quadratic functions of a few facts, whose weights are in fitted.json.

`python -m benchmarks.fit_choice` fits and writes them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

FILE = "fitted.json"  # in this package
FARTHEST = 4.0  # standard deviations: beyond, a quadratic function says nothing


@dataclass(frozen=True)
class Quadratic:
    """z' A z of standardised facts z: `centre` and `scale` are (n,), A is `weights`, (n + 1, n + 1).

    The first fact is 1, so the first row holds the constant and the linear terms.
    """

    centre: Floats
    scale: Floats
    weights: Floats

    def __call__(self, facts: Floats) -> Floats:
        """Returns the scores (k,) of (k, n) facts."""
        standard = standardised(facts, self.centre, self.scale)
        result: Floats = ((standard @ self.weights) * standard).sum(axis=1)
        return result


def standardised(facts: Floats, centre: Floats, scale: Floats) -> Floats:
    """Returns (k, n + 1): 1, and facts of mean 0 and deviation 1, within FARTHEST of 0."""
    standard = np.clip((facts - centre) / scale, -FARTHEST, FARTHEST)
    return np.concatenate([np.ones((len(facts), 1)), standard], axis=1)


@cache
def fitted() -> Mapping[str, Quadratic]:
    """Returns the fitted scores by name: "choice", "likeness", "row"."""
    stored = json.loads(files("digits.vision").joinpath(FILE).read_text())
    return {
        name: Quadratic(**{part: np.array(values) for part, values in parts.items()})
        for name, parts in stored.items()
    }
