"""The name of a training belongs to one process at a time."""

from pathlib import Path

import pytest

from digits.errors import TrainingFailed
from digits.training.checkpoints import claimed


def test_a_name_is_trained_by_one_process_at_a_time(tmp_path: Path) -> None:
    """Also of the default names, which have the second in them; afterwards it is free again."""
    storage = str(tmp_path / "ray")
    with (
        claimed(storage, "a"),
        claimed(storage, "b"),
        pytest.raises(TrainingFailed, match="another process trains a; wait until it ends"),
        claimed(storage, "a"),
    ):
        pass
    with claimed(storage, "a"):
        pass
    assert list((tmp_path / "ray" / "a").iterdir()) == []


def test_an_address_is_not_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with claimed("s3://bucket/ray", "a"), claimed("s3://bucket/ray", "a"):
        assert list(tmp_path.iterdir()) == []
