"""Streamed and drawn images -> the batches of one worker; each row is in one batch of an epoch."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from digits.streaming.plan import Stretch, Window, longest, shares
from digits.task import SHAPE, Images
from digits.training.augmentation import augment
from digits.training.samples import draw_samples, joined
from digits.training.settings import TrainSettings
from digits.training.streamed import StreamedDataset

MOST_DRAWN = 40_000  # drawn images of all workers, in memory: about as many as a training with MNIST has


class Batch(NamedTuple):
    images: Images
    labels: NDArray[np.uint8]
    weights: NDArray[np.float32]  # 0 for an image that only fills the batch

    def rows(self, start: int, stop: int) -> "Batch":
        return Batch(self.images[start:stop], self.labels[start:stop], self.weights[start:stop])

    def with_rows(self, other: "Batch") -> "Batch":
        return Batch(
            np.concatenate([self.images, other.images]),
            np.concatenate([self.labels, other.labels]),
            np.concatenate([self.weights, other.weights]),
        )


class StreamFeed:
    """The share of one worker, read by as many tasks as it has CPUs while it trains."""

    def __init__(self, settings: TrainSettings, dataset: StreamedDataset, worker: int, workers: int) -> None:
        self._settings, self._worker, self._workers = settings, worker, workers
        self._chunks = dataset.survey.parts["train"]
        self._rows = [chunk.kept for chunk in self._chunks]
        size = settings.batch_size // workers
        # Each batch has the same number of drawn images, and at least one row.
        self._drawn_each = min(size - 1, round(size * settings.drawn / (1 + settings.drawn)))
        self._rows_each = size - self._drawn_each
        # At least one for each worker, or none: another task than digits has none.
        drawn = max(workers, min(MOST_DRAWN, round(settings.drawn * dataset.train_count)))
        numbers = range(worker, drawn if self._drawn_each else 0, workers)
        self._drawn = draw_samples("train", numbers, settings.seed)
        self.steps = -(-dataset.train_count // (workers * self._rows_each))
        drawn = round(settings.drawn * len(dataset.validation.images))
        self.validation = joined(dataset.validation, draw_samples("validation", range(drawn), settings.seed))
        self._unreadable: list[str] = []
        self.failure: Exception | None = None

    def steps_left(self, epoch: int, done: Sequence[Stretch]) -> int:
        return -(-longest(self._shares(epoch, done)) // self._rows_each)

    def stretch(self, steps: int) -> Stretch:
        return Stretch(self._workers, steps, steps * self._rows_each)

    def unreadable(self) -> list[str]:
        found, self._unreadable = self._unreadable, []
        return found

    def batches(self, epoch: int, done: Sequence[Stretch]) -> Any:
        import tensorflow as tf

        settings = self._settings
        seed = settings.seed * 100_003 + epoch
        size = self._rows_each + self._drawn_each
        before = sum(stretch.steps for stretch in done)
        types = (
            tf.TensorSpec((size, *SHAPE), tf.uint8),
            tf.TensorSpec((size,), tf.uint8),
            tf.TensorSpec((size,), tf.float32),
        )
        return (
            tf.data.Dataset.from_generator(lambda: self.raw_batches(epoch, done), output_signature=types)
            .enumerate(before)
            .map(
                lambda number, batch: (augment(batch[0], settings, tf.stack([seed, number])), *batch[1:]),
                num_parallel_calls=1, deterministic=True,
            )
            .prefetch(4)
        )  # fmt: skip

    def raw_batches(self, epoch: int, done: Sequence[Stretch]) -> Iterator[Batch]:
        """Yields this worker's batches that remain of an epoch, not augmented; `failure` gets their error."""
        try:
            yield from self._raw_batches(epoch, done)
        except Exception as error:
            self.failure = error
            raise

    def _raw_batches(self, epoch: int, done: Sequence[Stretch]) -> Iterator[Batch]:
        windows = self._shares(epoch, done)[self._worker]
        before = sum(stretch.steps for stretch in done)
        rows = _of_size(self._mixed_rows(windows, epoch), self._rows_each)
        order = np.random.default_rng([self._settings.seed, epoch, 1]).permutation(len(self._drawn.images))
        for step in range(before, before + self.steps_left(epoch, done)):
            batch = next(rows)
            places = np.arange(step * self._drawn_each, (step + 1) * self._drawn_each) % len(order)
            images, labels = (part[order[places]] for part in self._drawn)
            yield batch.with_rows(Batch(images, labels, np.ones(len(labels), np.float32)))

    def _shares(self, epoch: int, done: Sequence[Stretch]) -> list[list[Window]]:
        return shares(self._rows, self._settings.seed, epoch, done, self._workers)

    def _mixed_rows(self, windows: Sequence[Window], epoch: int) -> Iterator[Batch]:
        """Yields each window's rows, shuffled; unreadable rows have weight 0 and another row's pixels."""
        from digits.streaming.pipeline import stream  # Ray takes seconds to import

        blocks = stream(
            [self._chunks[place] for window in windows for place in window.chunks],
            self._settings.cpus_per_worker,
        )
        for window in windows:
            read = [next(blocks) for _ in window.chunks]
            images = np.concatenate([block.images for block in read])
            labels = np.concatenate([block.labels for block in read])
            errors = [error for block in read for error in block.errors]
            order = window.order(self._settings.seed, epoch)
            good = np.array([not error for error in errors])
            self._unreadable += [errors[place] for place in order if errors[place]]
            if not good.all() and good.any():
                images[~good] = images[good.argmax()]
            yield Batch(images[order], labels[order], good[order].astype(np.float32))


def _of_size(parts: Iterator[Batch], size: int) -> Iterator[Batch]:
    """Yields batches of this size; fills up the last one, then yields filling batches without end."""
    filler = Batch(np.zeros((1, *SHAPE), np.uint8), np.zeros(1, np.uint8), np.zeros(1, np.float32))
    remaining = filler.rows(0, 0)
    for part in parts:
        remaining = remaining.with_rows(part)
        filler = Batch(part.images[-1:], part.labels[-1:], filler.weights)
        start = 0
        while len(remaining.labels) - start >= size:
            yield remaining.rows(start, start + size)
            start += size
        remaining = remaining.rows(start, len(remaining.labels))
    while True:
        places = np.zeros(size - len(remaining.labels), np.int64)
        fill = Batch(filler.images[places], filler.labels[places], filler.weights[places])
        yield remaining.with_rows(fill)
        remaining = remaining.rows(0, 0)
