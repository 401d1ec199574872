"""The batches of one worker and the validation images: from memory here, streamed in stream_feed."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from digits.errors import DataUnavailable
from digits.streaming.plan import Stretch
from digits.training.augmentation import augment
from digits.training.data import Dataset, TrainingData
from digits.training.samples import Samples, draw_samples, joined
from digits.training.settings import TrainSettings
from digits.training.stream_feed import StreamFeed
from digits.training.streamed import StreamedDataset


class Feed(Protocol):
    """What a worker trains on. All workers have the same number of batches of the same size."""

    steps: int  # steps in an epoch, for the learning rate; a streamed epoch may have a few more or less
    validation: Samples
    failure: Exception | None  # that ended the batches; TensorFlow shows only its own error

    def steps_left(self, epoch: int, done: Sequence[Stretch]) -> int: ...

    def batches(self, epoch: int, done: Sequence[Stretch]) -> Any:
        """Returns a tf.data.Dataset of augmented images, labels and, if some are only filling, weights.

        Order and augmentation depend only on seed, epoch and `done`.
        """

    def stretch(self, steps: int) -> Stretch:
        """Returns what these workers have done of an epoch after this many steps."""

    def unreadable(self) -> list[str]:
        """Returns the unreadable pictures since the last call, with reasons."""


class MemoryFeed:
    """Batches of images in memory: every worker holds its share of them."""

    failure: Exception | None = None

    def __init__(self, settings: TrainSettings, dataset: Dataset, worker: int, workers: int) -> None:
        import tensorflow as tf

        self._settings, self._workers = settings, workers
        train, held_back = split(dataset, settings)
        drawn = round(settings.drawn * len(train.images))
        self.steps = count_steps(settings, len(train.images), workers)
        images, labels = joined(
            Samples(train.images[worker::workers], train.labels[worker::workers]),
            draw_samples("train", range(worker, drawn, workers), settings.seed),
        )
        # Tensors: TensorFlow would write arrays into the graph of each epoch, which takes it seconds.
        with tf.device("CPU"):  # where tf.data runs, also on a machine with a GPU
            self._images, self._labels = tf.constant(images), tf.constant(labels)
        drawn = round(settings.drawn * len(held_back.images))
        self.validation = joined(held_back, draw_samples("validation", range(drawn), settings.seed))

    def steps_left(self, epoch: int, done: Sequence[Stretch]) -> int:
        return self.steps - self._steps_done(done)

    def batches(self, epoch: int, done: Sequence[Stretch]) -> Any:
        import tensorflow as tf

        settings = self._settings
        seed = settings.seed * 100_003 + epoch
        order = np.random.default_rng(seed).permutation(len(self._images))
        return (
            tf.data.Dataset.from_tensor_slices(order)
            .batch(settings.batch_size // self._workers, drop_remainder=True)
            .enumerate()
            .skip(self._steps_done(done))
            .map(
                lambda number, chosen: (
                    augment(tf.gather(self._images, chosen), settings, tf.stack([seed, number])),
                    tf.gather(self._labels, chosen),
                ),
                num_parallel_calls=1, deterministic=True,
            )
            .take(self.steps_left(epoch, done))
            .prefetch(4)
        )  # fmt: skip

    def stretch(self, steps: int) -> Stretch:
        return Stretch(self._workers, steps, steps * (self._settings.batch_size // self._workers))

    def unreadable(self) -> list[str]:
        return []

    def _steps_done(self, done: Sequence[Stretch]) -> int:
        """Returns the steps done; 0 if the number of workers changed, because shares depend on it."""
        same = all(stretch.workers == self._workers for stretch in done)
        return min(self.steps, sum(stretch.steps for stretch in done)) if same else 0


def open_feed(settings: TrainSettings, dataset: TrainingData, worker: int, workers: int) -> Feed:
    if isinstance(dataset, StreamedDataset):
        return StreamFeed(settings, dataset, worker, workers)
    assert isinstance(dataset, Dataset)
    return MemoryFeed(settings, dataset, worker, workers)


def held_back(settings: TrainSettings, dataset: TrainingData) -> Samples:
    """Returns the validation images, without drawn ones."""
    if isinstance(dataset, StreamedDataset):
        return dataset.validation
    assert isinstance(dataset, Dataset)
    return split(dataset, settings)[1]


def count_steps(settings: TrainSettings, images: int, workers: int) -> int:
    """Returns the steps of an epoch with this number of training images.

    Raises DataUnavailable if they do not fill one batch.
    """
    drawn = round(settings.drawn * images)
    steps = (images // workers + drawn // workers) // (settings.batch_size // workers)
    if not steps:
        raise DataUnavailable(
            f"{images + drawn} training images, {drawn} of them drawn, do not fill one batch of "
            f"{settings.batch_size}; choose a smaller --batch-size or more images"
        )
    return steps


def check_fills_a_batch(settings: TrainSettings, dataset: TrainingData) -> None:
    """Raises DataUnavailable if the training images do not fill one batch."""
    images = dataset.train_count
    if isinstance(dataset, Dataset):  # streamed data has its validation images apart
        images -= count_held_back(settings, images)
    count_steps(settings, images, settings.num_workers)


def count_held_back(settings: TrainSettings, images: int) -> int:
    """Returns how many of this number of images in memory are for validation."""
    return max(1, round(images * settings.validation_share))


def split(dataset: Dataset, settings: TrainSettings) -> tuple[Samples, Samples]:
    """Returns the training and the validation images; only the seed decides, so a resume has the same."""
    order = np.random.default_rng(settings.seed).permutation(len(dataset.train_images))
    count = count_held_back(settings, len(order))
    train, held_back = (
        Samples(dataset.train_images[part], dataset.train_labels[part])
        for part in (order[count:], order[:count])
    )
    return train, held_back
