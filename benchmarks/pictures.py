"""Reports how well a model reads pictures as people send them, by writers that it was not trained on.

    python -m benchmarks.pictures                          # the starter, 20 pictures of each kind
    python -m benchmarks.pictures --model FOLDER --per-kind 100 --mnist mnist.npz --pictures FOLDER

It prints tables for the kinds of pictures, for three kinds with every digit of the test writers, for pictures
without a digit and for several digits. It writes a contact sheet of wrong answers, the worst kinds first; a
star marks a picture of which no candidate is read as its digit.
"""

import argparse
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.contact_sheet import write_contact_sheet
from benchmarks.judging import (
    PICTURES_OF_BATCH,
    Figures,
    Judged,
    Model,
    accuracy,
    by_kind,
    judge_all,
    rejections,
    several_figures,
)
from digits.corpus.examples import SEVERAL, Example, each_digit, sample
from digits.corpus.handwriting import Split
from digits.corpus.kinds import KINDS
from digits.corpus.negatives import NEGATIVES
from digits.task import CLASSES
from digits.training.data import load
from testkit.models import STARTER, load_model

SETS = {
    "the page's canvas": "canvas_white_on_black",
    "small on a sheet": "small_on_a_sheet",
    "light on dark": "light_on_dark",
}
MOST_ON_SHEET = 200
PER_KIND_ON_SHEET = 10
NEGATIVES_OF_KIND = 5  # pictures of each kind without a digit, for each picture of a kind with one


def report(
    model: Model, split: Split, seed: int, per_kind: int, per_set: int
) -> tuple[dict[str, Any], list[Judged]]:
    """Returns the figures of a model, and the pictures it answers wrongly, the worst kinds first."""

    def judged(name: str, examples: Iterable[Example], total: int) -> list[Judged]:
        bar = tqdm(examples, name, total, unit="picture", disable=None)
        return list(judge_all(bar, model))

    digits = judged("kinds", sample(split, seed, per_kind, list(KINDS)), per_kind * len(KINDS))
    kinds = by_kind(digits)
    more = per_kind * NEGATIVES_OF_KIND
    others = by_kind(judged("no digits", sample(split, seed, more, list(NEGATIVES)), more * len(NEGATIVES)))
    several = judged(SEVERAL, sample(split, seed, more, [SEVERAL]), more)
    sets = {
        name: judged(name, islice(each_digit(kind, split, seed), per_set), per_set)
        for name, kind in SETS.items()
        if per_set
    }
    figures = {
        "kinds": {kind: accuracy(own) for kind, own in kinds.items()} | {"all": accuracy(digits)},
        "sets": {name: accuracy(own) for name, own in sets.items()},
        "no digits": {kind: rejections(own, digits) for kind, own in others.items()}
        | {"all but letters": rejections(_all_but_letters(others), digits)},
        "several digits": several_figures(several),
    }
    return figures, list(_worst([*kinds.values(), *sets.values(), *others.values(), several]))


def mnist_figures(model: Model, source: str) -> Figures:
    """Returns n, and the shares right and rejected, for MNIST's test images as they are."""
    data = load(source)
    scores = np.concatenate([
        model.predict(data.test_images[start : start + PICTURES_OF_BATCH])
        for start in range(0, len(data.test_images), PICTURES_OF_BATCH)
    ])  # fmt: skip
    rejected = (
        scores[:, CLASSES] < model.reject_below if scores.shape[1] > CLASSES else np.zeros(len(scores), bool)
    )
    right = (scores[:, :CLASSES].argmax(axis=1) == data.test_labels) & ~rejected
    return {"n": len(scores), "right": float(right.mean()), "rejected": float(rejected.mean())}


def pictures_of(folder: Path) -> Iterator[Example]:
    """Yields the files named LABEL_KIND_NUMBER.* of a folder."""
    for file in sorted(folder.glob("[0-9]_*")):
        kind = file.stem[2:].rstrip("0123456789").rstrip("_")
        label = int(file.name[0])
        yield Example(kind, kind, file.read_bytes(), label, (label,))


def print_figures(figures: dict[str, Any]) -> None:
    for title, group in figures.items():
        rows = group if all(isinstance(row, dict) for row in group.values()) else {title: group}
        if not rows:
            continue
        columns = list(next(iter(rows.values())))
        print(f"\n{title:30}" + "".join(f"{column:>9}" for column in columns))
        for name, row in sorted(rows.items(), key=lambda item: _order(item[1])):
            print(f"{name:30}" + "".join(f"{_cell(column, row[column]):>9}" for column in columns))


def _cell(column: str, value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.4f}" if column == "auroc" else f"{value:,.0f}" if column == "n" else f"{value:.1%}"


def _order(row: Figures) -> float:
    return row.get("right", row.get("rejected", 0))


def _all_but_letters(others: dict[str, list[Judged]]) -> list[Judged]:
    """Returns the other negatives: some people write letters as others write digits."""
    return [each for kind, own in others.items() if not kind.startswith("letter") for each in own]


def _worst(groups: Iterable[Sequence[Judged]]) -> Iterator[Judged]:
    """Yields wrong answers, some of each group, the group with the largest share of them first."""
    ordered = sorted(groups, key=lambda own: -np.mean([not each.right for each in own]))
    for own in ordered:
        yield from [each for each in own if not each.right][:PER_KIND_ON_SHEET]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=STARTER, help="a model folder")
    parser.add_argument("--per-kind", type=int, default=20, help="pictures of each kind of one digit")
    parser.add_argument("--per-set", type=int, default=1000, help="digits of each set, at most (0: no sets)")
    parser.add_argument("--split", choices=("judge", "validation", "train"), default="judge")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mnist", help="mnist or FILE.npz: its test set is read too")
    parser.add_argument("--pictures", type=Path, help="a folder of pictures named LABEL_anything")
    parser.add_argument("--sheet", type=Path, default=Path("out/pictures.png"), help="the contact sheet")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    arguments = parser.parse_args()
    model = load_model(arguments.model, max_batch_size=PICTURES_OF_BATCH)
    figures, wrong = report(model, arguments.split, arguments.seed, arguments.per_kind, arguments.per_set)
    if arguments.mnist:
        figures["MNIST"] = mnist_figures(model, arguments.mnist)
    if arguments.pictures:
        real = list(judge_all(pictures_of(arguments.pictures), model))
        figures["real pictures"] = {kind: accuracy(own) for kind, own in by_kind(real).items()} | {
            "all": accuracy(real)
        }
        wrong = [each for each in real if not each.right] + wrong
    print_figures(figures)
    arguments.sheet.parent.mkdir(parents=True, exist_ok=True)
    write_contact_sheet(wrong[:MOST_ON_SHEET], arguments.sheet)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
