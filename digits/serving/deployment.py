"""The Ray Serve deployment: one replica is one live model, one batch queue, and the HTTP API around them.

It only connects the parts, which are in their own folders.
"""

import asyncio
import gc
import logging
import warnings
from typing import Any

import ray
from ray import serve
from starlette.applications import Starlette

from digits.gateway.middleware import middlewares_of_the_app
from digits.http.app import create_api
from digits.inference.live_model import LiveModel
from digits.inference.predictor import Predictor
from digits.inference.reader import Reader
from digits.inference.repeating import repeat
from digits.registry.source import open_source
from digits.serving.autoscaling import WORK, OfferedWork
from digits.serving.metrics import Metrics

REPORT_EVERY_S = 1.0
# Python's collector would run for every 700 new objects: 2 to 7 % of the CPU time of a small picture.
GC_THRESHOLDS = (20_000, 20, 50)
log = logging.getLogger("ray.serve.digits")  # Serve writes the lines of "ray.serve" to the replica's file


@serve.deployment
@serve.ingress()
class DigitClassifier:
    """The deployment. Its settings are the `user_config` of serve_config.yaml, passed to `reconfigure`."""

    def __init__(self) -> None:
        gc.set_threshold(*GC_THRESHOLDS)
        self._metrics = Metrics()
        resources: dict[str, float] = ray.get_runtime_context().get_assigned_resources()  # type: ignore[no-untyped-call]
        threads = max(1, int(resources.get("CPU", 1)))
        self._live = LiveModel(
            lambda settings: open_source(settings.model_uri, settings.model_cache),
            threads=threads,
            log=log,
            on_load=self._metrics.count_load,
        )
        reader = Reader(threads)
        self._offered = OfferedWork(reader)
        self._predictor = Predictor(self._live, reader, [self._live.counters.count_predictions], log)
        self._reporting: asyncio.Task[None] | None = None
        # Pillow's warnings contain file data, so every one is unique, logged and kept for ever: ignore them.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        log.setLevel(logging.INFO)  # serve_config.yaml limits Ray's own loggers to warnings

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Loads the model that the settings name, beside the one that answers.

        Serve calls it before the replica takes requests, and again for each change of user_config. Only the
        first call raises, which keeps a new replica from becoming ready.
        """
        await self._live.reconfigure(user_config)
        if self._reporting is None:
            reporting = repeat(self._report, REPORT_EVERY_S, log, "reporting metrics failed")
            self._reporting = asyncio.get_running_loop().create_task(reporting)

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Returns the metrics of this replica that `replicas_needed` reads."""
        return {WORK: self._offered.share()}

    async def check_health(self) -> None:
        await self._live.check_health()

    def __serve_build_asgi_app__(self) -> Starlette:
        return create_api(
            self._predictor,
            middleware=middlewares_of_the_app(),
            replica=serve.get_replica_context().replica_tag,
        )

    async def _report(self) -> None:
        self._metrics.report(self._live)
