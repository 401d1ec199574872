"""The training step and its state, on one worker or in step with others.  Ray is not known here.

`model.fit` of Keras 3 cannot run under MultiWorkerMirroredStrategy (keras-team/keras#20585): it does not
convert per-replica values.  A step of our own does: the strategy sums the gradients that the optimizer
is given, so a loss divided by the global batch size makes every worker take the same step.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.training.augmentation import augment
from digits.training.data import Dataset
from digits.training.network import build_network
from digits.training.settings import TrainSettings

CHUNK = 20  # steps between two reports of progress; a call into TensorFlow costs as much as a step
WARM_UP_EPOCHS = 1

State = dict[str, NDArray[Any]]


class Fitting:
    """One worker's network, optimizer and share of the images."""

    def __init__(self, settings: TrainSettings, dataset: Dataset, worker: int, workers: int) -> None:
        import keras
        import tensorflow as tf

        if settings.batch_size % workers:
            raise ValueError(f"batch_size {settings.batch_size} must be a multiple of num_workers {workers}")
        keras.utils.set_random_seed(settings.seed)
        self._settings = settings
        self._strategy = (
            tf.distribute.MultiWorkerMirroredStrategy() if workers > 1 else tf.distribute.get_strategy()
        )
        train, self._validation = _split(dataset, settings)
        self.steps = len(train[0]) // settings.batch_size
        if not self.steps:
            raise ValueError(
                f"{len(train[0])} training images do not fill one batch of {settings.batch_size}"
            )
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0, self.steps * max(1, settings.epochs - WARM_UP_EPOCHS),
            warmup_target=settings.learning_rate, warmup_steps=self.steps * WARM_UP_EPOCHS,
        )  # fmt: skip
        with self._strategy.scope():
            self.network = build_network(settings.dropout)
            self._optimizer = keras.optimizers.AdamW(schedule, weight_decay=settings.weight_decay)
            self._optimizer.build(self.network.trainable_variables)
        self._images, self._labels = (part[worker::workers] for part in train)
        self._run = tf.function(self._chunk)
        self._forward = tf.function(lambda batch: self.network(batch, training=False))

    def epoch(self, number: int, on_progress: Callable[[int, float, float], None]) -> dict[str, float]:
        """One pass; `on_progress` gets images done since the last call, running loss and accuracy."""
        batches = iter(self._batches(number))
        done, loss, right = 0, 0.0, 0.0
        while done < self.steps:
            count = min(CHUNK, self.steps - done)
            chunk_loss, chunk_right = self._run(batches, count)
            done, loss, right = done + count, loss + float(chunk_loss), right + float(chunk_right)
            seen = done * self._settings.batch_size
            on_progress(count * self._settings.batch_size, loss / done, right / seen)
        self._strategy.run(self._agree)  # not in a tf.function: there all_reduce finds no destination
        return {"loss": loss / done, "accuracy": right / seen} | self.validate()

    def validate(self) -> dict[str, float]:
        images, labels = self._validation
        probabilities = self.predict(images)
        right = probabilities[np.arange(len(labels)), labels]
        return {
            "val_loss": float(-np.log(np.maximum(right, 1e-7)).mean()),
            "val_accuracy": float((probabilities.argmax(axis=1) == labels).mean()),
        }

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        batches = (images[start : start + 1000] for start in range(0, len(images), 1000))
        return np.concatenate([np.asarray(self._forward(batch)) for batch in batches])

    def state(self) -> State:
        """All that a later run needs to go on, as plain arrays."""
        variables = [*self.network.variables, *self._optimizer.variables]
        return {f"v{number:03}": np.asarray(variable) for number, variable in enumerate(variables)}

    def restore(self, state: State) -> None:
        variables = [*self.network.variables, *self._optimizer.variables]
        for number, variable in enumerate(variables):
            variable.assign(state[f"v{number:03}"])

    def weights(self) -> State:
        """The network's alone, in the order that `set_weights` of Keras takes them."""
        return {f"w{number:03}": weight for number, weight in enumerate(self.network.get_weights())}

    def _batches(self, epoch: int) -> Any:
        """This worker's images in the epoch's own order, augmented in the epoch's own way."""
        import tensorflow as tf

        settings = self._settings
        seed = settings.seed * 100_003 + epoch  # a resumed epoch sees what the interrupted one saw
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

    def _agree(self) -> None:
        """Batch normalisation's running statistics are of each worker's own images; all take their mean."""
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        for variable in self.network.non_trainable_variables:
            if variable.dtype == "float32":
                variable.assign(context.all_reduce(tf.distribute.ReduceOp.MEAN, variable.value))

    def _chunk(self, batches: Any, count: int) -> tuple[Any, Any]:
        import tensorflow as tf

        loss, right = tf.constant(0.0), tf.constant(0.0)
        for _ in tf.range(count):
            step_loss, step_right = self._strategy.run(self._step, next(batches))
            add = tf.distribute.ReduceOp.SUM
            loss += self._strategy.reduce(add, step_loss, axis=None)
            right += self._strategy.reduce(add, step_right, axis=None)
        return loss, right

    def _step(self, images: Any, labels: Any) -> tuple[Any, Any]:
        """Its share of the global batch's mean loss, and how many it reads right."""
        import tensorflow as tf

        smoothing = self._settings.label_smoothing
        targets = tf.one_hot(labels, 10) * (1 - smoothing) + smoothing / 10
        with tf.GradientTape() as tape:
            probabilities = self.network(images, training=True)
            losses = -tf.reduce_sum(targets * tf.math.log(probabilities + 1e-7), axis=1)
            loss = tf.reduce_sum(losses) / self._settings.batch_size
        gradients = tape.gradient(loss, self.network.trainable_variables)
        self._optimizer.apply_gradients(zip(gradients, self.network.trainable_variables, strict=True))
        hits = tf.cast(
            tf.argmax(probabilities, axis=1, output_type=tf.int32) == tf.cast(labels, tf.int32), tf.float32
        )
        return loss, tf.reduce_sum(hits)


def _split(dataset: Dataset, settings: TrainSettings) -> tuple[Any, Any]:
    """Training and validation pairs; the split depends on the seed alone, so a resumed run keeps it."""
    order = np.random.default_rng(settings.seed).permutation(len(dataset.train_images))
    held = max(1, round(len(order) * settings.validation_share))
    chosen = order[held:], order[:held]
    train, validation = ((dataset.train_images[part], dataset.train_labels[part]) for part in chosen)
    return train, validation
