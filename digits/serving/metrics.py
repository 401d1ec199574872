"""The replica's own metrics, beside those of Ray Serve (docs/monitoring.md).

docs/reference/metrics.md is generated from the descriptions.
"""

from ray.serve import metrics

from digits.inference.live_model import LiveModel
from digits.task import LABELS


class Metrics:
    """The metrics; use them from the replica's event loop only."""

    def __init__(self) -> None:
        self._loads = metrics.Counter(
            "digits_model_loads",
            description="Attempts to load a model: loaded, rejected by a check, unreachable if MLflow was "
            "down, unavailable if it names no version or the disk is full.",
            tag_keys=("outcome",),
        )
        self._batches = metrics.Counter(
            "digits_batches",
            description="Batches, by the upper bound of their size: 1, 2, 4, 8, 16, 32, 64, 1024.",
            tag_keys=("at_most",),
        )
        self._images = metrics.Counter(
            "digits_batch_images",
            description="Images in batches: each candidate of a picture, and health checks; divided by "
            "batches, the mean batch size.",
        )
        self._seconds = metrics.Counter(
            "digits_model_seconds",
            description="Seconds in which the model ran; the rate is the utilisation of the model.",
        )
        self._waited = metrics.Counter(
            "digits_wait_seconds",
            description="Seconds that images waited for the model; divided by batch images, the mean wait.",
        )
        self._answers = metrics.Counter(
            "digits_answers",
            description="Images answered, by the label.",
            tag_keys=("digit", "label"),  # type: ignore[arg-type]  # Ray declares a tuple of one
        )
        self._confidences = metrics.Counter(
            "digits_confidences",
            description="Images answered, by the upper bound of the confidence: 0.5, 0.9, 0.99, 1.",
            tag_keys=("at_most",),
        )
        self._queued = metrics.Gauge("digits_queued_images", description="Images that wait for the model.")
        self._preprocessing = metrics.Gauge(
            "digits_preprocessing_differs",
            description="1 if the live model was evaluated with other preprocessing than this replica uses.",
        )
        self._config = metrics.Gauge(
            "digits_config_rejected",
            description="1 while the last user_config is rejected and an earlier one is active: see /readyz.",
        )
        self._model = metrics.Gauge(
            "digits_model_info",
            description="1 for the live model, with the sha256 of its file.",
            tag_keys=("name", "version", "sha256"),  # type: ignore[arg-type]  # Ray declares a tuple of one
        )
        self._reported: dict[tuple[str, ...], float] = {}
        self._answering: dict[str, str] = {}

    def count_load(self, outcome: str) -> None:
        """Counts an attempt to load a model, by an outcome that LiveModel names."""
        self._loads.inc(tags={"outcome": outcome})

    def report(self, live: LiveModel) -> None:
        """Exports the counts since the last call."""
        counters = live.counters
        self._add(self._images, {}, counters.images)
        self._add(self._seconds, {}, counters.model_s)
        self._add(self._waited, {}, counters.queue_s)
        for counter, counts in (
            (self._batches, counters.batches.copy()),
            (self._confidences, counters.confidences.copy()),
        ):
            for value, count in counts.items():
                self._add(counter, {"at_most": str(value)}, count)
        for position, count in counters.labels.copy().items():
            self._add(self._answers, {"digit": str(position), "label": LABELS[position]}, count)
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

    def _add(self, counter: metrics.Counter, tags: dict[str, str], count: float) -> None:
        key = (counter.info["name"], *tags.values())
        if new := count - self._reported.get(key, 0):
            counter.inc(new, tags=tags)
            self._reported[key] = count
