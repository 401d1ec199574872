"""The convolutional network and its optimizer, in Keras.  The only module that imports keras.

Scaling and softmax are layers of the network, so its input is raw pixels and its outputs are probabilities:
nothing has to be repeated where the exported model is served.
"""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from digits.task import CLASSES, SIDE, Scores
from digits.training.settings import TrainSettings

if TYPE_CHECKING:
    import keras

# (filters, stride) of each convolution; two of stride 2 reduce the image to a quarter of its side.
# docs/decisions/0005 has the reasons.
BLOCKS = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1))
WARM_UP_EPOCHS = 1
LEAST = 1e-12  # that a sum of probabilities is divided by


def use_keras_3() -> None:
    """Selects Keras 3 in a Ray Train worker; call it before TensorFlow or Keras is imported.

    Ray's TensorflowTrainer asks for Keras 2 (ray/train/tensorflow/config.py), which is not installed.
    Also limits TensorFlow's log to warnings.
    """
    os.environ.pop("TF_USE_LEGACY_KERAS", None)
    logging.getLogger("tensorflow").setLevel(logging.WARNING)


def set_random_seed(seed: int) -> None:
    """Seeds Python, NumPy and TensorFlow, so that initial weights and dropout repeat."""
    import keras

    keras.utils.set_random_seed(seed)


def build_network(dropout: float, knows_no_digit: bool) -> "keras.Model":
    """Returns a network from (n, SIDE, SIDE) uint8 "pixels" to the probabilities of its classes.

    These are LABELS and, if it `knows_no_digit`, one more for an image that shows none: (n, CLASSES + 1).
    """
    from keras import Input, Model, layers

    pixels = Input((SIDE, SIDE), dtype="uint8", name="pixels")
    features = layers.Reshape((SIDE, SIDE, 1))(layers.Rescaling(1 / 255)(pixels))
    for filters, stride in BLOCKS:
        features = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(features)
        features = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(features))
    features = layers.Dropout(dropout)(layers.Flatten()(features))
    logits = layers.Dense(CLASSES + knows_no_digit, name="logits")(features)
    return Model(pixels, layers.Softmax(name="classes")(logits), name="digits")


def with_served_outputs(network: "keras.Model") -> "keras.Model":
    """Returns the network with the outputs that the service reads, a list.

    "probabilities", (n, CLASSES), and from a network that knows no digit "is_digit", (n,): the probability
    that the image shows any digit.
    """
    from keras import Model, layers, ops

    (pixels,), (classes,) = network.inputs, network.outputs
    labels = classes[:, :CLASSES]
    is_digit = ops.sum(labels, axis=1)
    # A network that is sure of no digit still ranks the digits: no division by zero.
    probabilities = layers.Identity(name="probabilities")(
        labels / ops.maximum(ops.expand_dims(is_digit, 1), LEAST)
    )
    outputs = [probabilities]
    if classes.shape[-1] > CLASSES:
        outputs.append(layers.Identity(name="is_digit")(is_digit))
    return Model(pixels, outputs, name="digits")


def scores_of(classes: NDArray[np.float32]) -> Scores:
    """Returns the scores that the service would get, from the probabilities of a network's classes."""
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
    """Returns the network of a .keras file; safe_mode refuses a file that carries code."""
    import keras

    return keras.saving.load_model(file, compile=False, safe_mode=True)
