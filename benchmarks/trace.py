"""A trace of the batch queue with the included model under a burst, for docs/how-batching-works.md.

    python -m benchmarks.trace

Images arrive at random times, most of them in a burst above the model's capacity.  The batcher reports for
each how long it waited and how long its batch ran; the picture is made of that, and of nothing else.  The
arrivals repeat, and the run of median length is drawn.
"""

import asyncio
from dataclasses import dataclass

import numpy as np

from digits.inference.classifier import Classifier
from digits.inference.settings import ServeSettings
from digits.task import Images
from digits.vision.golden import golden_digits
from testkit.cluster import ROOT
from testkit.models import load_classifier

PICTURE = ROOT / "docs" / "batching.png"
SEED, RUNS, COUNT, CALM = 4, 31, 40, 5
CALM_S, BURST_S = 0.0008, 0.00005  # mean time between two arrivals: of the first CALM images, of the others
SAME_S = 2e-5  # batches start further apart than this
GREY, BLUES = "#c8c8c8", ("#1f5fa8", "#7fb2e5")


@dataclass(frozen=True)
class Traced:
    """Seconds since the first arrival."""

    arrived: float
    started: float  # its batch
    ended: float
    batch_size: int


def arrivals() -> list[float]:
    """Returns the times at which images arrive, from 0 on."""
    rng = np.random.default_rng(SEED)
    gaps = [rng.exponential(CALM_S if number < CALM else BURST_S) for number in range(COUNT)]
    return [float(time) for time in np.cumsum(gaps) - gaps[0]]


async def trace(classifier: Classifier, image: Images) -> list[Traced]:
    """Returns what happened to each image, in the order of arrival."""
    loop = asyncio.get_running_loop()
    begin = loop.time()

    async def one(due: float) -> Traced:
        queued = loop.time() - begin
        answer = await classifier.classify(image)
        started = queued + answer.queue_s
        return Traced(due, started, started + answer.model_s, answer.batch_size)

    tasks = []
    for due in arrivals():
        while loop.time() - begin < due:
            await asyncio.sleep(0)  # a timer of the loop is a millisecond late
        tasks.append(asyncio.create_task(one(due)))
    return list(await asyncio.gather(*tasks))


async def median_trace() -> list[Traced]:
    """Returns the run of median length."""
    classifier = load_classifier(ServeSettings(model_uri="models/starter"))
    image = golden_digits()[0][:1]
    runs = [await trace(classifier, image) for _ in range(RUNS)]
    return sorted(runs, key=lambda run: run[-1].ended)[RUNS // 2]


def batches(traced: list[Traced]) -> list[list[int]]:
    """Returns the rows of each batch, in their order."""
    found: list[list[int]] = []
    for row, one in enumerate(traced):
        if found and one.started - traced[found[-1][0]].started < SAME_S:
            found[-1].append(row)
        else:
            found.append([row])
    return found


def draw(traced: list[Traced]) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 4.6))
    for number, rows in enumerate(batches(traced)):
        start, end = (1000 * getattr(traced[rows[0]], name) for name in ("started", "ended"))
        for row in rows:
            arrived = 1000 * traced[row].arrived
            axes.barh(row, start - arrived, left=arrived, color=GREY, height=0.8)
            axes.barh(row, end - start, left=start, color=BLUES[number % 2], height=0.8)
        axes.annotate(
            str(traced[rows[0]].batch_size), (end, (rows[0] + rows[-1]) / 2), xytext=(4, -3),
            fontsize=9, textcoords="offset points",
        )  # fmt: skip
    axes.invert_yaxis()
    axes.set(xlabel="milliseconds", ylabel="images in order of arrival")
    axes.set_title("grey: waits; blue: the model runs, with the size of the batch", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=110)


def main() -> None:
    traced = asyncio.run(median_trace())
    draw(traced)
    sizes = [traced[rows[0]].batch_size for rows in batches(traced)]
    print(f"{len(traced)} images in {1000 * traced[-1].ended:.1f} ms, in batches of {sizes}; {PICTURE}")


if __name__ == "__main__":
    main()
