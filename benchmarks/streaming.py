"""Compares training on streamed data with data in memory: `python -m benchmarks.streaming`

The data are scikit-learn's digits, repeated to 60,000 images, as Parquet of pixels, without drawn images, on
1, 2 and 4 workers. The rate is that of the epochs after the first, which includes the start. Then it measures
reading alone. Takes eight minutes; writes docs/benchmarks/streaming.json.
"""

import dataclasses
import json
import logging
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.circumstances import circumstances
from benchmarks.tables import number, table
from digits.inference.source import PROJECT
from digits.streaming.survey import survey
from digits.training.as_parquet import write_dataset, write_pictures
from digits.training.data import Dataset, load
from digits.training.settings import TrainSettings
from digits.training.step import Metrics
from digits.training.streamed import open_data

OUTPUT = PROJECT / "docs" / "benchmarks" / "streaming.json"
# Ray Train polls the workers once a second, so an epoch must take many seconds.
IMAGES, EPOCHS = 60_000, 3
WORKERS = (1, 2, 4)
LOGICAL_CPUS = 8  # that Ray counts, so that four workers fit any machine
PICTURES = 10  # of each kind: one of each digit


@dataclasses.dataclass(frozen=True)
class Clock:
    """Notes when each epoch ends; called in another process."""

    file: Path

    def __call__(self, epoch: int, metrics: Metrics) -> None:
        with self.file.open("a") as file:
            file.write(f"{time.time()}\n")


def trained(data: Path, workers: int, folder: Path) -> float:
    """Returns the images a second of the epochs after the first."""
    from digits.training.run import run_workers  # Ray takes seconds to import

    cores = os.cpu_count() or 1
    settings = TrainSettings(
        data=str(data), drawn=0, epochs=EPOCHS, patience=EPOCHS, num_workers=workers,
        cpus_per_worker=max(1, cores // workers), storage_path=str(folder), name=f"{data.name}-{workers}",
    )  # fmt: skip
    dataset = open_data(settings)
    clock = folder / f"{settings.name}.txt"
    run_workers(settings, dataset, Clock(clock))
    ends = np.array([float(line) for line in clock.read_text().splitlines()])
    images = dataset.train_count * (1 - settings.validation_share * isinstance(dataset, Dataset))
    return float(images * (EPOCHS - 1) / (ends[-1] - ends[0]))


def read(data: Path) -> float:
    """Returns the rows that are read per second without training, after the first chunk."""
    from digits.streaming.pipeline import stream

    chunks = survey(str(data), 0.08, 1).parts["train"]
    ends = [(time.perf_counter(), len(rows.labels)) for rows in stream(chunks, os.cpu_count() or 1)]
    return sum(rows for _, rows in ends[1:]) / (ends[-1][0] - ends[0][0])


def main() -> None:
    import ray

    figures: dict[str, Any] = circumstances([])
    whole = load("sklearn-digits")
    places = np.arange(IMAGES) % whole.train_count
    some = dataclasses.replace(
        whole, train_images=whole.train_images[places], train_labels=whole.train_labels[places]
    )
    ray.init(num_cpus=LOGICAL_CPUS, logging_level=logging.ERROR, log_to_driver=False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_dataset(folder / "parquet", some)
        write_pictures(folder / "pictures", PICTURES)
        np.savez(
            folder / "memory.npz", x_train=some.train_images, y_train=some.train_labels,
            x_test=some.test_images, y_test=some.test_labels,
        )  # fmt: skip
        runs = [("in memory", folder / "memory.npz", 1)]
        runs += [("streamed", folder / "parquet", workers) for workers in WORKERS]
        figures["trained"] = []
        for what, data, workers in runs:
            rate = trained(data, workers, folder)
            figures["trained"].append({"data": what, "workers": workers, "images_per_s": rate})
        figures["read"] = {
            "Parquet, pixels": read(folder / "parquet"), "Parquet, pictures": read(folder / "pictures"),
        }  # fmt: skip
    OUTPUT.write_text(json.dumps(figures, indent=1) + "\n")
    print(streaming_table(figures), end="")


def streaming_table(figures: dict[str, Any]) -> str:
    """Returns the table of docs/training.md."""
    first = figures["trained"][0]["images_per_s"]
    rows = [
        [f"trained, {row['data']}", str(row["workers"]), number(row["images_per_s"]),
         f"{row['images_per_s'] / first:.2f}"]
        for row in figures["trained"]
    ]  # fmt: skip
    rows += [[f"read only, {what}", "", number(rate), ""] for what, rate in figures["read"].items()]
    return table(["", "workers", "images/s", "of in memory"], rows) + "\n"


if __name__ == "__main__":
    main()
