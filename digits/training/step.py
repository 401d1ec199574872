"""The training step, and the trainer that runs it on one worker, alone or together with others.

`model.fit` of Keras 3 fails under MultiWorkerMirroredStrategy (keras-team/keras#20585): it does not convert
per-replica values. The step here does. The strategy sums the gradients of all workers and the loss is divided
by the global batch size, so every worker makes the same update. This module does not depend on Ray.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.streaming.plan import Stretch
from digits.task import CLASSES, Images
from digits.training.data import TrainingData
from digits.training.feeds import open_feed
from digits.training.network import build_network, build_optimizer, set_random_seed, use_precision
from digits.training.settings import TrainSettings

STEPS_PER_CALL = 20  # steps between two reports of progress; a call into TensorFlow costs as much as a step

State = dict[str, NDArray[Any]]
Metrics = dict[str, float]  # of one epoch
History = list[Metrics]  # one entry for each epoch
OnEpoch = Callable[[int, Metrics], None]  # called with the epoch, counted from 1
OnProgress = Callable[[int, float, float], None]  # images since the last call, loss and accuracy so far
OnSteps = Callable[[Stretch], None]  # called within an epoch, with the part of it that this trainer has done


class Trainer:
    """Trains the network on one worker's share of the images."""

    def __init__(self, settings: TrainSettings, dataset: TrainingData, worker: int, workers: int) -> None:
        import tensorflow as tf

        set_random_seed(settings.seed)
        use_precision(settings.mixed_precision)
        self._settings = settings
        self._strategy = (
            tf.distribute.MultiWorkerMirroredStrategy() if workers > 1 else tf.distribute.get_strategy()
        )
        self.feed = open_feed(settings, dataset, worker, workers)
        self.steps = self.feed.steps
        with self._strategy.scope():
            self.network = build_network(settings.dropout, settings.drawn > 0, for_training=True)
            self.optimizer = build_optimizer(settings, self.steps)
            self.optimizer.build(self.network.trainable_variables)
        self._compiled_steps = tf.function(self._train_steps)
        self._compiled_forward = tf.function(lambda batch: self.network(batch, training=False))

    def train_epoch(
        self,
        number: int,
        on_progress: OnProgress,
        done: Sequence[Stretch] = (),
        on_steps: OnSteps | None = None,
    ) -> Metrics:
        """Makes one pass over the training images; returns its metrics and the validation metrics.

        `done` is the part of this epoch that was trained before; the training metrics are those of the rest.
        """
        steps = self.feed.steps_left(number, done)
        batches = iter(self.batches(number, done))
        taken, loss, right = 0, 0.0, 0.0
        while taken < steps:
            count = min(STEPS_PER_CALL, steps - taken)
            more_loss, more_right = self._run_steps(batches, count)
            taken, loss, right = taken + count, loss + float(more_loss), right + float(more_right)
            seen = taken * self._settings.batch_size
            on_progress(count * self._settings.batch_size, loss / taken, right / seen)
            if on_steps and taken < steps:
                on_steps(self.feed.stretch(taken))
        self.synchronize()
        mean = {"loss": loss / taken, "accuracy": right / seen} if taken else {"loss": 0.0, "accuracy": 0.0}
        return mean | self.validate()

    def synchronize(self) -> None:
        """Makes the networks of all workers equal; call it before `state` or `weights`."""
        # Not in a tf.function: there all_reduce finds no destination.
        self._strategy.run(self._average_moving_statistics)

    def validate(self) -> Metrics:
        """Returns the loss on all validation images, and the accuracy on those that show a digit."""
        images, labels = self.feed.validation
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
        """Returns the network's weights, in the order of Keras' `set_weights`."""
        return {f"w{number:03}": weight for number, weight in enumerate(self.network.get_weights())}

    def batches(self, epoch: int, done: Sequence[Stretch] = ()) -> Any:
        """Returns this worker's augmented batches of an epoch that are not done yet."""
        import tensorflow as tf

        # At its end an iterator waits for the thread of tf.data's autotuning, which may sleep for as long as
        # the epoch took. This pipeline has no parameter to tune.
        options = tf.data.Options()
        options.autotune.enabled = False
        batches = self.feed.batches(epoch, done).with_options(options)
        return self._strategy.distribute_datasets_from_function(lambda _: batches)

    def _average_moving_statistics(self) -> None:
        """Gives all workers the mean of batch normalisation's statistics.

        Each worker computes them from its own images, so otherwise the workers' networks would differ.
        """
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        for variable in self.network.non_trainable_variables:
            if variable.dtype == "float32":
                variable.assign(context.all_reduce(tf.distribute.ReduceOp.MEAN, variable.value))

    def _run_steps(self, batches: Any, count: int) -> tuple[Any, Any]:
        """Returns what `_train_steps` returns. Raises the feed's error instead of TensorFlow's about it."""
        import tensorflow as tf

        try:
            return self._compiled_steps(batches, tf.constant(count))  # type: ignore[no-any-return]
        except tf.errors.OpError:
            if self.feed.failure is None:
                raise
            raise self.feed.failure from None

    def _train_steps(self, batches: Any, count: int) -> tuple[Any, Any]:
        """Returns the sum of `count` steps' losses, and the number of correctly classified images."""
        import tensorflow as tf

        loss, right = tf.constant(0.0), tf.constant(0.0)
        for _ in tf.range(count):
            step_loss, step_right = self._strategy.run(self._train_step, next(batches))
            add = tf.distribute.ReduceOp.SUM
            loss += self._strategy.reduce(add, step_loss, axis=None)
            right += self._strategy.reduce(add, step_right, axis=None)
        return loss, right

    def _train_step(self, images: Any, labels: Any, weights: Any = 1.0) -> tuple[Any, Any]:
        """Updates the weights; returns this worker's share of the mean loss, and its correct images.

        An image of weight 0 only fills the batch.
        """
        import tensorflow as tf

        smoothing = self._settings.label_smoothing
        classes = self.network.output_shape[1]
        targets = tf.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
        with tf.GradientTape() as tape:
            probabilities = self.network(images, training=True)
            losses = -tf.reduce_sum(targets * tf.math.log(probabilities + 1e-7), axis=1)
            loss = tf.reduce_sum(losses * weights) / self._settings.batch_size
        gradients = tape.gradient(loss, self.network.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.network.trainable_variables, strict=True))
        hits = tf.cast(
            tf.argmax(probabilities, axis=1, output_type=tf.int32) == tf.cast(labels, tf.int32), tf.float32
        )
        return loss, tf.reduce_sum(hits * weights)


def state_sha256(state: State) -> str:
    """Returns a hash of all variables; workers in step have the same one after each epoch."""
    together = hashlib.sha256()
    for key in sorted(state):
        together.update(np.ascontiguousarray(state[key]).tobytes())
    return together.hexdigest()
