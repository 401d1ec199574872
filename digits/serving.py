"""The Ray Serve deployment: one replica is one model, one batch queue, and its HTTP routes.

With app.py the only module that imports ray.serve.  It places the parts; what they do is elsewhere.
"""

import logging
import warnings
from typing import Any

import ray
from ray import serve
from ray.serve import metrics
from starlette.applications import Starlette

from digits.api import create_api
from digits.edge import is_loaded_by_ray, middlewares
from digits.reloading import LiveModel
from digits.settings import ServeSettings

log = logging.getLogger("ray.serve.digits")  # Serve writes the lines of "ray.serve" to the replica's file


@serve.deployment
@serve.ingress()
class DigitClassifier:
    """Its settings are the `user_config` of serve_config.yaml, handed to `reconfigure`."""

    def __init__(self) -> None:
        loads = metrics.Counter(
            "digits_model_loads",
            description="Models loaded, rejected or not to be had.",
            tag_keys=("outcome",),
        )
        resources: dict[str, float] = ray.get_runtime_context().get_assigned_resources()  # type: ignore[no-untyped-call]
        self._live = LiveModel(
            threads=max(1, int(resources.get("CPU", 1))),
            log=log,
            count=lambda outcome: loads.inc(tags={"outcome": outcome}),
        )
        # Pillow's hold figures from the file: each other text is a line of the log, and kept for ever.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        log.setLevel(logging.INFO)  # serve_config.yaml lets Ray's own loggers speak of warnings alone

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Load what the settings ask for beside what answers now.

        Serve calls it before the replica takes requests, and again for each change of user_config.
        What it raises stops a new replica from becoming ready and leaves an old one as it was.
        """
        await self._live.configure(ServeSettings(**user_config))

    async def check_health(self) -> None:
        await self._live.check_health()

    def __serve_build_asgi_app__(self) -> Starlette:
        return create_api(self._live, middleware=[] if is_loaded_by_ray() else middlewares())
