"""What keeps a model folder from being written, said in one sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from digits.errors import InvalidSettings, TrainingFailed
from digits.training.checkpoints import write_checkpoint
from digits.training.fit import _build_model, check_writable
from digits.training.settings import TrainSettings


def test_an_output_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The images' program folder cannot be written, and --output is below it if none is given."""
    (tmp_path / "file").touch()
    with pytest.raises(InvalidSettings, match=r"--output .*file/out cannot be written: Not a directory"):
        check_writable("--output", tmp_path / "file" / "out")


def test_an_output_that_can_be_written_is_left_empty(tmp_path: Path) -> None:
    check_writable("--output", tmp_path / "deep" / "out")
    assert list((tmp_path / "deep" / "out").iterdir()) == []


def test_a_training_that_diverged_is_named(tmp_path: Path) -> None:
    """Its weights are NaN, and so are all figures of the model."""
    epoch = {"loss": float("nan"), "accuracy": 0.1, "val_loss": float("nan"), "val_accuracy": 0.1}
    weights = {"w000": np.full((2, 2), np.nan, np.float32), "w001": np.zeros(2, np.float32)}
    write_checkpoint(tmp_path, [epoch], weights, weights)
    unused: Any = None
    with pytest.raises(TrainingFailed, match=r"wild diverged: .* choose a smaller --learning-rate than 0\.5"):
        _build_model(
            TrainSettings(name="wild", learning_rate=0.5), unused, unused, tmp_path, tmp_path / "model"
        )
    assert not (tmp_path / "model").exists()
