"""Plots of a search's trials: parallel_coordinates.png and importance.png."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from digits.search.records import Trial, ranked
from digits.search.space import Space
from digits.training.plots import new_figure

LABELLED = (0.0, 0.5, 1.0)  # positions on an axis that are labelled with their value
WORST_GREY = 0.8  # of the line of the worst trial; the best one is black


def save_search_plots(
    folder: Path, trials: Sequence[Trial], space: Space, importance: Mapping[str, float]
) -> None:
    """Writes a plot of all trials, and one of the importance if it is known."""
    if best_first := ranked(trials):
        _parallel_coordinates(best_first, space).savefig(folder / "parallel_coordinates.png", dpi=120)
    if importance:
        _importance(importance).savefig(folder / "importance.png", dpi=120)


def _parallel_coordinates(best_first: Sequence[Trial], space: Space) -> Any:
    """Draws a line for each trial across an axis for each setting and one for the accuracy."""
    names = sorted(space)
    figure = new_figure(2 + 1.3 * (len(names) + 1), 4.5)
    axes = figure.subplots()
    accuracies = [trial.best[0] for trial in best_first]
    low, high = min(accuracies), max(accuracies)
    places = range(len(names) + 1)
    for rank, trial in reversed(list(enumerate(best_first))):
        shares = [space[name].share_of(trial.values[name]) for name in names]
        shares.append((trial.best[0] - low) / (high - low) if high > low else 1.0)
        is_best = rank == 0
        grey = str(WORST_GREY * rank / max(1, len(best_first) - 1))
        style = {"color": "tab:red", "linewidth": 2.5} if is_best else {"color": grey, "linewidth": 1.0}
        axes.plot(places, shares, linestyle=":" if trial.outcome == "stopped" else "-", **style)
    for place, name in enumerate(names):
        for share in LABELLED:
            _label(axes, place, share, f"{space[name].value_at(share):.3g}")
    for share in LABELLED:
        _label(axes, len(names), share, f"{low + (high - low) * share:.2%}")
    axes.set_xticks(places, [*names, "validation\naccuracy"], rotation=20)
    axes.set(yticks=[], title="Trials: the best one red, the better the darker; dotted: stopped early")
    axes.grid(axis="x")
    for side in ("top", "bottom", "left", "right"):
        axes.spines[side].set_visible(False)
    return figure


def _label(axes: Any, place: int, share: float, text: str) -> None:
    axes.text(place + 0.04, share, text, fontsize=8, va="center", backgroundcolor=(1, 1, 1, 0.6))


def _importance(importance: Mapping[str, float]) -> Any:
    figure = new_figure(6.5, 1 + 0.35 * len(importance))
    axes = figure.subplots()
    names = list(importance)[::-1]
    axes.barh(np.arange(len(names)), [importance[name] for name in names])
    axes.set_yticks(np.arange(len(names)), names)
    axes.set(xlabel="share of what the settings explain", title="Permutation importance of a random forest")
    axes.grid(axis="x", alpha=0.3)
    return figure
