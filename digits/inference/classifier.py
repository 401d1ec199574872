"""One loaded model, its batch queue and its limits: what answers requests, without Ray and HTTP.

Nothing of it changes after it is made.  Another model or another batch size is another Classifier;
requests that began on the old one end on the old one, so no answer ever mixes two models.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import numpy as np

from digits.errors import DeadlineExceeded, ModelRejected, Overloaded, Wedged
from digits.inference.batcher import Batcher, IsAbandoned
from digits.inference.counters import Tally
from digits.inference.settings import ServeSettings
from digits.models.manifest import ONNX_FILE, read_manifest
from digits.models.runtime import DigitModel
from digits.registry.versions import RegisteredVersion, fetch, remember_good
from digits.task import Images, Probabilities
from digits.vision.golden import golden_digits

# A call this short costs less than a hop to a thread and back under load, and holds up nobody.  A longer
# one would keep the loop from reading the requests of the next batch: docs/decisions/0003.
ON_LOOP_S = 0.001
DECIMALS = 6  # the rest is noise of float32 and would be most of an answer's bytes
# A golden digit that is not answered by then, or a batch that runs so long: the model hangs.  Serve asks
# every health_check_period_s and starts the replica again after the third time.
WEDGED_AFTER_S = 3.0
PROJECT = Path(__file__).parents[2]


class Classifier:
    def __init__(
        self,
        settings: ServeSettings,
        model: DigitModel,
        name: str,
        version: str,
        tally: Tally | None = None,
        sha256: str = "",
    ) -> None:
        self.settings = settings
        self.name = name
        self.version = version
        self.sha256 = sha256  # of the model's file
        tally = tally or Tally()
        self._batcher = Batcher(
            _Runner(model, tally).predict,  # knows nothing of this object: a cycle would outlive the swap
            max_batch_size=settings.max_batch_size,
            max_queued_images=settings.max_queued_images,
            timeout_s=settings.queue_timeout_s,
            count_wait=tally.add_wait,
        )

    @classmethod
    def load(
        cls,
        settings: ServeSettings,
        threads: int,
        registered: RegisteredVersion | None = None,
        tally: Tally | None = None,
    ) -> Self:
        """The registered version, or what is in the folder `model_uri`.

        Blocks for as long as fetching, verifying and warming take.  Raises ModelRejected or
        TrackingUnavailable; there is no Classifier without a good model.
        """
        cache = Path(settings.model_cache).expanduser()
        folder = fetch(registered, cache) if registered else PROJECT / settings.model_uri
        model = DigitModel.load(folder, threads=threads, max_batch_size=settings.max_batch_size)
        model.check_golden_digits()
        model.check_speed(settings.max_batch_size, settings.batch_budget_ms)
        manifest = read_manifest(folder)
        sha256 = manifest.files[ONNX_FILE].sha256
        if registered is None:
            return cls(settings, model, manifest.name, folder.name, tally, sha256)
        remember_good(settings.model_uri, registered, cache)
        return cls(settings, model, registered.name, registered.version, tally, sha256)

    @property
    def queued_images(self) -> int:
        return self._batcher.queued_images

    async def classify(self, images: Images, is_abandoned: IsAbandoned | None = None) -> Probabilities:
        """(n, 28, 28) pixels -> (n, 10) probabilities, rounded; raises what `Batcher.submit` raises."""
        return await self._batcher.submit(images, is_abandoned)

    async def check_health(self) -> None:
        """Raises Wedged if the model does not answer, ModelRejected if it answers wrong."""
        if (running_s := self._batcher.running_s()) > WEDGED_AFTER_S:
            raise Wedged(f"a batch has been running for {running_s:.0f} s")
        images, labels = golden_digits()
        try:
            async with asyncio.timeout(WEDGED_AFTER_S):
                (row,) = await self.classify(images[:1])
        except (Overloaded, DeadlineExceeded):
            return  # the batches in front of it do run, else the first check would have spoken
        except TimeoutError:
            # A queue that is long but moves is overload: to end the replica would make it worse.
            if self._batcher.running_s() < WEDGED_AFTER_S / 2:
                return
            raise Wedged(f"a golden digit was not answered in {WEDGED_AFTER_S:g} s") from None
        if row.argmax() != labels[0]:
            raise ModelRejected(f"the golden digit {labels[0]} is read as {row.argmax()}")


class _Runner:
    """A model and its thread."""

    def __init__(self, model: DigitModel, tally: Tally) -> None:
        self._model = model
        self._tally = tally
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def predict(self, batch: Images) -> Probabilities:
        """On the event loop if that is done sooner than a hop to a thread, else beside it."""
        if self._model.expected_seconds(len(batch)) <= ON_LOOP_S:
            return self._run(batch)
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, batch)

    def _run(self, batch: Images) -> Probabilities:
        began = time.perf_counter()
        probabilities = self._model.predict(batch)
        self._tally.add(time.perf_counter() - began, probabilities)
        return probabilities.astype(np.float64).round(DECIMALS)
