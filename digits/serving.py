"""The Ray Serve deployment: one replica is one model, one batch queue, and its HTTP routes.

With app.py the only module that imports ray.serve.  It places the parts; what they do is elsewhere.
"""

import asyncio
import logging
from typing import Any

import ray
from ray import serve
from starlette.applications import Starlette

from digits.api import create_api
from digits.classifier import Classifier
from digits.errors import NotReady
from digits.settings import ServeSettings

log = logging.getLogger("ray.serve.digits")  # Serve writes the lines of "ray.serve" to the replica's file


@serve.deployment
@serve.ingress()
class DigitClassifier:
    """Its settings are the `user_config` of serve_config.yaml, handed to `reconfigure`."""

    def __init__(self) -> None:
        self._classifier: Classifier | None = None
        log.setLevel(logging.INFO)  # serve_config.yaml lets Ray's own loggers speak of warnings alone

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Load what the settings ask for beside what answers now, then swap in one assignment.

        Serve calls it before the replica takes requests, and again for each change of user_config.
        What it raises stops a new replica from becoming ready and leaves an old one as it was.
        """
        settings = ServeSettings(**user_config)
        resources: dict[str, float] = ray.get_runtime_context().get_assigned_resources()  # type: ignore[no-untyped-call]
        threads = max(1, int(resources.get("CPU", 1)))
        # In a thread: the replica must answer health checks, and requests on the old model, meanwhile.
        self._classifier = await asyncio.to_thread(Classifier.load, settings, threads)
        log.info(
            "model loaded name=%s version=%s threads=%d max_batch_size=%d",
            self._classifier.name, self._classifier.version, threads, settings.max_batch_size,
        )  # fmt: skip

    def check_health(self) -> None:
        if self._classifier is None:
            raise NotReady("no model: serve_config.yaml gives this deployment no user_config")

    def __serve_build_asgi_app__(self) -> Starlette:
        return create_api(lambda: self._classifier)
