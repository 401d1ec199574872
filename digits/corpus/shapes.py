"""Shapes, signs and scribbles as strokes; circles and upright lines are missing, since they are digits."""

import numpy as np
from numpy.typing import NDArray

from digits.corpus.canvas import Rng

Lines = list[NDArray[np.float64]]  # strokes (k, 2) of any scale, y downwards

ROUND = np.linspace(0, 2 * np.pi, 25)
ARC = np.linspace(0, 1, 40)


def ellipse(x: float, y: float, wide: float, high: float) -> NDArray[np.float64]:
    return np.stack([x + wide * np.cos(ROUND), y + high * np.sin(ROUND)], axis=1)


def polygon(corners: int) -> NDArray[np.float64]:
    """Returns a closed regular polygon with a side at the bottom."""
    angle = np.linspace(0, 2 * np.pi, corners + 1) - np.pi / 2
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _lines(drawing: str) -> Lines:
    """Returns strokes from text: points `x,y` in hundredths, strokes separated by a slash."""
    return [
        np.array([[float(value) / 100 for value in point.split(",")] for point in stroke.split()])
        for stroke in drawing.split("/")
    ]


_HEART = (16 * np.sin(ROUND) ** 3, 2 * np.cos(3 * ROUND) + 5 * np.cos(2 * ROUND) - 13 * np.cos(ROUND))
_PETALS = [
    ellipse(0.5 + 0.3 * np.cos(angle), 0.5 + 0.3 * np.sin(angle), 0.16, 0.16) for angle in np.arange(5) * 1.26
]

SHAPES: dict[str, Lines] = {
    "flower": _PETALS,
    "heart": [np.stack(_HEART, 1)],
    "star": [polygon(5)[[0, 2, 4, 1, 3, 0]]],
    "triangle": [polygon(3)],
    "wave": [np.stack([3 * ARC, 0.25 * np.sin(12 * np.pi * ARC)], 1)],
} | {
    name: _lines(drawing)
    for name, drawing in {
        "arrow": "0,50 100,50 / 65,20 100,50 65,80",
        "arrow up": "50,100 50,0 / 20,35 50,0 80,35",
        "bolt": "60,0 20,55 50,55 35,100 85,40 50,40 60,0",
        "cross": "50,0 50,100 / 0,50 100,50",
        "cup": "0,0 15,100 75,100 90,0 0,0 / 88,20 120,25 115,60 80,65",
        "flag": "0,100 0,0 80,15 75,50 0,40",
        "house": "0,100 0,45 50,0 100,45 100,100 0,100 / 40,100 40,70 60,70 60,100",
        "lines": "0,0 100,0 / 0,25 100,25 / 0,50 100,50 / 0,75 100,75",
        "moon": "70,0 30,15 10,50 30,85 70,100 50,75 42,50 50,25 70,0",
        "rectangle": "0,0 160,0 160,100 0,100 0,0",
        "square": "0,0 100,0 100,100 0,100 0,0",
        "table": "0,0 100,0 100,100 0,100 0,0 / 50,0 50,100 / 0,50 100,50",
        "tick": "0,60 35,100 100,0",
        "tree": "50,0 10,70 90,70 50,0 / 50,70 50,100",
        "x": "0,0 100,100 / 100,0 0,100",
    }.items()
}
SIGNS: dict[str, Lines] = {
    "infinity": [np.stack([np.cos(ROUND), 0.4 * np.sin(2 * ROUND)], 1)],
    "per cent": [
        ellipse(0.2, 0.22, 0.18, 0.2),
        ellipse(0.8, 0.78, 0.18, 0.2),
        np.array([[0.85, 0], [0.15, 1]]),
    ],
    "tilde": [np.stack([ARC, 0.15 * np.sin(2 * np.pi * ARC)], 1)],
} | {
    name: _lines(drawing)
    for name, drawing in {
        "asterisk": "50,0 50,100 / 7,25 93,75 / 93,25 7,75",
        "divided by": "0,50 100,50 / 50,10 50,12 / 50,90 50,92",
        "equals": "0,0 100,0 / 0,40 100,40",
        "euro": "90,15 60,0 25,20 15,50 25,80 60,100 90,85 / 0,40 70,40 / 0,60 65,60",
        "exclamation mark": "0,0 0,70 / 0,98 1,100",
        "greater": "0,0 100,45 0,90",
        "hash": "35,0 25,100 / 75,0 65,100 / 0,35 100,33 / 0,68 100,66",
        "less": "100,0 0,45 100,90",
        "minus": "0,0 100,0",
        "paragraph": "100,0 40,0 25,22 40,48 65,48 / 65,0 65,100 / 90,0 90,100",
        "pi": "0,5 100,0 / 30,5 25,100 / 70,5 72,90 90,100",
        "plus": "50,5 50,95 / 0,50 100,50",
        "question mark": "5,22 30,0 65,8 70,30 40,50 38,72 / 38,98 39,100",
        "root": "0,60 15,50 35,100 60,0 130,0",
        "sum": "100,10 95,0 0,0 50,50 0,100 100,100 100,88",
        "therefore": "50,0 51,1 / 0,80 1,81 / 100,80 101,81",
    }.items()
}


def zigzag(rng: Rng) -> NDArray[np.float64]:
    count = rng.integers(7, 16)
    x = np.linspace(0, 1, count) + rng.normal(0, 0.02, count)
    y = np.where(np.arange(count) % 2, 0.0, rng.uniform(0.4, 1)) + rng.normal(0, 0.06, count)
    return np.stack([x, y], axis=1) if rng.random() < 0.5 else np.stack([y, x], axis=1)


def tangle(rng: Rng) -> NDArray[np.float64]:
    turns, count = rng.uniform(2.5, 6), 90
    angle = np.linspace(0, 2 * np.pi * turns, count)
    radius = 0.35 + 0.15 * np.sin(angle * rng.uniform(0.2, 0.9)) + rng.normal(0, 0.01, count)
    drift = np.linspace(0, rng.uniform(0.4, 1.5), count)
    return np.stack([radius * np.cos(angle) + drift, radius * rng.uniform(0.6, 1.4) * np.sin(angle)], axis=1)


def walk(rng: Rng) -> NDArray[np.float64]:
    corners = rng.uniform(0, 1, (rng.integers(9, 18), 2))
    for _ in range(2):  # cuts the corners
        corners = np.stack(
            [0.75 * corners[:-1] + 0.25 * corners[1:], 0.25 * corners[:-1] + 0.75 * corners[1:]], 1
        )
        corners = corners.reshape(-1, 2)
    return corners


def spiral(rng: Rng) -> NDArray[np.float64]:
    angle = np.linspace(0, 2 * np.pi * rng.uniform(2.5, 5), 90) * rng.choice([-1, 1])
    return np.stack([np.abs(angle) * np.cos(angle), np.abs(angle) * np.sin(angle)], axis=1)


SCRIBBLES = (zigzag, tangle, walk, spiral)
