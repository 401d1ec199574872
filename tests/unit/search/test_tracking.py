"""The MLflow runs of trials: how each one ends."""

import pytest

from digits.registry import mlflow
from digits.search.records import Outcome, Trial
from digits.search.tracking import SearchRun

EPOCH = {"loss": 0.2, "accuracy": 0.9, "val_accuracy": 0.9, "val_loss": 0.1}


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The status of each run, by its id, in place of MLflow's."""
    statuses: dict[str, str] = {}
    monkeypatch.setattr(mlflow, "start_run", lambda uri, name, *_: name)
    monkeypatch.setattr(mlflow, "log_missing_epochs", lambda *_: None)
    monkeypatch.setattr(mlflow, "end_run", lambda uri, run_id, status: statuses.update({run_id: status}))
    return statuses


def test_a_run_ends_as_its_trial_did(ended: dict[str, str]) -> None:
    """A trial that --search-minutes cut off is not finished: a continued search must find its run open."""
    outcomes: tuple[Outcome, ...] = ("finished", "stopped", "failed", "")
    run = SearchRun("", "s", "parent")
    run.complete(
        Trial(number=number, values={}, history={1: EPOCH}, outcome=outcome)
        for number, outcome in enumerate(outcomes)
    )
    assert list(ended.values()) == ["FINISHED", "FINISHED", "FAILED", "KILLED"]


def test_a_failed_search_leaves_completed_trials_alone(ended: dict[str, str]) -> None:
    """The full training may fail after the trials; only the search's own run is then marked."""
    run = SearchRun("", "s", "parent")
    run.complete([Trial(number=0, values={}, history={1: EPOCH})])
    run.mark("FAILED")
    assert ended == {"s-trial-000": "KILLED", "parent": "FAILED"}
