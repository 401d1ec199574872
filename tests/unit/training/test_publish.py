"""MLflow being away never ends a training; any other fault is not hidden."""

import pickle

import pytest

from digits.errors import TrackingUnavailable
from digits.registry import mlflow as tracking
from digits.training.publish import MlflowRun

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
