"""docs/your-own-model.md as a program: its diffs and commands, and drawn data for its two models."""

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "your-own-model.md"
Picture = NDArray[np.uint8]
Rng = np.random.Generator
# Outlines in a square of 100; a garment is light on black.
GARMENTS = {
    "shirt": "25,20 40,15 60,15 75,20 95,40 82,52 72,42 72,90 28,90 28,42 18,52 5,40",
    "trousers": "30,8 70,8 78,95 56,95 50,40 44,95 22,95",
    "dress": "38,8 44,14 56,14 62,8 64,38 85,94 15,94 36,38",
    "boot": "38,10 62,10 62,62 92,76 92,90 38,90",
    "cap": "15,55 20,35 40,22 60,22 80,35 82,55 98,62 98,68 15,62",
    "bag": "10,40 30,40 30,18 70,18 70,40 90,40 90,88 10,88 10,40 36,40 64,40 64,24 36,24 36,40",
}
# Red, green and blue of a fruit, and how much longer it is than wide: apples and plums differ by colour.
FRUITS = {
    "apple": ((205, 35, 35), 1.0), "banana": ((235, 205, 60), 2.6), "lemon": ((240, 225, 60), 1.35),
    "lime": ((95, 175, 50), 1.35), "plum": ((95, 40, 120), 1.0),
}  # fmt: skip


@dataclass(frozen=True)
class Own:
    """A model of the document: its section's heading, its task, and how a picture of a label is drawn."""

    heading: str
    noun: str
    labels: tuple[str, ...]
    side: int
    channels: int
    draw: Callable[[str, int, Rng], Picture]  # label, side -> (side, side) or (side, side, 3)

    @property
    def section(self) -> str:
        (text,) = re.findall(
            rf"^## {self.heading}.*?(?=^## |\Z)", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE
        )
        return str(text)

    @property
    def diff(self) -> str:
        (text,) = re.findall(r"^```diff\n(.*?)^```$", self.section, re.DOTALL | re.MULTILINE)
        return str(text)

    @property
    def commands(self) -> list[str]:
        """The lines of the section's blocks of commands."""
        blocks = re.findall(r"^```bash\n(.*?)^```$", self.section, re.DOTALL | re.MULTILINE)
        return "".join(blocks).replace("\\\n", "").splitlines()

    def copy(self, folder: Path) -> None:
        """Copies the package with the document's diff, and with data in `own.npz`."""
        for name in ("digits", "testkit"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        subprocess.run(["git", "apply", "-"], cwd=folder, input=self.diff, text=True, check=True)
        self.write(folder / "own.npz", 60, 60)

    def write(self, file: Path, train: int, test: int) -> None:
        """Writes the data as the document describes it."""
        rng = np.random.default_rng(1)
        parts = {}
        for part, count in (("train", train), ("test", test)):
            labels = [self.labels[number % len(self.labels)] for number in range(count)]
            parts[f"x_{part}"] = np.stack([self.draw(label, self.side, rng) for label in labels])
            parts[f"y_{part}"] = np.array(labels)
        np.savez_compressed(file, **parts)  # type: ignore[arg-type]


def draw_garment(label: str, side: int, rng: Rng) -> Picture:
    points = np.array([place.split(",") for place in GARMENTS[label].split()], np.float32) / 100 - 0.5
    turned = points * rng.uniform(0.75, 0.95, 2) @ _turn(rng.uniform(-0.2, 0.2)) + rng.uniform(-0.05, 0.05, 2)
    picture = np.zeros((side, side), np.uint8)
    cv2.fillPoly(picture, [_fixed(turned, side)], int(rng.uniform(120, 255)), cv2.LINE_AA, 4)
    return _with_noise(picture, rng)


def draw_fruit(label: str, side: int, rng: Rng) -> Picture:
    colour, longer = FRUITS[label]
    picture = np.full((side, side, 3), rng.uniform(150, 255, 3), np.uint8)
    width = rng.uniform(0.24, 0.32)
    axes = np.array([width, width * longer]) / max(1.0, width * longer / 0.46)
    centre = tuple(int(each) for each in (rng.uniform(0.46, 0.54, 2) * side * 16))
    light = rng.uniform(0.8, 1.1)
    cv2.ellipse(
        picture, centre, tuple(int(each * side * 16) for each in axes), rng.uniform(0, 180), 0, 360,
        tuple(min(255, each * light) for each in colour), -1, cv2.LINE_AA, 4,
    )  # fmt: skip
    return _with_noise(picture, rng)


def _turn(angle: float) -> NDArray[np.float64]:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _fixed(points: NDArray[np.float64], side: int) -> NDArray[np.int32]:
    """Returns points in sixteenths of a pixel."""
    return ((points + 0.5) * side * 16).astype(np.int32)


def _with_noise(picture: Picture, rng: Rng) -> Picture:
    return np.clip(picture + rng.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)


CLOTHES = Own("Clothes", "garment", tuple(GARMENTS), 28, 1, draw_garment)
FRUIT = Own("Fruit", "fruit", tuple(FRUITS), 32, 3, draw_fruit)


def changed_lines(diff: str) -> list[tuple[str, int, int]]:
    """Returns the files of a diff, each with the lines that come and go."""
    found: list[tuple[str, int, int]] = []
    for part in re.split(r"^(?=--- )", diff, flags=re.MULTILINE)[1:]:
        (file,) = re.findall(r"^\+\+\+ b/(.*)", part, re.MULTILINE)
        more, less = (len(re.findall(rf"^{sign}(?!{sign}{sign} )", part, re.M)) for sign in (r"\+", "-"))
        found.append((file, more, less))
    return found


def changes_table() -> str:
    """Returns the document's table of what is changed by hand."""
    rows = ["| model | file | lines in | lines out |\n|---|---|---|---|\n"]
    for own in (CLOTHES, FRUIT):
        for file, more, less in changed_lines(own.diff):
            rows.append(f"| {own.heading.lower()} | `{file}` | {more} | {less} |\n")
    return "".join(rows)
