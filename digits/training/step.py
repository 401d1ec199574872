"""The training step, and the trainer that runs it on one worker, alone or together with others.

`model.fit` of Keras 3 fails under MultiWorkerMirroredStrategy (keras-team/keras#20585): it does not convert
per-replica values.  The step here does.  The strategy sums the gradients of all workers, so with the loss
divided by the global batch size every worker makes the same update.  This module does not depend on Ray.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.errors import DataUnavailable
from digits.task import CLASSES, Images
from digits.training.augmentation import augment
from digits.training.data import Dataset
from digits.training.network import build_network, build_optimizer, set_random_seed
from digits.training.samples import Samples, draw_samples
from digits.training.settings import TrainSettings

STEPS_PER_CALL = 20  # between two reports of progress; a call into TensorFlow costs as much as a step

State = dict[str, NDArray[Any]]
Metrics = dict[str, float]  # of one epoch
History = list[Metrics]  # one entry for each epoch
OnEpoch = Callable[[int, Metrics], None]  # called with the epoch, counted from 1
OnProgress = Callable[[int, float, float], None]  # images since the last call, loss and accuracy so far


class Trainer:
    """Trains the network on one worker's share of the images."""

    def __init__(self, settings: TrainSettings, dataset: Dataset, worker: int, workers: int) -> None:
        import tensorflow as tf

        set_random_seed(settings.seed)
        self._settings = settings
        self._strategy = (
            tf.distribute.MultiWorkerMirroredStrategy() if workers > 1 else tf.distribute.get_strategy()
        )
        train, held_back = split(dataset, settings)
        drawn = round(settings.drawn * len(train.images))
        self.steps = count_steps(settings, len(train.images), workers)
        with self._strategy.scope():
            self.network = build_network(settings.dropout, settings.drawn > 0)
            self.optimizer = build_optimizer(settings, self.steps)
            self.optimizer.build(self.network.trainable_variables)
        self._images, self._labels = _joined(
            Samples(train.images[worker::workers], train.labels[worker::workers]),
            draw_samples("train", range(worker, drawn, workers), settings.seed),
        )
        drawn = round(settings.drawn * len(held_back.images))
        self._validation = _joined(held_back, draw_samples("validation", range(drawn), settings.seed))
        self._compiled_steps = tf.function(self._train_steps)
        self._compiled_forward = tf.function(lambda batch: self.network(batch, training=False))

    def train_epoch(self, number: int, on_progress: OnProgress) -> Metrics:
        """Makes one pass over the training images; returns its metrics, with those of the validation."""
        batches = iter(self.batches(number))
        done, loss, right = 0, 0.0, 0.0
        while done < self.steps:
            count = min(STEPS_PER_CALL, self.steps - done)
            more_loss, more_right = self._compiled_steps(batches, count)
            done, loss, right = done + count, loss + float(more_loss), right + float(more_right)
            seen = done * self._settings.batch_size
            on_progress(count * self._settings.batch_size, loss / done, right / seen)
        # Not in a tf.function: there all_reduce finds no destination.
        self._strategy.run(self._average_moving_statistics)
        return {"loss": loss / done, "accuracy": right / seen} | self.validate()

    def validate(self) -> Metrics:
        """Returns the loss on all validation images, and the accuracy on those that show a digit."""
        images, labels = self._validation
        classes = self.predict(images)
        of_label = classes[np.arange(len(labels)), labels]
        digits = labels < CLASSES
        return {
            "val_loss": float(-np.log(np.maximum(of_label, 1e-7)).mean()),
            "val_accuracy": float((classes[digits, :CLASSES].argmax(axis=1) == labels[digits]).mean()),
        }

    def predict(self, images: Images) -> NDArray[np.float32]:
        """Returns (n, CLASSES) or (n, CLASSES + 1) probabilities of the network's classes."""
        batches = (images[start : start + 1000] for start in range(0, len(images), 1000))
        return np.concatenate([np.asarray(self._compiled_forward(batch)) for batch in batches])

    def state(self) -> State:
        """Returns every variable of the network and the optimizer: all that a resumed training needs."""
        variables = [*self.network.variables, *self.optimizer.variables]
        return {f"v{number:03}": np.asarray(variable) for number, variable in enumerate(variables)}

    def restore(self, state: State) -> None:
        variables = [*self.network.variables, *self.optimizer.variables]
        for number, variable in enumerate(variables):
            variable.assign(state[f"v{number:03}"])

    def weights(self) -> State:
        """Returns the network's weights, in the order in which Keras' `set_weights` takes them."""
        return {f"w{number:03}": weight for number, weight in enumerate(self.network.get_weights())}

    def batches(self, epoch: int) -> Any:
        """Returns this worker's augmented batches; order and augmentation depend on seed and epoch alone.

        A resumed epoch therefore sees the images that the interrupted one saw.
        """
        import tensorflow as tf

        settings = self._settings
        seed = settings.seed * 100_003 + epoch
        share = settings.batch_size // self._strategy.num_replicas_in_sync
        order = np.random.default_rng(seed).permutation(len(self._images))
        batches = (
            tf.data.Dataset.from_tensor_slices(order)
            .batch(share, drop_remainder=True)
            .enumerate()
            .map(
                lambda number, chosen: (
                    augment(tf.gather(self._images, chosen), settings, tf.stack([seed, number])),
                    tf.gather(self._labels, chosen),
                ),
                num_parallel_calls=1, deterministic=True,
            )
            .take(self.steps)
            .prefetch(4)
        )  # fmt: skip
        return self._strategy.distribute_datasets_from_function(lambda _: batches)

    def _average_moving_statistics(self) -> None:
        """Gives all workers the mean of batch normalisation's statistics.

        Each worker computes them from its own images, so without this the workers' networks would differ.
        """
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        for variable in self.network.non_trainable_variables:
            if variable.dtype == "float32":
                variable.assign(context.all_reduce(tf.distribute.ReduceOp.MEAN, variable.value))

    def _train_steps(self, batches: Any, count: int) -> tuple[Any, Any]:
        """Returns the sum of `count` steps' losses, and the number of images classified correctly."""
        import tensorflow as tf

        loss, right = tf.constant(0.0), tf.constant(0.0)
        for _ in tf.range(count):
            step_loss, step_right = self._strategy.run(self._train_step, next(batches))
            add = tf.distribute.ReduceOp.SUM
            loss += self._strategy.reduce(add, step_loss, axis=None)
            right += self._strategy.reduce(add, step_right, axis=None)
        return loss, right

    def _train_step(self, images: Any, labels: Any) -> tuple[Any, Any]:
        """Updates the weights; returns this worker's part of the mean loss, and of the correct images."""
        import tensorflow as tf

        smoothing = self._settings.label_smoothing
        classes = self.network.output_shape[1]
        targets = tf.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
        with tf.GradientTape() as tape:
            probabilities = self.network(images, training=True)
            losses = -tf.reduce_sum(targets * tf.math.log(probabilities + 1e-7), axis=1)
            loss = tf.reduce_sum(losses) / self._settings.batch_size
        gradients = tape.gradient(loss, self.network.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.network.trainable_variables, strict=True))
        hits = tf.cast(
            tf.argmax(probabilities, axis=1, output_type=tf.int32) == tf.cast(labels, tf.int32), tf.float32
        )
        return loss, tf.reduce_sum(hits)


def count_steps(settings: TrainSettings, images: int, workers: int) -> int:
    """Returns the steps of an epoch, for this number of training images without those held back.

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


def check_fills_a_batch(settings: TrainSettings, dataset: Dataset) -> None:
    """Raises DataUnavailable if the training images do not fill one batch."""
    train, _ = split(dataset, settings)
    count_steps(settings, len(train.images), settings.num_workers)


def state_sha256(state: State) -> str:
    """Returns a hash of all variables; workers that train in step have the same one after each epoch."""
    together = hashlib.sha256()
    for key in sorted(state):
        together.update(np.ascontiguousarray(state[key]).tobytes())
    return together.hexdigest()


def _joined(some: Samples, more: Samples) -> Samples:
    return Samples(*(np.concatenate(parts) for parts in zip(some, more, strict=True)))


def split(dataset: Dataset, settings: TrainSettings) -> tuple[Samples, Samples]:
    """Returns the images that train and those held back; the seed alone decides, so a resume has the same."""
    order = np.random.default_rng(settings.seed).permutation(len(dataset.train_images))
    count = max(1, round(len(order) * settings.validation_share))
    train, held_back = (
        Samples(dataset.train_images[part], dataset.train_labels[part])
        for part in (order[count:], order[:count])
    )
    return train, held_back
