"""MLflow being away never ends a training; any other fault is not hidden."""

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from digits.errors import TrackingUnavailable
from digits.inference.source import PROJECT
from digits.models.manifest import read_manifest
from digits.registry import mlflow as tracking
from digits.registry.gate import GateSettings
from digits.task import SHAPE
from digits.training import publish as module
from digits.training.fit import FitResult
from digits.training.publish import MlflowRun, publish

RUN = MlflowRun("http://127.0.0.1:1", "run-1")


def test_an_unreachable_mlflow_is_logged_not_raised(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither an epoch nor a failed training's status raises; the log names the reason."""

    def unreachable(*_: object) -> None:
        raise TrackingUnavailable("MLflow at ADDRESS does not answer")

    monkeypatch.setattr(tracking, "log_epoch", unreachable)
    monkeypatch.setattr(tracking, "end_run", unreachable)
    RUN.log_epoch(3, {"loss": 0.5})
    RUN.mark("KILLED")
    assert [record.getMessage() for record in caplog.records] == [
        "epoch not sent to MLflow, training continues epoch=3 error=MLflow at ADDRESS does not answer",
        "run not marked as KILLED in MLflow run=run-1 error=MLflow at ADDRESS does not answer",
    ]


def test_a_mistake_in_the_code_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the project's own errors are tolerated."""

    def broken(*_: object) -> None:
        raise TypeError

    monkeypatch.setattr(tracking, "log_epoch", broken)
    with pytest.raises(TypeError):
        RUN.log_epoch(1, {})


def test_the_epoch_logger_can_be_pickled() -> None:
    """Ray Train sends it to the controller, which is another process."""
    logger = pickle.loads(pickle.dumps(RUN.log_epoch))
    assert logger.__self__ == RUN


def test_mlflow_that_goes_before_the_promotion_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The version is registered and the run has ended, so the command of the training would be refused."""

    def unreachable(*_: object) -> None:
        raise TrackingUnavailable("MLflow at ADDRESS does not answer")

    for name in ("log_missing_epochs", "log_results", "keras_saver", "log_model", "end_run"):
        monkeypatch.setattr(tracking, name, lambda *_: "models:/m-1")
    monkeypatch.setattr(module, "load_network", lambda file: None)
    monkeypatch.setattr(module, "register", lambda *_: "3")
    monkeypatch.setattr(module, "promote", unreachable)
    manifest = read_manifest(PROJECT / "models" / "starter")
    dataset: Any = SimpleNamespace(test_images=np.zeros((2, *SHAPE), np.uint8))
    version, outcome = publish(FitResult(tmp_path, manifest, []), RUN, dataset, GateSettings())
    assert version == "3"
    assert outcome.startswith("models:/digits/3 is registered, not promoted: MLflow at ADDRESS does not")
    assert "registry promote --name digits --version 3" in outcome
