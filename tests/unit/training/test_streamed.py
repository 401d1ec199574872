"""Streamed data before its training: what is held back, and one sentence if no picture is readable."""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from digits.errors import DataUnavailable
from digits.streaming.chunks import Chunk
from digits.streaming.reading import read_chunk
from digits.task import CLASSES, LEVELS, SHAPE
from digits.training.settings import TrainSettings
from digits.training.streamed import StreamedDataset, open_data

ROWS = 200


def rows(folder: Path, good: int, has_ink: bool = True) -> TrainSettings:
    """Writes rows of which only the first `good` ones have as many pixels as an image."""
    folder.mkdir(parents=True)
    image = np.zeros(SHAPE, np.uint8)
    image[5:23, 12:16] = 255 * has_ink
    pixels = [image.tobytes() if number < good else bytes(3) for number in range(ROWS)]
    pq.write_table(
        pa.table({"pixels": pixels, "label": (np.arange(ROWS) % CLASSES).tolist()}), folder / "a.parquet"
    )
    return TrainSettings(data=str(folder), validation_share=0.2)


def test_data_without_a_readable_picture_is_named(tmp_path: Path) -> None:
    """Every epoch would train on nothing."""
    settings = rows(tmp_path / "data", 0)
    message = r"^none of the \d+ pictures of .*/data for train can be read; a.parquet#\d+: 3 pixels instead"
    with pytest.raises(DataUnavailable, match=message):
        open_data(settings)


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def stream(chunks: Sequence[Chunk], readers: int) -> object:
        return map(read_chunk, chunks)

    monkeypatch.setitem(sys.modules, "digits.streaming.pipeline", SimpleNamespace(stream=stream))


def test_test_images_without_ink_begin_no_training(tmp_path: Path, no_ray: None) -> None:
    """In memory they are found at once, streamed before the workers start."""
    images, labels = np.zeros((20, *SHAPE), np.uint8), np.arange(20) % CLASSES
    np.savez(tmp_path / "a.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    with pytest.raises(DataUnavailable, match="none of the first 20 test images shows anything"):
        open_data(TrainSettings(data=str(tmp_path / "a.npz")))
    dataset = open_data(rows(tmp_path / "data", ROWS, has_ink=False))
    with pytest.raises(DataUnavailable, match=r"none of the first \d+ test images shows anything"):
        _ = dataset.test_images


def test_held_back_pictures_are_read_and_listed(tmp_path: Path, no_ray: None) -> None:
    """Each of validation and test is an image, or one of the unreadable pictures."""
    dataset = open_data(rows(tmp_path / "data", 100))
    assert isinstance(dataset, StreamedDataset)
    images = len(dataset.validation.images) + len(dataset.test.images)
    held_back = dataset.survey.rows("validation") + dataset.survey.rows("test")
    places = [int(line.partition(":")[0].removeprefix("a.parquet#")) for line in dataset.unreadable]
    assert images + len(places) == held_back
    assert images > 0
    assert len(places) == len(set(places)) > 0
    assert min(places) >= 100
    assert all(line.endswith(f": 3 pixels instead of {LEVELS}") for line in dataset.unreadable)
