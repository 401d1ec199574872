"""`registry promote` tests a champion of other data on the candidate's, also if that was streamed."""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from digits.cli import registry
from digits.errors import DataUnavailable
from digits.inference.source import PROJECT
from digits.models.manifest import read_manifest
from digits.registry import versions
from digits.streaming.chunks import Chunk
from digits.streaming.reading import read_chunk
from digits.training.data import load
from digits.training.settings import TrainSettings
from digits.training.streamed import open_data

STARTER = PROJECT / "models" / "starter"


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some of scikit-learn's digits as Parquet."""
    folder, digits = tmp_path_factory.mktemp("data"), load("sklearn-digits")
    columns = {"pixels": [image.tobytes() for image in digits.train_images], "label": digits.train_labels}
    pq.write_table(pa.table(columns), folder / "a.parquet")
    return folder


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No Ray: each start is listed, and chunks are read in this process."""
    starts: list[str] = []

    def stream(chunks: Sequence[Chunk], readers: int) -> object:
        assert starts, "Ray Data would start Ray with other options"
        return map(read_chunk, chunks)

    monkeypatch.setitem(sys.modules, "digits.streaming.pipeline", SimpleNamespace(stream=stream))
    monkeypatch.setattr("digits.ray_start.start_ray", lambda **options: starts.append("ray"))
    return starts


def judged(
    monkeypatch: pytest.MonkeyPatch, settings: TrainSettings, sha256: str, data: str | None = None
) -> dict[str, float]:
    """Returns the starter's metrics on the data of a candidate that was trained with these settings."""
    params = {name: str(value) for name, value in settings.model_dump().items()} | {"command": "train"}
    monkeypatch.setattr(versions, "data_of", lambda name, version: (params, sha256))
    return registry._judge("digits", None, data, STARTER, read_manifest(STARTER).onnx_sha256)


def test_a_champion_is_tested_on_streamed_data(
    rows: Path, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seed and share of the candidate's training choose the same test pictures again."""
    settings = TrainSettings(data=str(rows), validation_share=0.1, seed=7)
    dataset = open_data(settings)
    metrics = judged(monkeypatch, settings, dataset.sha256)
    assert metrics["test_images"] == dataset.test_count
    assert metrics["test_accuracy"] > 0.9
    moved = TrainSettings(data="gone", validation_share=0.1, seed=7)
    assert judged(monkeypatch, moved, dataset.sha256, data=str(rows)) == metrics


def test_a_champion_is_not_tested_on_other_streamed_data(
    rows: Path, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainSettings(data=str(rows))
    with pytest.raises(DataUnavailable, match=r"has another sha256, .*: the champion was tested on other"):
        judged(monkeypatch, settings, "0" * 64)
    assert not started, "Ray takes seconds to start"


def test_a_candidate_without_its_run_needs_the_data(
    rows: Path, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run may be deleted; default seed and share are then taken."""
    monkeypatch.setattr(versions, "data_of", lambda name, version: ({}, "0" * 64))
    with pytest.raises(DataUnavailable, match="the candidate's run does not name its data"):
        registry._judge("digits", None, None, STARTER, "")
    sha256 = open_data(TrainSettings(data=str(rows))).sha256
    monkeypatch.setattr(versions, "data_of", lambda name, version: ({}, sha256))
    metrics = registry._judge("digits", None, str(rows), STARTER, read_manifest(STARTER).onnx_sha256)
    assert metrics["test_accuracy"] > 0.9
