"""An import that fails leaves no MLflow run that seems to run; tests/train has what can be imported."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from digits.errors import TrackingUnavailable
from digits.inference.source import PROJECT
from digits.models.manifest import read_manifest
from digits.registry import mlflow as tracking
from digits.training.importing import _registered


@pytest.mark.parametrize("error", [TrackingUnavailable("away"), KeyboardInterrupt()])
def test_an_import_that_ends_in_the_middle_is_a_failed_run(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its name has the time in it, so no later import continues the run."""
    ended = []

    def fails(*_: object) -> None:
        raise error

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setattr(tracking, "start_run", lambda *_: "run-1")
    monkeypatch.setattr(tracking, "log_dataset", lambda *_: None)
    monkeypatch.setattr(tracking, "log_results", fails)
    monkeypatch.setattr(tracking, "end_run", lambda uri, run, status: ended.append((run, status)))
    manifest = read_manifest(PROJECT / "models" / "starter")
    dataset: Any = SimpleNamespace(test_images=[], name="some", sha256="0" * 64)
    adapted: Any = SimpleNamespace(model=None)
    with pytest.raises(type(error)):
        _registered(tmp_path, manifest, adapted, dataset, "mnist")
    assert ended == [("run-1", "FAILED")]
