"""Models from MLflow, as a ModelSource of digits.inference."""

from pathlib import Path

from digits.inference.source import FolderSource, ModelSource
from digits.registry import cache, versions
from digits.task import ModelVersion


class RegistrySource:
    """The versions behind one address, models:/NAME@ALIAS or models:/NAME/VERSION."""

    def __init__(self, model_uri: str, model_cache: str) -> None:
        self._uri = model_uri
        self._cache = Path(model_cache).expanduser()
        self.can_change = versions.has_alias(model_uri)

    def resolve(self) -> ModelVersion:
        return versions.resolve(self._uri)

    def fetch(self, version: ModelVersion) -> Path:
        return cache.fetch(version, self._cache)

    def remember_good(self, version: ModelVersion) -> None:
        cache.remember_good(self._uri, version, self._cache)

    def last_good(self) -> ModelVersion | None:
        return cache.last_good(self._uri, self._cache)


def open_source(model_uri: str, model_cache: str) -> ModelSource:
    """Returns the source of a model: MLflow for an address models:/..., else a folder."""
    if versions.is_registered(model_uri):
        return RegistrySource(model_uri, model_cache)
    return FolderSource(model_uri)
