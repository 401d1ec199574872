"""Labelled pictures that are streamed to the workers; only validation and test pictures are in memory."""

import logging
import os
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from digits.errors import DataUnavailable
from digits.streaming.chunks import Part
from digits.streaming.reading import first_error
from digits.streaming.survey import Survey, survey
from digits.task import Images
from digits.training.data import NAMED, TrainingData, absolute_source, load
from digits.training.evaluation import check_test_images
from digits.training.samples import Samples
from digits.training.settings import TrainSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StreamedDataset:
    """A dataset (see `data.TrainingData`) whose training images are not loaded.

    The first use of its held-back pictures reads them with Ray Data; a copy sent to a worker then includes
    them. This raises DataUnavailable.
    """

    survey: Survey

    @property
    def name(self) -> str:
        return self.survey.name

    @property
    def sha256(self) -> str:
        return self.survey.sha256

    @property
    def train_count(self) -> int:
        return self.survey.rows("train")

    @property
    def test_count(self) -> int:
        return self.survey.rows("test")

    @property
    def test_images(self) -> Images:
        return self.test.images

    @property
    def test_labels(self) -> NDArray[np.uint8]:
        return self.test.labels

    @property
    def test(self) -> Samples:
        return self._test[0]

    @property
    def validation(self) -> Samples:
        return self._validation[0]

    @property
    def unreadable(self) -> list[str]:
        """The held-back pictures that cannot be read, with reasons."""
        return self._validation[1] + self._test[1]

    @cached_property
    def _test(self) -> tuple[Samples, list[str]]:
        samples, unreadable = _read(self.survey, "test")
        check_test_images(samples.images)
        return samples, unreadable

    @cached_property
    def _validation(self) -> tuple[Samples, list[str]]:
        return _read(self.survey, "validation")


def open_data(settings: TrainSettings) -> TrainingData:
    """Returns the data of the settings: in memory for a name or an .npz file, else streamed.

    Raises DataUnavailable, also if no training picture is readable, or no test image in memory has ink.
    """
    source = settings.data
    if source in NAMED or source.endswith(".npz"):
        dataset = load(source)
        check_test_images(dataset.test_images)
        return dataset
    found = survey(absolute_source(source), settings.validation_share, settings.seed)
    if error := first_error(found.parts["train"]):
        raise _none_readable(found, "train", error)
    return StreamedDataset(found)


def _none_readable(found: Survey, part: Part, error: str) -> DataUnavailable:
    return DataUnavailable(
        f"none of the {found.rows(part)} pictures of {found.address} for {part} can be read; {error}"
    )


def _read(found: Survey, part: Part) -> tuple[Samples, list[str]]:
    """Returns the held-back pictures of a part, and the unreadable ones with reasons.

    Raises DataUnavailable if none is readable.
    """
    from digits.streaming.pipeline import stream  # Ray takes seconds to import

    rows = list(stream(found.parts[part], readers=os.cpu_count() or 1))
    errors = [error for batch in rows for error in batch.errors]
    good = np.array([not error for error in errors])
    if not good.any():
        raise _none_readable(found, part, errors[0])
    unreadable = list(filter(None, errors))
    if unreadable:
        log.warning("pictures for %s left out unreadable=%d first=%s", part, len(unreadable), unreadable[0])
    images = np.concatenate([batch.images for batch in rows])[good]
    return Samples(images, np.concatenate([batch.labels for batch in rows])[good]), unreadable
