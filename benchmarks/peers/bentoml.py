"""BentoML with its adaptive batching: `bentoml serve benchmarks.peers.bentoml:Digits`."""

import base64

import bentoml
import numpy as np

from digits.vision.decoding import decode_image
from testkit.models import load_model

MAX_BATCH_SIZE = 64


@bentoml.service(workers=2, logging={"access": {"enabled": False}})
class Digits:
    def __init__(self) -> None:
        self.model = load_model(max_batch_size=MAX_BATCH_SIZE)

    @bentoml.api(batchable=True, max_batch_size=MAX_BATCH_SIZE)
    def predict(self, images: list[str]) -> list[list[float]]:
        batch = np.array([decode_image(base64.b64decode(image)) for image in images])
        rows: list[list[float]] = self.model.predict(batch).tolist()
        return rows
