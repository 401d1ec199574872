"""Compares this training with Keras' `model.fit`, and with itself in bfloat16: same images and augmentation.

    python -m benchmarks.training_step --data mnist

An epoch of each in turn, for ten rounds; 10 minutes.  Writes docs/benchmarks/training_step.json.
"""

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.circumstances import circumstances
from benchmarks.tables import number, table
from digits.inference.source import PROJECT
from digits.training.data import Dataset, load
from digits.training.network import build_network, build_optimizer
from digits.training.settings import TrainSettings
from digits.training.step import Trainer

OUTPUT = PROJECT / "docs" / "benchmarks" / "training_step.json"
IMAGES, ROUNDS = 20_000, 10
KERAS = "Keras' `model.fit`"


def contenders(dataset: Dataset) -> dict[str, Callable[[int], object]]:
    """Returns functions that train and validate for one epoch, whose number they get."""
    settings = TrainSettings()
    mixed, ours, keras = (
        Trainer(settings.model_copy(update={"mixed_precision": precision}), dataset, worker=0, workers=1)
        for precision in (True, False, False)
    )
    keras.network = build_network(settings.dropout, settings.drawn > 0)
    optimizer = build_optimizer(settings, keras.steps)
    keras.network.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])

    def fit(epoch: int) -> None:
        keras.network.fit(keras.batches(epoch), epochs=1, verbose=0)
        keras.validate()

    return {
        KERAS: fit,
        "this project": lambda epoch: ours.train_epoch(epoch, lambda *_: None),
        "this project, `--mixed-precision`": lambda epoch: mixed.train_epoch(epoch, lambda *_: None),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="mnist")
    whole = load(parser.parse_args().data)
    dataset = dataclasses.replace(
        whole, train_images=whole.train_images[:IMAGES], train_labels=whole.train_labels[:IMAGES]
    )
    figures: dict[str, Any] = circumstances([])
    trained = contenders(dataset)
    settings = TrainSettings()
    images = IMAGES * (1 - settings.validation_share) * (1 + settings.drawn)
    rates: dict[str, list[float]] = {name: [] for name in trained}
    for epoch in range(ROUNDS + 1):
        for name, train in trained.items():
            start = time.perf_counter()
            train(epoch)
            rate = images / (time.perf_counter() - start)
            if epoch:  # epoch 0 traces and allocates
                rates[name].append(rate)
                print(f"{name}: {rate:,.0f} images/s", flush=True)
    figures["images_per_s"] = rates
    OUTPUT.write_text(json.dumps(figures, indent=1) + "\n")
    print(training_step_table(figures), end="")


def training_step_table(figures: dict[str, Any]) -> str:
    """Returns the table of docs/training.md: medians of the rounds' rates, and of their ratios."""
    rates: dict[str, list[float]] = figures["images_per_s"]
    rows = [
        [name, number(statistics.median(ones)),
         f"{statistics.median(one / keras for one, keras in zip(ones, rates[KERAS], strict=True)):.2f}"]
        for name, ones in rates.items()
    ]  # fmt: skip
    return table(["one worker with two cores", "images/s", f"to {KERAS}"], rows) + "\n"


if __name__ == "__main__":
    main()
