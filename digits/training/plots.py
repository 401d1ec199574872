"""Pictures of a training run.  The only module that imports matplotlib."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.training.evaluation import Evaluation

History = list[dict[str, float]]  # one entry an epoch


def save_plots(
    folder: Path,
    history: History,
    evaluation: Evaluation,
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
) -> None:
    """Writes learning_curves.png, confusion_matrix.png and worst_mistakes.png."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in (
        ("learning_curves", _learning_curves(history)),
        ("confusion_matrix", _confusion_matrix(evaluation.confusion)),
        ("worst_mistakes", _worst_mistakes(evaluation, images, labels)),
    ):
        figure.savefig(folder / f"{name}.png", dpi=120)


def _figure(width: float, height: float) -> Any:
    """Without pyplot: it keeps every figure, and asks for a screen."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _learning_curves(history: History) -> Any:
    figure = _figure(9, 3.6)
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


def _confusion_matrix(confusion: NDArray[np.int64]) -> Any:
    """Mistakes alone are coloured: beside the diagonal's thousands nothing else would be seen."""
    figure = _figure(6, 5.6)
    axes = figure.subplots()
    mistakes = confusion - np.diag(np.diag(confusion))
    axes.imshow(mistakes, cmap="Oranges")
    for (row, column), count in np.ndenumerate(confusion):
        axes.text(column, row, str(count) if count else "", ha="center", va="center", fontsize=9)
    axes.set(xticks=range(10), yticks=range(10), xlabel="read as", ylabel="label", title="Test images")
    return figure


def _worst_mistakes(evaluation: Evaluation, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Any:
    figure = _figure(10, 5.6)
    figure.suptitle("The most confident mistakes: label, what was read, with which confidence")
    for axes, index in zip(figure.subplots(3, 10).ravel(), evaluation.worst, strict=False):
        axes.imshow(images[index], cmap="gray_r")
        probabilities = evaluation.probabilities[index]
        axes.set_title(f"{labels[index]}: {probabilities.argmax()} {probabilities.max():.0%}", fontsize=9)
    for axes in figure.axes:
        axes.axis("off")
    return figure
