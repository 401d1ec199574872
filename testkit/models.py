"""The starter model and other model folders, loaded as a replica loads them."""

from pathlib import Path

from digits.inference.classifier import Classifier
from digits.inference.settings import ServeSettings
from digits.inference.source import PROJECT, FolderSource
from digits.models.manifest import read_manifest
from digits.models.runtime import DigitModel

STARTER = PROJECT / "models" / "starter"


def load_model(folder: Path = STARTER, max_batch_size: int = 1, threads: int = 1) -> DigitModel:
    """The model in a folder."""
    sha256 = read_manifest(folder).onnx_sha256
    return DigitModel.load(folder, sha256=sha256, threads=threads, max_batch_size=max_batch_size)


def load_classifier(settings: ServeSettings) -> Classifier:
    """A classifier with the model in the folder `model_uri`."""
    source = FolderSource(settings.model_uri)
    return Classifier.load(settings, 1, source, source.resolve())
