"""Draws how three pictures become what the model sees, for docs/how-a-picture-is-read.md.

    python -m benchmarks.reading

The figure shows each picture with the boxes of its candidates, the candidates, and which one the model chose.
"""

import io

import numpy as np
from PIL import Image

from digits.corpus.examples import example
from digits.task import CLASSES
from digits.vision.choosing import judge_scores
from digits.vision.limits import MAX_PIXELS
from digits.vision.reading import read_file
from testkit.cluster import ROOT
from testkit.models import load_model

PICTURE = ROOT / "docs" / "reading.png"
SEED, SHOWN, SIDE_PX = 5, 6, 420
PICTURES = (("note_on_cloth", 2), ("photo_of_ruled_paper", 5), ("card_on_a_desk", 8))  # kind, digit
CHOSEN, OTHER = "#d62728", "#888888"


def shown(data: bytes) -> Image.Image:
    """Returns the picture upright and small."""
    with Image.open(io.BytesIO(data)) as image:
        small = image.convert("RGB")
    small.thumbnail((SIDE_PX, SIDE_PX))
    return small


def main() -> None:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt
    from matplotlib.patches import Rectangle

    model = load_model(max_batch_size=64)
    figure, axes = plt.subplots(
        len(PICTURES), 1 + SHOWN, figsize=(10, 5.4), width_ratios=[2.2] + [1] * SHOWN, layout="constrained"
    )
    for row, (kind, digit) in zip(axes, PICTURES, strict=True):
        data = example(kind, "judge", SEED, digit).data
        found = read_file(data, MAX_PIXELS)
        scores = model.predict(found.pixels)
        verdict = judge_scores(found, scores, model.reject_below)
        assert verdict.best is not None
        picture = shown(data)
        row[0].imshow(picture)
        # The chosen candidate is shown whatever its place.
        places = list(dict.fromkeys([*range(min(SHOWN, len(found.items))), verdict.best]))[-SHOWN:]
        for place in places:
            left, top, right, bottom = found.items[place].box
            width, height = picture.size
            row[0].add_patch(
                Rectangle(
                    (left * width, top * height), (right - left) * width, (bottom - top) * height,
                    fill=False, edgecolor=CHOSEN if place == verdict.best else OTHER,
                    linewidth=2 if place == verdict.best else 0.8,
                )
            )  # fmt: skip
        for panel, place in zip(row[1:], places, strict=False):
            panel.imshow(found.items[place].pixels, cmap="gray", vmin=0, vmax=255)
            read_as, sure = int(np.argmax(scores[place, :CLASSES])), float(scores[place, :CLASSES].max())
            best = place == verdict.best
            panel.set_title(
                f"{read_as}, {sure:.0%}" + (", chosen" if best else ""), fontsize=9,
                color=CHOSEN if best else "black",
            )  # fmt: skip
        for panel in row:
            panel.set_axis_off()
    figure.savefig(PICTURE, dpi=100)
    print(PICTURE)


if __name__ == "__main__":
    main()
