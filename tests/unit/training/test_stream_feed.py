"""The batches of streamed data, without Ray: which images are drawn, and that each row is in one batch."""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from digits.errors import DataUnavailable
from digits.streaming.plan import Window
from digits.task import SHAPE
from digits.training import stream_feed
from digits.training.samples import Samples, draw_samples
from digits.training.settings import TrainSettings
from digits.training.stream_feed import Batch, StreamFeed

ROWS = (40, 30)  # of the chunks


def feed(monkeypatch: pytest.MonkeyPatch, drawn: float) -> tuple[StreamFeed, list[int]]:
    """Returns a feed whose rows are black with their number as label, and the numbers that it draws."""
    asked: list[int] = []

    def draw(split: Any, numbers: range, seed: int) -> Samples:
        asked.extend(numbers)
        return draw_samples(split, numbers, seed)

    def mixed(_: StreamFeed, own: Sequence[Window], epoch: int) -> Iterator[Batch]:
        for window in own:
            labels = np.arange(window.rows, dtype=np.uint8)
            yield Batch(np.zeros((len(labels), *SHAPE), np.uint8), labels, np.ones(len(labels), np.float32))

    monkeypatch.setattr(stream_feed, "draw_samples", draw)
    monkeypatch.setattr(StreamFeed, "_mixed_rows", mixed)
    validation = Samples(np.zeros((5, *SHAPE), np.uint8), np.zeros(5, np.uint8))
    dataset: Any = SimpleNamespace(
        survey=SimpleNamespace(parts={"train": [SimpleNamespace(kept=rows) for rows in ROWS]}),
        train_count=sum(ROWS), validation=validation,
    )  # fmt: skip
    settings = TrainSettings(data="some", batch_size=16, drawn=drawn)
    return StreamFeed(settings, dataset, worker=0, workers=1), asked


def test_a_task_without_drawn_images_draws_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A drawn image is a digit of 28 rows of grey: it fits no other task."""
    made, asked = feed(monkeypatch, drawn=0)
    batches = list(made.raw_batches(0, []))
    assert asked == []
    assert [len(batch.labels) for batch in batches] == [16] * 5
    assert sum(batch.weights.sum() for batch in batches) == sum(ROWS)


def test_the_error_that_ends_the_batches_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow, which asks for the batches, shows only its own error."""
    made, _ = feed(monkeypatch, drawn=0)
    error = DataUnavailable("data/a.parquet cannot be read: No such file")

    def failing(*_: object) -> Iterator[Batch]:
        raise error
        yield

    monkeypatch.setattr(StreamFeed, "_mixed_rows", failing)
    assert made.failure is None
    with pytest.raises(DataUnavailable):
        next(made.raw_batches(0, []))
    assert made.failure is error


def test_each_batch_has_its_share_of_drawn_images(monkeypatch: pytest.MonkeyPatch) -> None:
    made, asked = feed(monkeypatch, drawn=1.0)
    assert len(asked) == sum(ROWS) + 5  # for training and for validation
    batches = list(made.raw_batches(0, []))
    assert [len(batch.labels) for batch in batches] == [16] * 9
    assert all(batch.images[8:].any(axis=(1, 2)).all() for batch in batches)
    assert not any(batch.images[:8].any() for batch in batches)
