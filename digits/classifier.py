"""One loaded model, its batch queue and its limits: what answers requests, without Ray and HTTP.

Nothing of it changes after it is made.  Another model or another batch size is another Classifier;
requests that began on the old one end on the old one, so no answer ever mixes two models.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import numpy as np

from digits.batching import Batcher, Images, Probabilities
from digits.manifest import read_manifest
from digits.model import DigitModel
from digits.registry import fetch, resolve
from digits.settings import ServeSettings

# A call this short costs less than a hop to a thread and back under load, and holds up nobody.  A longer
# one would keep the loop from reading the requests of the next batch: docs/decisions/0003.
ON_LOOP_S = 0.001
DECIMALS = 6  # the rest is noise of float32 and would be most of an answer's bytes
PROJECT = Path(__file__).parents[1]


class Classifier:
    def __init__(self, settings: ServeSettings, model: DigitModel, name: str, version: str) -> None:
        self.settings = settings
        self.name = name
        self.version = version
        self._model = model
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._batcher = Batcher(
            self._predict,
            max_batch_size=settings.max_batch_size,
            max_queued_images=settings.max_queued_images,
            timeout_s=settings.queue_timeout_s,
        )

    @classmethod
    def load(cls, settings: ServeSettings, threads: int) -> Self:
        """Blocks for as long as fetching, verifying and warming take.

        Raises ModelRejected or TrackingUnavailable; there is no Classifier without a good model.
        """
        folder, name, version = _locate(settings)
        model = DigitModel.load(folder, threads=threads, max_batch_size=settings.max_batch_size)
        model.check_golden_digits()
        return cls(settings, model, name, version)

    async def classify(self, images: Images) -> Probabilities:
        """(n, 28, 28) pixels -> (n, 10) probabilities, rounded; raises what `Batcher.submit` raises."""
        return await self._batcher.submit(images)

    async def _predict(self, batch: Images) -> Probabilities:
        """On the event loop if that is done sooner than a hop to a thread, else beside it."""
        if self._model.expected_seconds(len(batch)) <= ON_LOOP_S:
            return self._run(batch)
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, batch)

    def _run(self, batch: Images) -> Probabilities:
        return self._model.predict(batch).astype(np.float64).round(DECIMALS)


def _locate(settings: ServeSettings) -> tuple[Path, str, str]:
    """An alias is resolved here, once; whatever it is moved to later, this Classifier stays as it is."""
    if settings.model_uri.startswith("models:/"):
        registered = resolve(settings.model_uri)
        return (
            fetch(registered, Path(settings.model_cache).expanduser()),
            registered.name,
            registered.version,
        )
    folder = PROJECT / settings.model_uri
    return folder, read_manifest(folder).name, folder.name
