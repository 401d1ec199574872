"""The starter model and other model folders, loaded as a replica loads them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from digits.inference.classifier import Classifier
from digits.inference.settings import ServeSettings
from digits.inference.source import PROJECT, FolderSource
from digits.models.manifest import read_manifest
from digits.models.runtime import DigitModel
from digits.task import CLASSES
from digits.vision.choosing import judge_scores
from digits.vision.limits import MAX_PIXELS
from digits.vision.reading import read_file

STARTER = PROJECT / "models" / "starter"


def load_model(folder: Path = STARTER, max_batch_size: int = 1, threads: int = 1) -> DigitModel:
    """Returns the model in a folder."""
    sha256 = read_manifest(folder).onnx_sha256
    return DigitModel.load(folder, sha256=sha256, threads=threads, max_batch_size=max_batch_size)


def load_classifier(settings: ServeSettings) -> Classifier:
    """Returns a classifier with the model in the folder `model_uri`."""
    source = FolderSource(settings.model_uri)
    return Classifier.load(settings, 1, source, source.resolve())


def classify(model: DigitModel, files: Sequence[bytes]) -> list[list[float]]:
    """Returns the probabilities of each picture, read and chosen as by the service; zeros for a blank one."""
    found = [read_file(data, MAX_PIXELS) for data in files]
    pixels = np.concatenate([candidates.pixels for candidates in found])
    scores = model.predict(pixels) if len(pixels) else np.zeros((0, CLASSES), np.float32)
    rows, start = [], 0
    for candidates in found:
        own = scores[start : start + len(candidates.items)]
        start += len(own)
        verdict = judge_scores(candidates, own, reject_below=0)
        rows.append([0.0] * CLASSES if verdict.best is None else own[verdict.best, :CLASSES].tolist())
    return rows
