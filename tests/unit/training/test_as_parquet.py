"""What `make data` writes can be streamed: the same images, and pictures that the reader reads."""

from pathlib import Path

import numpy as np
import pytest

from digits.corpus.kinds import KINDS
from digits.streaming.reading import read_chunk
from digits.streaming.survey import survey
from digits.task import SIDE
from digits.training import as_parquet
from digits.training.data import Dataset


def test_a_dataset_comes_back_with_its_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows than a row group and a file have."""
    monkeypatch.setattr(as_parquet, "ROWS", 30)
    images = np.random.default_rng(1).integers(0, 256, (400, SIDE, SIDE)).astype(np.uint8)
    labels = (np.arange(400) % 10).astype(np.uint8)
    as_parquet.write_dataset(
        tmp_path, Dataset("some", "", images[:350], labels[:350], images[350:], labels[350:])
    )
    assert [file.name for file in sorted((tmp_path / "train").iterdir())] == [
        "part-000.parquet",
        "part-001.parquet",
    ]
    found = survey(str(tmp_path), 0.1, 1)
    rows = [read_chunk(chunk) for chunk in found.parts["test"]]
    assert np.array_equal(np.concatenate([some.images for some in rows]), images[350:])
    assert np.array_equal(np.concatenate([some.labels for some in rows]), labels[350:])
    assert found.rows("train") + found.rows("validation") == 350


def test_fewer_rows_leave_no_file_of_an_earlier_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the pictures of both calls would be trained on; files of the user's own stay."""
    monkeypatch.setattr(as_parquet, "ROWS", 1)
    images, labels = np.zeros((35, SIDE, SIDE), np.uint8), np.zeros(35, np.uint8)
    for count in (35, 12):
        as_parquet.write_dataset(
            tmp_path, Dataset("some", "", images, labels, images[:count], labels[:count])
        )
        (tmp_path / "test" / "own.txt").touch()
    names = [file.name for file in sorted((tmp_path / "test").iterdir())]
    assert names == ["own.txt", "part-000.parquet", "part-001.parquet"]


def test_pictures_are_read_and_writers_are_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = ("canvas_white_on_black", "ruled_paper")
    monkeypatch.setattr(as_parquet, "KINDS", {kind: KINDS[kind] for kind in kinds})
    as_parquet.write_pictures(tmp_path, 10)
    found = survey(str(tmp_path), 0.1, 1)
    assert [found.rows(part) for part in ("train", "validation", "test")] == [20, 4, 4]
    rows = [read_chunk(chunk) for chunk in found.parts["train"]]
    assert not any(error for some in rows for error in some.errors)
