"""Flask with one `model.predict` of Keras for each request, without batches, as many tutorials build it.

    gunicorn --worker-class gthread --threads 16 benchmarks.peers.flask_keras:app

gunicorn with threads, as Flask's documentation deploys it; `app.run` would close each connection.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from flask import Flask, request
from flask.typing import ResponseReturnValue
from numpy.typing import NDArray

from digits.training.network import build_network, scores_of
from digits.vision.choosing import judge_scores
from digits.vision.golden import golden_digits
from digits.vision.limits import MAX_PIXELS
from digits.vision.reading import read_file
from testkit.models import load_model

if TYPE_CHECKING:
    import keras

FOLDER = Path("models/starter")
BATCH_NORMALISATION_EPSILON = 1e-3  # Keras' default, which build_network leaves as it is


def keras_weights() -> Iterator[NDArray[Any]]:
    """Yields build_network's weights; ONNX folds each batch normalisation into its convolution."""
    import onnx
    from onnx.numpy_helper import to_array

    graph = onnx.load(FOLDER / "model.onnx").graph
    arrays = {tensor.name: to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Conv":
            kernel, bias = (arrays[name] for name in node.input[1:])
            ones = np.ones_like(bias)
            yield from (
                kernel.transpose(2, 3, 1, 0),
                ones,
                bias,
                0 * ones,
                ones - BATCH_NORMALISATION_EPSILON,
            )
        elif "/logits" in node.name:
            yield arrays[node.input[1]]


def load_keras_model() -> "keras.Model":
    images, _ = golden_digits()
    ours = load_model(FOLDER, len(images))
    model = build_network(dropout=0, knows_no_digit=ours.says_is_digit)
    model.set_weights(list(keras_weights()))
    np.testing.assert_allclose(scores_of(model.predict(images, verbose=0)), ours.predict(images), atol=1e-5)
    return model


def create_app() -> Flask:
    app, model = Flask(__name__), load_keras_model()

    @app.post("/predict")
    def predict() -> ResponseReturnValue:
        found = read_file(request.get_data(), MAX_PIXELS)
        scores = model.predict(found.pixels, verbose=0)
        best = judge_scores(found, scores, reject_below=0).best or 0
        probabilities: list[Any] = scores[best].tolist()
        return {"digit": probabilities.index(max(probabilities)), "probabilities": probabilities}

    return app
