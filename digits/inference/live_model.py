"""The live model: the classifier that answers now, and its replacement by another one.

A new model is loaded and checked beside the one that answers, then swapped in by one assignment between two
batches. A model that fails a check never answers a request. An invalid user_config changes nothing.
"""

import asyncio
import logging
from collections.abc import Callable

from digits.errors import DigitsError, ModelRejected, NotReady, NotRegistered, TrackingUnavailable
from digits.inference.classifier import Classifier
from digits.inference.counters import Counters
from digits.inference.repeating import repeat
from digits.inference.settings import ServeSettings
from digits.inference.source import ModelSource
from digits.problems import PROBLEMS
from digits.task import ModelVersion

RETRY_S = 30.0  # between two attempts to apply a rejected user_config: its model may appear later


class LiveModel:
    """Use from one event loop only.

    `classifier` answers requests; it is None until `configure` has succeeded once.  `on_load` is called
    after every attempt to load a model with its outcome: "loaded", "rejected" by a check, "unreachable" if
    MLflow did not answer, "unavailable" if it did but gave no version that can be stored here.
    """

    def __init__(
        self,
        open_source: Callable[[ServeSettings], ModelSource],
        threads: int,
        log: logging.Logger,
        on_load: Callable[[str], None],
    ) -> None:
        self.classifier: Classifier | None = None
        self.counters = Counters()  # of all models that answered here
        self._open_source = open_source
        self._threads = threads
        self._log = log
        self._on_load = on_load
        self._source: ModelSource | None = None
        # A version and why it was rejected.  It is not tried again while the alias points there.
        self._rejected: tuple[ModelVersion, str] | None = None
        self._source_warning: str | None = None
        self._config_warning: str | None = None
        self._retry: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        self._watch: asyncio.Task[None] | None = None

    @property
    def warning(self) -> str | None:
        """How the live model differs from the configuration: other settings, version or preprocessing."""
        preprocessing = self.classifier.warning if self.classifier else None
        found = (self._config_warning, self._source_warning, preprocessing)
        return "; ".join(text for text in found if text) or None

    @property
    def config_is_rejected(self) -> bool:
        """Whether the last user_config was rejected, so that an earlier one is active."""
        return self._config_warning is not None

    def ready(self) -> Classifier:
        """Returns the classifier. Raises NotReady if there is none yet."""
        if self.classifier is None:
            raise NotReady(PROBLEMS["not_ready"].detail)
        return self.classifier

    async def reconfigure(self, user_config: object) -> None:
        """Applies a user_config. If it fails, nothing changes, unless there is no classifier yet.

        Ray Serve ends a replica whose reconfigure raises and starts another with the same user_config, so a
        typo would take the service down. Instead the reason is logged and added to `warning`, and the
        user_config is tried again every RETRY_S. Without a classifier it raises InvalidSettings or what
        `configure` raises: a service must not start with settings other than those given.
        """
        if self._retry:
            self._retry.cancel()
        settings = None
        try:
            settings = ServeSettings.parse(user_config)
            await self.configure(settings)
        except Exception as error:
            if self.classifier is None:
                raise
            self._reject_config(error)
            if settings:
                self._retry = asyncio.get_running_loop().create_task(self._try_again(settings))

    async def configure(self, settings: ServeSettings) -> None:
        """Loads the model that the settings name. If that raises, the current classifier stays."""
        async with self._changing:
            source, warning = self._open_source(settings), None
            try:
                await self._load(settings, source, await asyncio.to_thread(source.resolve))
            except (TrackingUnavailable, OSError) as error:
                good = source.last_good()
                if good is None:
                    raise
                await self._load(settings, source, good)
                # A full disk, or a cache that is not writable, does not keep a good version from answering.
                reason = f"the model cannot be fetched: {error}" if isinstance(error, OSError) else error
                warning = f"serving version {good.version}, the last good one on this disk, because {reason}"
            self._source, self._rejected = source, None
            self._config_warning = None
            self._warn(warning)
        if self._watch:
            self._watch.cancel()
        if source.can_change:
            following = repeat(
                self.reload, settings.alias_poll_s, self._log, "following the model's alias failed"
            )
            self._watch = asyncio.get_running_loop().create_task(following)

    async def reload(self) -> bool:
        """Loads the alias' current version if it is another one; returns whether the model changed.

        Failures are logged and added to `warning`; the current classifier stays.
        """
        async with self._changing:
            classifier, source = self.ready(), self._source
            if source is None or not source.can_change:
                return False
            try:
                version = await asyncio.to_thread(source.resolve)
            except DigitsError as error:
                self._failed(_outcome_of(error), f"the model's alias cannot be resolved: {error}")
                return False
            if version == classifier.version:
                self._rejected = None
                self._warn(None)
                return False
            if self._rejected and version == self._rejected[0]:
                self._warn(self._rejected[1])
                return False
            try:
                await self._load(classifier.settings, source, version)
            except (TrackingUnavailable, OSError) as error:
                self._failed(_outcome_of(error), f"version {version.version} cannot be fetched: {error}")
                return False
            except DigitsError as error:
                warning = f"version {version.version} was rejected: {error}"
                self._rejected = version, warning
                self._failed("rejected", warning)
                return False
            self._rejected = None
            self._warn(None)
            return True

    async def check_health(self) -> None:
        """Raises NotReady, Wedged or ModelRejected."""
        if self.classifier is None:
            raise NotReady("no model is configured: serve_config.yaml has no user_config for this deployment")
        await self.classifier.check_health()

    async def _load(self, settings: ServeSettings, source: ModelSource, version: ModelVersion) -> None:
        # In a thread, so that health checks and requests to the old model are answered meanwhile.
        loaded = await asyncio.to_thread(
            Classifier.load, settings, self._threads, source, version, self.counters.count_batch
        )
        self.classifier = loaded
        self._on_load("loaded")
        self._log.info(
            "model loaded name=%s version=%s threads=%d max_batch_size=%d",
            version.name, version.version, self._threads, settings.max_batch_size,
        )  # fmt: skip
        if loaded.warning:
            self._log.warning("model loaded with a warning version=%s: %s", version.version, loaded.warning)

    async def _try_again(self, settings: ServeSettings) -> None:
        while self.config_is_rejected:
            await asyncio.sleep(RETRY_S)
            try:
                await self.configure(settings)
            except Exception as error:
                self._reject_config(error)

    def _reject_config(self, error: Exception) -> None:
        if isinstance(error, ModelRejected):
            self._on_load("rejected")
        elif isinstance(error, TrackingUnavailable | NotRegistered | OSError):
            self._on_load(_outcome_of(error))
        warning = f"the new user_config is rejected and the previous one stays active: {error}"
        if warning != self._config_warning:
            self._log.error("%s", warning)
        self._config_warning = warning

    def _failed(self, outcome: str, warning: str) -> None:
        self._on_load(outcome)
        self._warn(warning)

    def _warn(self, warning: str | None) -> None:
        if warning and warning != self._source_warning:
            self._log.warning("model warning: %s", warning)
        self._source_warning = warning


def _outcome_of(error: Exception) -> str:
    """Returns the outcome of a load that failed before a model was checked."""
    return "unreachable" if isinstance(error, TrackingUnavailable) else "unavailable"
