"""The replica's own metrics, beside those of Ray Serve: docs/monitoring.md."""

from ray.serve import metrics

from digits.inference.live_model import LiveModel


class Metrics:
    """Use from the replica's event loop only."""

    def __init__(self) -> None:
        self._loads = metrics.Counter(
            "digits_model_loads",
            description="Attempts to load a model: loaded, rejected or unreachable.",
            tag_keys=("outcome",),
        )
        self._batches = metrics.Counter(
            "digits_batches", description="Batches, by the upper bound of their size.", tag_keys=("at_most",)
        )
        self._seconds = metrics.Counter(
            "digits_model_seconds", description="Seconds from the start of a batch to its results, summed."
        )
        self._waited = metrics.Counter(
            "digits_wait_seconds", description="Seconds that images waited for the model, summed over images."
        )
        self._answers = metrics.Counter(
            "digits_answers", description="Images answered, by the digit.", tag_keys=("digit",)
        )
        self._confidences = metrics.Counter(
            "digits_confidences",
            description="Images answered, by the upper bound of the confidence.",
            tag_keys=("at_most",),
        )
        self._queued = metrics.Gauge("digits_queued_images", description="Images that wait for the model.")
        self._preprocessing = metrics.Gauge(
            "digits_preprocessing_differs",
            description="1 if the live model was evaluated with other preprocessing than this replica has.",
        )
        self._config = metrics.Gauge(
            "digits_config_rejected",
            description="1 while the last user_config is rejected and an earlier one answers.",
        )
        self._model = metrics.Gauge(
            "digits_model_info",
            description="1 for the model that answers.",
            tag_keys=("name", "version", "sha256"),  # type: ignore[arg-type]  # Ray declares a tuple of one
        )
        self._reported: dict[tuple[str, object], float] = {}
        self._answering: dict[str, str] = {}

    def count_load(self, outcome: str) -> None:
        self._loads.inc(tags={"outcome": outcome})

    def report(self, live: LiveModel) -> None:
        """Exports what has been counted since the last call."""
        counters = live.counters
        self._add(self._seconds, None, "", counters.model_s)
        self._add(self._waited, None, "", counters.queue_s)
        for counter, tag, counts in (
            (self._batches, "at_most", counters.batches.copy()),
            (self._answers, "digit", counters.labels.copy()),
            (self._confidences, "at_most", counters.confidences.copy()),
        ):
            for value, count in counts.items():
                self._add(counter, tag, value, count)
        if classifier := live.classifier:
            version = classifier.version
            self._config.set(1 if live.config_is_rejected else 0)
            self._queued.set(classifier.queued_images)
            self._preprocessing.set(1 if classifier.warning else 0)
            answering = {"name": version.name, "version": version.version, "sha256": version.sha256}
            if self._answering not in ({}, answering):
                self._model.set(0, tags=self._answering)
            self._model.set(1, tags=answering)
            self._answering = answering

    def _add(self, counter: metrics.Counter, tag: str | None, value: object, count: float) -> None:
        key = (counter.info["name"], value)
        if new := count - self._reported.get(key, 0):
            counter.inc(new, tags={tag: str(value)} if tag else {})
            self._reported[key] = count
