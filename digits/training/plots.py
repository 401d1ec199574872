"""Plots of a training. The only module that imports matplotlib."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.task import CLASSES, LABELS, Images
from digits.training.evaluation import WORST, Evaluation
from digits.training.step import History

COLUMNS = 10  # of the grid of mistakes


def save_plots(
    folder: Path,
    history: History,
    evaluation: Evaluation,
    images: Images,
    labels: NDArray[np.uint8],
) -> None:
    """Writes learning_curves.png, confusion_matrix.png and worst_mistakes.png."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in (
        ("learning_curves", _learning_curves(history)),
        ("confusion_matrix", confusion_matrix(evaluation.confusion)),
        ("worst_mistakes", _worst_mistakes(evaluation, images, labels)),
    ):
        figure.savefig(folder / f"{name}.png", dpi=120)


def new_figure(width: float, height: float) -> Any:
    """Returns an empty figure, without pyplot, which keeps every figure and may need a display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _learning_curves(history: History) -> Any:
    figure = new_figure(9, 3.6)
    epochs = range(1, len(history) + 1)
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for key, label in ((name, "training, augmented"), (f"val_{name}", "validation")):
            axes.plot(epochs, [entry[key] for entry in history], label=label)
        axes.set(xlabel="epoch", title=name)
        axes.grid(alpha=0.3)
        axes.legend()
        if name == "accuracy":
            axes.set_ylim(max(0.9, min(entry["val_accuracy"] for entry in history) - 0.005), 1)
    return figure


def confusion_matrix(confusion: NDArray[np.int64]) -> Any:
    """Returns a figure that colours mistakes only; the diagonal's thousands would hide them."""
    figure = new_figure(6, 5.6)
    axes = figure.subplots()
    mistakes = confusion - np.diag(np.diag(confusion))
    axes.imshow(mistakes, cmap="Oranges")
    dark = 0.77 * mistakes.max()  # where black and white have the same contrast to Oranges
    for (row, column), count in np.ndenumerate(confusion):
        colour = "white" if mistakes[row, column] > dark else "black"
        axes.text(
            column, row, str(count) if count else "", ha="center", va="center", fontsize=9, color=colour
        )
    axes.set(xlabel="prediction", ylabel="label", title="Test images")
    axes.set_xticks(range(CLASSES), LABELS, rotation=45 if max(map(len, LABELS)) > 2 else 0)
    axes.set_yticks(range(CLASSES), LABELS)
    return figure


def _worst_mistakes(evaluation: Evaluation, images: Images, labels: NDArray[np.uint8]) -> Any:
    figure = new_figure(10, 5.6)
    figure.suptitle("The most confident mistakes: label, prediction, confidence")
    grid = figure.subplots(WORST // COLUMNS, COLUMNS).ravel()
    for axes, index in zip(grid, evaluation.worst, strict=False):
        axes.imshow(images[index], cmap="gray_r")
        probabilities = evaluation.probabilities[index]
        label, predicted = LABELS[labels[index]], LABELS[probabilities.argmax()]
        axes.set_title(f"{label}: {predicted} {probabilities.max():.0%}", fontsize=9)
    for axes in figure.axes:
        axes.axis("off")
    return figure
