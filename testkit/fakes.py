"""Stand-ins whose answers depend on what they are given, so that a mix-up shows."""

import logging
import threading

import numpy as np

from digits.gateway.middleware import Edge
from digits.gateway.settings import EdgeSettings
from digits.http.app import create_api
from digits.inference.batcher import Answer, IsAbandoned
from digits.inference.classifier import Classifier
from digits.inference.live_model import LiveModel
from digits.inference.predictor import Predictor
from digits.inference.reader import Reader
from digits.inference.settings import ServeSettings
from digits.inference.source import FolderSource
from digits.task import CLASSES, Images, ModelVersion, Scores

LOG = logging.getLogger("digits")


class ChecksumModel:
    """Reads an image as the last decimal of its grey levels' sum, with confidence 0.91."""

    reject_below = 0.0
    says_is_digit = False

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds
        self.threads: list[str] = []  # in which each batch ran

    def expected_seconds(self, batch_size: int) -> float:
        return self._seconds

    def preprocessing_difference(self) -> str | None:
        return None

    def predict(self, images: Images) -> Scores:
        self.threads.append(threading.current_thread().name)
        probabilities = np.full((len(images), CLASSES), 0.01, np.float32)
        probabilities[
            np.arange(len(images)), images.reshape(len(images), -1).sum(axis=1, dtype=int) % CLASSES
        ] = 0.91
        return probabilities


class DoubtfulModel(ChecksumModel):
    """Says of an image whose checksum is above 4 that it is no digit."""

    says_is_digit = True
    reject_below = 0.5

    def predict(self, images: Images) -> Scores:
        probabilities = super().predict(images)
        is_digit = np.where(probabilities.argmax(axis=1) > 4, 0.125, 0.875)
        return np.column_stack((probabilities, is_digit)).astype(np.float32)


def checksum_classifier(model: ChecksumModel | None = None, **settings: float | None) -> Classifier:
    configured = ServeSettings.model_validate({"model_uri": "models/starter"} | settings)
    return Classifier(configured, model or ChecksumModel(), ModelVersion("checksum", "1", "0" * 64))  # type: ignore[arg-type]


class FailingClassifier(Classifier):
    def __init__(self, error: Exception) -> None:
        working = checksum_classifier()
        self.settings, self.version = working.settings, ModelVersion("fails", "1", "0" * 64)
        self.warning, self._error = None, error
        self.says_is_digit = working.says_is_digit

    async def classify(
        self, images: Images, is_abandoned: IsAbandoned | None = None, deadline: float | None = None
    ) -> Answer:
        raise self._error


def predictor_of(classifier: Classifier | None) -> Predictor:
    """Returns a predictor with this live model, or with none yet."""
    live = LiveModel(
        lambda settings: FolderSource(settings.model_uri),
        threads=1, log=LOG, on_load=lambda outcome: None,
    )  # fmt: skip
    live.classifier = classifier
    return Predictor(live, Reader(1), [live.counters.count_predictions], LOG)


def api_of(classifier: Classifier | None, settings: EdgeSettings | None = None) -> Edge:
    """Returns the HTTP API behind its gateway, as in every replica."""
    return Edge(create_api(predictor_of(classifier)), settings or EdgeSettings(), behind_haproxy=False)
