"""The Ray Serve deployment: one replica is one model, one batch queue, and its HTTP routes.

With app.py the only module that imports ray.serve.  It places the parts; what they do is elsewhere.
"""

import asyncio
import logging
import warnings
from typing import Any

import ray
from ray import serve
from ray.serve import metrics
from starlette.applications import Starlette

from digits.gateway.middleware import is_loaded_by_ray, middlewares
from digits.http.app import create_api
from digits.inference.counters import SECONDS
from digits.inference.live_model import LiveModel
from digits.inference.settings import ServeSettings

REPORT_EVERY_S = 1.0
log = logging.getLogger("ray.serve.digits")  # Serve writes the lines of "ray.serve" to the replica's file


@serve.deployment
@serve.ingress()
class DigitClassifier:
    """Its settings are the `user_config` of serve_config.yaml, handed to `reconfigure`."""

    def __init__(self) -> None:
        self._metrics = Metrics()
        resources: dict[str, float] = ray.get_runtime_context().get_assigned_resources()  # type: ignore[no-untyped-call]
        self._live = LiveModel(
            threads=max(1, int(resources.get("CPU", 1))),
            log=log,
            count=self._metrics.count_load,
        )
        self._reporting: asyncio.Task[None] | None = None
        # Pillow's hold figures from the file: each other text is a line of the log, and kept for ever.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        log.setLevel(logging.INFO)  # serve_config.yaml lets Ray's own loggers speak of warnings alone

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Load what the settings ask for beside what answers now.

        Serve calls it before the replica takes requests, and again for each change of user_config.
        What it raises stops a new replica from becoming ready and leaves an old one as it was.
        """
        await self._live.configure(ServeSettings(**user_config))
        if self._reporting is None:
            self._reporting = asyncio.get_running_loop().create_task(self._report())

    async def check_health(self) -> None:
        await self._live.check_health()

    def __serve_build_asgi_app__(self) -> Starlette:
        return create_api(self._live, middleware=[] if is_loaded_by_ray() else middlewares())

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(REPORT_EVERY_S)
            self._metrics.report(self._live)


class Metrics:
    """The replica's own, beside those that Ray Serve has: docs/monitoring.md."""

    def __init__(self) -> None:
        self._loads = metrics.Counter(
            "digits_model_loads",
            description="Models loaded, rejected or not to be had.",
            tag_keys=("outcome",),
        )
        self._batches = metrics.Counter(
            "digits_batches", description="Batches, by the bound of their size.", tag_keys=("at_most",)
        )
        self._seconds = metrics.Counter("digits_model_seconds", description="Seconds that the model ran.")
        self._waited = metrics.Counter(
            "digits_wait_seconds", description="Seconds that images waited for the model, each its own."
        )
        self._answers = metrics.Counter(
            "digits_answers", description="Images answered, by the digit.", tag_keys=("digit",)
        )
        self._confidences = metrics.Counter(
            "digits_confidences",
            description="Images answered, by the bound of the confidence.",
            tag_keys=("at_most",),
        )
        self._queued = metrics.Gauge("digits_queued_images", description="Images that wait for the model.")
        self._model = metrics.Gauge(
            "digits_model_info",
            description="1 for the model that answers.",
            tag_keys=("name", "version", "sha256"),  # type: ignore[arg-type]  # Ray declares a tuple of one
        )
        self._told: dict[tuple[str, object], float] = {}
        self._answering: dict[str, str] = {}

    def count_load(self, outcome: str) -> None:
        self._loads.inc(tags={"outcome": outcome})

    def report(self, live: LiveModel) -> None:
        """What has been counted since the last time."""
        tally = live.tally
        batches = tally.batches.copy()
        self._tell(self._seconds, None, SECONDS, batches.pop(SECONDS))
        self._tell(self._waited, None, SECONDS, tally.waited_s)
        for counter, tag, counts in (
            (self._batches, "at_most", batches),
            (self._answers, "digit", tally.digits.copy()),
            (self._confidences, "at_most", tally.confidences.copy()),
        ):
            for value, count in counts.items():
                self._tell(counter, tag, value, count)
        if classifier := live.classifier:
            self._queued.set(classifier.queued_images)
            answering = {"name": classifier.name, "version": classifier.version, "sha256": classifier.sha256}
            if self._answering not in ({}, answering):
                self._model.set(0, tags=self._answering)
            self._model.set(1, tags=answering)
            self._answering = answering

    def _tell(self, counter: metrics.Counter, tag: str | None, value: object, count: float) -> None:
        key = (counter.info["name"], value)
        if new := count - self._told.get(key, 0):
            counter.inc(new, tags={tag: str(value)} if tag else {})
            self._told[key] = count
