"""The plots of docs/benchmarks.md."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.tables import Round, Rounds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# This service is red and thick, the ceiling black; the colour-blind can tell the others apart.
STYLES: dict[str, dict[str, Any]] = {
    "digits-haproxy-1": {"color": "#d62728", "linewidth": 2.5},
    "digits-haproxy-2": {"color": "#d62728", "linewidth": 2.5, "linestyle": "--"},
    "digits-default-1": {"color": "#ff9896", "linewidth": 1.8},
    "digits-default-2": {"color": "#ff9896", "linewidth": 1.8, "linestyle": "--"},
    "asgi": {"color": "#222222", "linewidth": 1.8, "linestyle": ":"},
    "litserve": {"color": "#7b4ea3"},
    "bentoml": {"color": "#1f77b4"},
    "mosec": {"color": "#8c564b"},
    "mosec-2": {"color": "#8c564b", "linestyle": "--"},
    "mlserver": {"color": "#2ca089"},
    "mlflow": {"color": "#b8860b"},
    "flask-keras": {"color": "#888888"},
}


def draw_throughput(rounds: Rounds, file: Path) -> None:
    figure, (axes,) = _figure(1)
    for name, measured in rounds.items():
        connections = [point["connections"] for point in measured[0]["closed"]]
        rates = [
            median(one["closed"][place]["rate"] for one in measured) for place in range(len(connections))
        ]
        axes.plot(connections, rates, marker="o", markersize=4, label=name, **STYLES[name])
    axes.set(xscale="log", xlabel="connections, each with one request at a time", ylabel="requests a second")
    axes.set_xticks(connections, [str(count) for count in connections])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter("{x:,g}")
    _save(figure, axes, file)


def draw_latency(rounds: Rounds, file: Path) -> None:
    figure, panels = _figure(2)
    for axes, percentile in zip(panels, ("p50", "p99"), strict=True):
        for name, measured in rounds.items():
            points = list(zip(*(one["open"] for one in measured), strict=True))
            rates = [median(point["rate"] for point in same) for same in points]
            times = [_median_ms(same, f"{percentile}_ms") for same in points]
            axes.plot(rates, times, marker="o", markersize=4, label=name, **STYLES[name])
        axes.set(xscale="log", yscale="log", title=percentile, xlabel="requests a second, at a fixed rate")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:,g}")
    panels[0].set_ylabel("milliseconds")
    _save(figure, panels[-1], file)


def _median_ms(points: Sequence[Round], key: str) -> float:
    """Returns the median, or not a number, which is not drawn, if a round accepted nothing."""
    values = [point[key] for point in points]
    return median(values) if None not in values else float("nan")


def _figure(panels: int) -> "tuple[Figure, Sequence[Axes]]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 + 4.2 * panels, 4.6), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False, sharey=True)[0]
    for each in axes:
        each.grid(which="major", alpha=0.3)
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: "Figure", axes: "Axes", file: Path) -> None:
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    figure.savefig(file, dpi=120)
