"""Compares the speed of our training with Keras' `model.fit`: same network, images and augmentation.

python -m benchmarks.training_step --data mnist
"""

import argparse
import dataclasses
import statistics
import time

from digits.training.data import Dataset, load
from digits.training.network import build_network, build_optimizer
from digits.training.settings import TrainSettings
from digits.training.step import Trainer

IMAGES, ROUNDS = 20_000, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="mnist")
    whole = load(parser.parse_args().data)
    dataset: Dataset = dataclasses.replace(
        whole, train_images=whole.train_images[:IMAGES], train_labels=whole.train_labels[:IMAGES]
    )
    settings = TrainSettings()
    ours, keras = (Trainer(settings, dataset, worker=0, workers=1) for _ in range(2))
    keras.network = build_network(settings.dropout, settings.drawn > 0)
    optimizer = build_optimizer(settings, keras.steps)
    keras.network.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    ratios = []
    for epoch in range(ROUNDS + 1):
        start = time.perf_counter()
        ours.train_epoch(epoch, lambda *_: None)
        middle = time.perf_counter()
        keras.network.fit(keras.batches(epoch), epochs=1, verbose=0)
        keras.validate()
        end = time.perf_counter()
        if epoch:  # epoch 0 traces and allocates
            ratios.append((middle - start) / (end - middle))
            print(f"ours {middle - start:.2f} s, model.fit {end - middle:.2f} s, ratio {ratios[-1]:.2f}")
    print(f"median ratio {statistics.median(ratios):.2f} of {ROUNDS} rounds")


if __name__ == "__main__":
    main()
