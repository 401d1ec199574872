"""Sources of models: the interface that a live model needs, and the simplest source, a folder."""

import re
from pathlib import Path
from typing import Protocol

from digits.errors import ModelRejected
from digits.models.manifest import read_manifest
from digits.task import ModelVersion

PROJECT = Path(__file__).parents[2]  # a relative model_uri starts here
ADDRESS = re.compile(r"[A-Za-z][\w+.-]*:/")


class ModelSource(Protocol):
    """Its methods block; call them from a thread."""

    can_change: bool  # whether `resolve` can return another version later

    def resolve(self) -> ModelVersion:
        """Returns the version to serve now. Raises ModelRejected, NotRegistered or TrackingUnavailable."""

    def fetch(self, version: ModelVersion) -> Path:
        """Returns a local model folder with this version. Raises what `resolve` raises, and OSError."""

    def remember_good(self, version: ModelVersion) -> None:
        """Records that this version was loaded and passed every check."""

    def last_good(self) -> ModelVersion | None:
        """Returns the last recorded version, for when MLflow or the disk keeps the wanted one away."""


class FolderSource:
    """The model in one folder; its version is the folder's name.

    A relative folder is below the project, `~` the home folder. Any address is rejected.
    """

    can_change = False

    def __init__(self, model_uri: str) -> None:
        self._uri = model_uri
        self._folder = PROJECT / Path(model_uri).expanduser()

    def resolve(self) -> ModelVersion:
        if ADDRESS.match(self._uri):
            raise ModelRejected(
                f"{self._uri} is no model to load; give a folder, models:/NAME@ALIAS or models:/NAME/VERSION"
            )
        manifest = read_manifest(self._folder)
        return ModelVersion(manifest.name, self._folder.name, manifest.onnx_sha256)

    def fetch(self, version: ModelVersion) -> Path:
        return self._folder

    def remember_good(self, version: ModelVersion) -> None:
        """Does nothing: the folder is always there."""

    def last_good(self) -> ModelVersion | None:
        return None
