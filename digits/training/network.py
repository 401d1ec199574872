"""The convolutional network, in Keras.  The only module that imports keras.

Scaling and softmax are layers of it, so that whoever holds the model feeds it pixels as they are and
reads probabilities.
"""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

# filters, stride: from 28x28 over 14x14 to 7x7.  7.5 MFLOP an image; see docs/decisions/0005.
BLOCKS = ((16, 1), (32, 2), (32, 1), (64, 2))


def use_keras_3() -> None:
    """Call before TensorFlow or Keras is imported in a Ray Train worker; also quietens TensorFlow there.

    Ray's TensorflowTrainer asks for Keras 2 (ray/train/tensorflow/config.py), which is not installed.
    """
    os.environ.pop("TF_USE_LEGACY_KERAS", None)
    logging.getLogger("tensorflow").setLevel(logging.WARNING)


def build_network(dropout: float) -> "keras.Model":
    """(n, 28, 28) uint8 "pixels" -> (n, 10) float32 "probabilities"."""
    from keras import Input, Model, layers

    pixels = Input((28, 28), dtype="uint8", name="pixels")
    features = layers.Reshape((28, 28, 1))(layers.Rescaling(1 / 255)(pixels))
    for filters, stride in BLOCKS:
        features = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(features)
        features = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(features))
    features = layers.Dropout(dropout)(layers.Flatten()(features))
    logits = layers.Dense(10, name="logits")(features)
    return Model(pixels, layers.Softmax(name="probabilities")(logits), name="digits")


def load_network(file: Path) -> "keras.Model":
    """A .keras file of our own; safe_mode refuses one that carries code."""
    import keras

    return keras.saving.load_model(file, compile=False, safe_mode=True)
