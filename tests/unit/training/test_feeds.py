"""How many images in memory train, and whether they fill a batch."""

import numpy as np
import pytest

from digits.errors import DataUnavailable
from digits.task import SHAPE
from digits.training.data import Dataset
from digits.training.feeds import check_fills_a_batch, split
from digits.training.settings import TrainSettings


def dataset(count: int) -> Dataset:
    images, labels = np.zeros((count, *SHAPE), np.uint8), np.zeros(count, np.uint8)
    return Dataset("some", "", images, labels, images[:1], labels[:1])


@pytest.mark.parametrize("count", [7, 100, 1437])
def test_images_must_fill_one_batch_without_those_held_back(count: int) -> None:
    """As many as `split` leaves are enough, and one fewer is not."""
    some = dataset(count)
    trained = len(split(some, TrainSettings(drawn=0))[0].images)
    assert 0 < trained < count
    check_fills_a_batch(TrainSettings(drawn=0, batch_size=trained), some)
    with pytest.raises(DataUnavailable, match=f"{trained} training images, 0 of them drawn, do not fill"):
        check_fills_a_batch(TrainSettings(drawn=0, batch_size=trained + 1), some)
