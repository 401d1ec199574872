"""Stand-ins whose answers depend on what they are given, so that a mix-up shows."""

import logging
import threading

import numpy as np

from digits.inference.batcher import IsAbandoned
from digits.inference.classifier import Classifier
from digits.inference.live_model import LiveModel
from digits.inference.settings import ServeSettings
from digits.task import Images, Probabilities


class ChecksumModel:
    """Reads an image as the last decimal of its grey levels' sum, with confidence 0.91."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds
        self.threads: list[str] = []  # in which each batch ran

    def expected_seconds(self, batch_size: int) -> float:
        return self._seconds

    def predict(self, images: Images) -> Probabilities:
        self.threads.append(threading.current_thread().name)
        probabilities = np.full((len(images), 10), 0.01, np.float32)
        probabilities[np.arange(len(images)), images.sum(axis=(1, 2), dtype=int) % 10] = 0.91
        return probabilities


def checksum_classifier(**settings: int | float) -> Classifier:
    asked = ServeSettings.model_validate({"model_uri": "models/starter"} | settings)
    return Classifier(asked, ChecksumModel(), "checksum", "1")  # type: ignore[arg-type]


class Fails(Classifier):
    def __init__(self, error: Exception) -> None:
        ready = checksum_classifier()
        self.settings, self.name, self.version, self._error = ready.settings, "fails", "1", error

    async def classify(self, images: Images, is_abandoned: IsAbandoned | None = None) -> Probabilities:
        raise self._error


def live(classifier: Classifier | None) -> LiveModel:
    """As it is once `configure` is through, or before."""
    model = LiveModel(threads=1, log=logging.getLogger("digits"), count=lambda outcome: None)
    model.classifier = classifier
    return model
