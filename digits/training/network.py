"""The convolutional network and its optimizer, in Keras. The only module that imports keras.

Scaling and softmax are layers of the network, so its input is raw pixels and its outputs are probabilities:
the service has nothing to repeat.
"""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from digits.task import CHANNELS, CLASSES, MEAN, SHAPE, SIDE, STD, Scores
from digits.training.settings import TrainSettings

if TYPE_CHECKING:
    import keras

# (filters, stride) of each convolution; two of stride 2 reduce the image to a quarter of its side.
# docs/decisions/0005 has the reasons.
BLOCKS = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1))
WARM_UP_EPOCHS = 1
LEAST = 1e-12  # the smallest divisor of a sum of probabilities


def use_keras_3() -> None:
    """Selects Keras 3 in a Ray Train worker; call it before TensorFlow or Keras is imported.

    Ray's TensorflowConfig selects Keras 2 (ray/train/tensorflow/config.py), which is not installed. This also
    limits TensorFlow's log to warnings.
    """
    os.environ.pop("TF_USE_LEGACY_KERAS", None)
    logging.getLogger("tensorflow").setLevel(logging.WARNING)


def set_random_seed(seed: int) -> None:
    """Seeds Python, NumPy and TensorFlow, so that initial weights and dropout repeat."""
    import keras

    keras.utils.set_random_seed(seed)


def use_precision(mixed: bool) -> None:
    """Sets the precision of layers built later: bfloat16, which needs no loss scaling, or float32."""
    import keras

    keras.config.set_dtype_policy("mixed_bfloat16" if mixed else "float32")


def build_network(dropout: float, knows_no_digit: bool, for_training: bool = False) -> "keras.Model":
    """Returns a network from (n, *SHAPE) uint8 "pixels" to the probabilities of its classes.

    The classes are LABELS and, if it `knows_no_digit`, one more for images without a digit: (n, CLASSES + 1).
    One that is built `for_training` trains faster and cannot be saved; its weights fit one that can.
    """
    from keras import Input, Model, layers

    normalization = _fused_batch_normalization() if for_training else layers.BatchNormalization

    pixels = Input(SHAPE, dtype="uint8", name="pixels")
    scale = [1 / (255 * each) for each in STD]
    offset = [-mean / each for mean, each in zip(MEAN, STD, strict=True)]
    features = layers.Reshape((SIDE, SIDE, CHANNELS))(layers.Rescaling(scale, offset)(pixels))
    for filters, stride in BLOCKS:
        features = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(features)
        features = layers.ReLU()(normalization(momentum=0.9)(features))
    features = layers.Dropout(dropout)(layers.Flatten()(features))
    logits = layers.Dense(CLASSES + knows_no_digit, dtype="float32", name="logits")(features)
    return Model(pixels, layers.Softmax(dtype="float32", name="classes")(logits), name="digits")


def _fused_batch_normalization() -> type["keras.layers.BatchNormalization"]:
    """Returns Keras' layer with a faster training; its weights, and its results when served, are the same.

    Keras composes it of operations that each pass over all features; TensorFlow's kernel is three to four
    times as fast on a CPU.  A saved model would name this class, and no other program could load it.
    """
    import tensorflow as tf
    from keras import layers

    class FusedBatchNormalization(layers.BatchNormalization):  # type: ignore[misc]  # keras has no types
        def call(self, inputs: Any, training: bool | None = None, mask: None = None) -> Any:
            if not training:
                return super().call(inputs, training=training, mask=mask)
            # The variance is the unbiased one: 0.01 % more, of the 12,544 values or more of a channel.
            normalized, mean, variance = tf.compat.v1.nn.fused_batch_norm(
                tf.cast(inputs, tf.float32), self.gamma, self.beta, epsilon=self.epsilon, is_training=True
            )
            for moving, current in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + current * (1 - self.momentum))
            return tf.cast(normalized, self.compute_dtype)

    return FusedBatchNormalization


def with_served_outputs(network: "keras.Model") -> "keras.Model":
    """Returns the network with the list of outputs that the service reads.

    They are "probabilities", (n, CLASSES), and, from a network that knows no digit, "is_digit", (n,): the
    probability that the image shows any digit.
    """
    from keras import Model, layers, ops

    (pixels,), (classes,) = network.inputs, network.outputs
    labels = classes[:, :CLASSES]
    is_digit = ops.sum(labels, axis=1)
    # Avoids division by zero: a network that is certain of no digit still ranks the digits.
    probabilities = layers.Identity(name="probabilities")(
        labels / ops.maximum(ops.expand_dims(is_digit, 1), LEAST)
    )
    outputs = [probabilities]
    if classes.shape[-1] > CLASSES:
        outputs.append(layers.Identity(name="is_digit")(is_digit))
    return Model(pixels, outputs, name="digits")


def scores_of(classes: NDArray[np.float32]) -> Scores:
    """Returns the scores that the service would get, from the probabilities of all classes."""
    if classes.shape[1] == CLASSES:
        return classes
    is_digit = classes[:, :CLASSES].sum(axis=1, keepdims=True)
    return np.hstack([classes[:, :CLASSES] / np.maximum(is_digit, LEAST), is_digit])


def build_optimizer(settings: TrainSettings, steps_per_epoch: int) -> "keras.optimizers.Optimizer":
    """Returns AdamW whose learning rate rises during the warm-up and then follows a cosine to 0."""
    import keras

    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps_per_epoch * max(1, settings.epochs - WARM_UP_EPOCHS),
        warmup_target=settings.learning_rate, warmup_steps=steps_per_epoch * WARM_UP_EPOCHS,
    )  # fmt: skip
    return keras.optimizers.AdamW(schedule, weight_decay=settings.weight_decay)


def load_network(file: Path) -> "keras.Model":
    """Returns the network of a .keras file; safe_mode rejects a file that contains code."""
    import keras

    return keras.saving.load_model(file, compile=False, safe_mode=True)
