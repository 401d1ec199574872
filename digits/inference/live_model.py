"""The model that answers now, and how another takes its place: loaded and checked beside it, then swapped.

A swap is one assignment between two batches; a model that fails any check never answers one request.
Neither Ray nor HTTP is known here.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from digits.errors import DigitsError, NotReady, TrackingUnavailable
from digits.inference.classifier import Classifier
from digits.inference.counters import Tally
from digits.inference.settings import ServeSettings
from digits.registry.versions import RegisteredVersion, has_alias, is_registered, last_good, resolve


class LiveModel:
    """Use from one event loop only.

    `classifier` answers requests.  `warning` says in what it is not what was asked for: the version that
    was refused and why, or that MLflow could not be asked.  `count` is told of every load and how it
    ended: "loaded", "rejected" or "unreachable".
    """

    def __init__(self, threads: int, log: logging.Logger, count: Callable[[str], None]) -> None:
        self.classifier: Classifier | None = None
        self.warning: str | None = None
        self.tally = Tally()  # of all models that answered here
        self._threads = threads
        self._log = log
        self._count = count
        self._settings: ServeSettings | None = None
        self._registered: RegisteredVersion | None = None  # what answers
        self._refused: RegisteredVersion | None = None  # not tried again while the alias points there
        self._changing = asyncio.Lock()
        self._watch: asyncio.Task[None] | None = None

    async def configure(self, settings: ServeSettings) -> None:
        """Load what the settings ask for; raises what that raises, and then what answered goes on."""
        async with self._changing:
            uri, warning = settings.model_uri, None
            try:
                registered = await asyncio.to_thread(resolve, uri) if is_registered(uri) else None
                await self._load(settings, registered)
            except TrackingUnavailable as error:
                good = last_good(uri, Path(settings.model_cache).expanduser())
                if good is None:
                    raise
                await self._load(settings, good)
                warning = f"version {good.version} is the last one known to be good: {error}"
            self._settings, self._refused = settings, None
            self._warn(warning)
        if self._watch:
            self._watch.cancel()
        if has_alias(settings.model_uri):
            self._watch = asyncio.get_running_loop().create_task(self._follow_alias(settings.alias_poll_s))

    async def reload(self) -> bool:
        """Ask MLflow where the alias points, and load that if it is another; whether it was, and is good.

        What goes wrong stands in `warning` and in the log; what answered goes on.
        """
        async with self._changing:
            settings = self._settings
            if settings is None:
                raise NotReady("no model is configured yet; try again in a few seconds")
            if not has_alias(settings.model_uri):
                return False
            try:
                registered = await asyncio.to_thread(resolve, settings.model_uri)
            except DigitsError as error:
                self._failed("unreachable", f"the alias cannot be looked up: {error}")
                return False
            if registered in (self._registered, self._refused):
                if registered == self._registered:
                    self._warn(None)
                return False
            try:
                await self._load(settings, registered)
            except (TrackingUnavailable, OSError) as error:
                self._failed("unreachable", f"version {registered.version} cannot be fetched: {error}")
                return False
            except DigitsError as error:
                self._refused = registered
                self._failed("rejected", f"version {registered.version} was rejected: {error}")
                return False
            self._refused = None
            self._warn(None)
            return True

    async def check_health(self) -> None:
        """Raises NotReady, Wedged or ModelRejected."""
        if self.classifier is None:
            raise NotReady("no model: serve_config.yaml gives this deployment no user_config")
        await self.classifier.check_health()

    async def _load(self, settings: ServeSettings, registered: RegisteredVersion | None) -> None:
        # In a thread: health checks, and requests on the old model, must be answered meanwhile.
        loaded = await asyncio.to_thread(Classifier.load, settings, self._threads, registered, self.tally)
        self.classifier, self._registered = loaded, registered
        self._count("loaded")
        self._log.info(
            "model loaded name=%s version=%s threads=%d max_batch_size=%d",
            loaded.name, loaded.version, self._threads, settings.max_batch_size,
        )  # fmt: skip

    async def _follow_alias(self, period_s: float) -> None:
        while True:
            await asyncio.sleep(period_s)
            try:
                await self.reload()
            except Exception:  # the watch must not end while the replica lives
                self._log.exception("the alias could not be followed")

    def _failed(self, outcome: str, warning: str) -> None:
        self._count(outcome)
        self._warn(warning)

    def _warn(self, warning: str | None) -> None:
        if warning and warning != self.warning:
            self._log.warning("model not changed: %s", warning)
        self.warning = warning
