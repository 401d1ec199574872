"""What trains and what is served differ in precision and in batch normalization; the weights fit both."""

from pathlib import Path

from tests.train.conftest import Workplace

TRAINS = """
import numpy as np
from digits.training.data import load
from digits.training.network import build_network, use_precision
from digits.training.settings import TrainSettings
from digits.training.step import Trainer

dataset = load("sklearn-digits")
settings = TrainSettings(data="sklearn-digits", batch_size=32, drawn=0, mixed_precision=True, epochs=4)
trainer = Trainer(settings, dataset, worker=0, workers=1)
for number in range(4):
    metrics = trainer.train_epoch(number, lambda *_: None)
convolution = next(layer for layer in trainer.network.layers if "conv" in layer.name)
kept = {str(value.dtype) for value in trainer.weights().values()}
use_precision(False)
served = build_network(settings.dropout, False)
served.set_weights(list(trainer.weights().values()))
images = dataset.test_images[:100]
apart = np.abs(trainer.predict(images) - np.asarray(served(images))).max()
learned = metrics["val_accuracy"] > 0.9
print(convolution.compute_dtype, *kept, trainer.predict(images).dtype, learned, apart < 0.1)
"""


def test_a_network_trained_in_bfloat16_is_served_in_float32(tmp_path: Path) -> None:
    """It learns as well, and the network that is exported answers nearly the same."""
    words = Workplace(tmp_path).run_python(TRAINS).split()[-5:]
    assert words == ["bfloat16", "float32", "float32", "True", "True"]


NORMALIZES = """
import numpy as np
import tensorflow as tf
from digits.training.network import build_network, set_random_seed

images = np.random.default_rng(0).integers(0, 256, (64, 28, 28), np.uint8)
found = []
for for_training in (False, True):
    set_random_seed(1)
    network = build_network(0.0, True, for_training=for_training)
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(tf.math.log(network(images, training=True)[:, 3]))
    gradients = tape.gradient(loss, network.trainable_variables)
    found.append([*map(np.asarray, (*gradients, *network.get_weights(), network(images)))])
norm = np.linalg.norm
apart = [norm(one - other) / (norm(one) + 1e-6) for one, other in zip(*found, strict=True)]
moved = [np.abs(value).max() > 0 for value in found[0][len(gradients) : -1] if value.ndim == 1]
print(len(gradients), len(network.get_weights()), max(apart) < 0.02, sum(moved) >= 15)
"""


def test_the_faster_batch_normalization_is_keras_own(tmp_path: Path) -> None:
    """A step has the same gradients and moves the same statistics; then the network answers the same."""
    words = Workplace(tmp_path).run_python(NORMALIZES).split()[-4:]
    assert words == ["17", "27", "True", "True"]
