"""A loaded model with its batch queue and its limits, without Ray and HTTP.

A classifier is immutable. Another model or batch size is another classifier. Requests that began on the old
one end there, so no answer mixes two models.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import numpy as np

from digits.errors import DeadlineExceeded, ModelRejected, Overloaded, Wedged
from digits.inference.batcher import Answer, Batcher, IsAbandoned, OnBatch
from digits.inference.settings import LONGEST_BATCH_S, WEDGED_AFTER_S, ServeSettings
from digits.inference.source import ModelSource
from digits.models.runtime import DigitModel
from digits.task import CLASSES, Images, ModelVersion, Scores
from digits.vision.golden import golden_digits

# A shorter call costs less than a hop to a thread and back under load, and delays nothing.  A longer one
# would keep the event loop from reading the requests of the next batch: docs/decisions/0003.
ON_LOOP_S = 0.001
DECIMALS = 6  # further digits are noise of float32 and would be most of an answer's bytes


class Classifier:
    """Use from one event loop only."""

    def __init__(
        self,
        settings: ServeSettings,
        model: DigitModel,
        version: ModelVersion,
        on_batch: OnBatch = lambda batch: None,
    ) -> None:
        self.settings = settings
        self.version = version
        self.warning = model.preprocessing_difference()
        self.says_is_digit = model.says_is_digit
        chosen = settings.reject_below
        self.reject_below = model.reject_below if chosen is None else chosen
        self._batcher = Batcher(
            _Runner(model).predict,  # holds no reference to this object: a cycle would outlive the swap
            max_batch_size=settings.max_batch_size,
            max_queued_images=settings.max_queued_images,
            timeout_s=settings.queue_timeout_s,
            on_batch=on_batch,
        )

    @classmethod
    def load(
        cls,
        settings: ServeSettings,
        threads: int,
        source: ModelSource,
        version: ModelVersion,
        on_batch: OnBatch = lambda batch: None,
    ) -> Self:
        """Returns a classifier after it has fetched, verified, warmed up and checked the version; blocks.

        Raises ModelRejected, TrackingUnavailable or OSError.
        """
        model = DigitModel.load(
            source.fetch(version),
            sha256=version.sha256,
            threads=threads,
            max_batch_size=settings.max_batch_size,
        )
        model.check_golden_digits()
        model.check_speed(settings.max_batch_size, settings.batch_budget_ms)
        source.remember_good(version)
        return cls(settings, model, version, on_batch)

    @property
    def queued_images(self) -> int:
        return self._batcher.queued_images

    async def classify(
        self, images: Images, is_abandoned: IsAbandoned | None = None, deadline: float | None = None
    ) -> Answer:
        """Returns scores rounded to DECIMALS, and times. Raises what `Batcher.submit` raises."""
        return await self._batcher.submit(images, is_abandoned, deadline)

    async def check_health(self) -> None:
        """Raises Wedged if the model does not answer, ModelRejected if it misreads a golden digit."""
        if (running_s := self._batcher.running_s()) > WEDGED_AFTER_S:
            raise Wedged(f"a batch has been running for {running_s:.0f} s")
        images, labels = golden_digits()
        try:
            async with asyncio.timeout(WEDGED_AFTER_S):
                answer = await self.classify(images[:1])
        except (Overloaded, DeadlineExceeded):
            return  # batches in front of it complete, or the first check would have raised
        except TimeoutError:
            # A queue that is long but moves is overload: ending the replica would make it worse.
            if self._batcher.running_s() < LONGEST_BATCH_S:
                return
            raise Wedged(f"a golden digit was not answered in {WEDGED_AFTER_S:g} s") from None
        if (read := answer.scores[0, :CLASSES].argmax()) != labels[0]:
            raise ModelRejected(f"the golden digit {labels[0]} is read as {read}")


class _Runner:
    """A model and the thread in which it runs."""

    def __init__(self, model: DigitModel) -> None:
        self._model = model
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def predict(self, batch: Images) -> Scores:
        """Runs the model on the event loop if that is faster than a hop to the thread, else in the thread."""
        if self._model.expected_seconds(len(batch)) <= ON_LOOP_S:
            return self._run(batch)
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, batch)

    def _run(self, batch: Images) -> Scores:
        return self._model.predict(batch).astype(np.float64).round(DECIMALS)
