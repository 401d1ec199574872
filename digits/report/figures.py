"""Plots and pictures as data: URLs for the page."""

import base64
import io
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from digits.task import Pixels
from digits.training.evaluation import Evaluation, calibration
from digits.training.plots import confusion_matrix, new_figure

THUMBNAIL = 96  # pixels of the longer side
ENLARGED = 2  # times an image that the model saw


def calibration_svg(models: Iterable[tuple[str, Evaluation]], labels: NDArray[np.uint8]) -> str:
    """Returns a plot of accuracy against confidence, with a line for each name and evaluation."""
    figure = new_figure(5.6, 4.2)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle=":", label="perfect calibration")
    for name, evaluation in models:
        counts, confidences, right = calibration(evaluation.probabilities, labels)
        filled = counts > 0
        axes.plot(
            confidences[filled] / counts[filled], right[filled] / counts[filled], marker="o", label=name
        )
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend()
    return _svg(figure)


def confusion_svg(evaluation: Evaluation) -> str:
    return _svg(confusion_matrix(evaluation.confusion))


def _svg(figure: Any) -> str:
    content = io.BytesIO()
    figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    return _data_url("image/svg+xml", content.getvalue())


def pixels_png(pixels: Pixels) -> str:
    """Returns the image that a model saw, enlarged."""
    image = Image.fromarray(pixels)
    side = image.width * ENLARGED
    return _png(image.resize((side, side), Image.Resampling.NEAREST))


def thumbnail_png(data: bytes) -> str:
    """Returns a small copy of an image file."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if image.mode.startswith("I"):  # 16 bits
        levels = np.asarray(image).astype(float)
        image = Image.fromarray((levels * (255 / max(levels.max(), 1))).astype(np.uint8))
    image = image.convert("RGBA")
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    return _png(image)


def _png(image: Image.Image) -> str:
    content = io.BytesIO()
    image.save(content, "png", optimize=True)
    return _data_url("image/png", content.getvalue())


def _data_url(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"
