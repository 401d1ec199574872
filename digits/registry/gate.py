"""The promotion rules: the metrics that a candidate needs to become champion.  No MLflow, no model."""

from pydantic import Field

from digits.models.manifest import TEST_IMAGES, TEST_IMAGES_OF_RAREST, TEST_REJECTED, Manifest
from digits.settings import Settings

NEEDED = ("test_accuracy", "test_ece", "latency_ms")  # metrics of every model
SLICE, AUROC = "test_accuracy_", "test_auroc_"  # prefixes of the names of these metrics


class GateSettings(Settings):
    min_accuracy: float = Field(0.97, ge=0, le=1, description="Lowest accuracy on the test images.")
    min_test_images: int = Field(
        1000,
        ge=1,
        description="Minimum number of test images; each label must have at least one.",
    )
    max_ece: float = Field(
        0.05, ge=0, le=1, description="Highest expected calibration error on the test images."
    )
    max_latency_ms: float = Field(
        2.0, gt=0, description="Highest median latency of one image on one thread, in ms."
    )
    accuracy_tolerance: float = Field(
        0.0005, ge=0, le=1, description="How far the accuracy may be below the champion's."
    )
    slice_tolerance: float = Field(
        0.01,
        ge=0,
        le=1,
        description="How far the accuracy on each slice may be below the champion's: rotated, noisy, "
        "inverted or shifted test images, and other handwriting, drawings, pens, strokes, pages, framed "
        "and marked pictures, photos and file formats.",
    )
    max_rejected: float = Field(
        0.02, ge=0, le=1, description="Highest share of test images that the model's threshold rejects."
    )
    auroc_tolerance: float = Field(
        0.003, ge=0, le=1, description="How far the AUROC of is_digit may be below the champion's."
    )


def objections(candidate: Manifest, champion: Manifest | None, gate: GateSettings) -> list[str]:
    """Returns a sentence for each rule that the candidate fails; an empty list if it may be promoted.

    The champion's metrics must be measured on the candidate's test images (see promotion.py).
    """
    metrics, found = candidate.metrics, []
    if missing := [name for name in NEEDED if name not in metrics]:
        found.append(f"the manifest has no {', '.join(missing)}; train or import the model again")
    found += _too_few(candidate, gate)
    if (accuracy := metrics.get("test_accuracy", 1.0)) < gate.min_accuracy:
        found.append(f"test accuracy {accuracy:.4f} is below {gate.min_accuracy}")
    if (ece := metrics.get("test_ece", 0.0)) > gate.max_ece:
        found.append(f"calibration error {ece:.4f} is above {gate.max_ece}")
    if (latency := metrics.get("latency_ms", 0.0)) > gate.max_latency_ms:
        found.append(f"one image takes {latency:.2f} ms, above the limit of {gate.max_latency_ms} ms")
    if (rejected := metrics.get(TEST_REJECTED, 0.0)) > gate.max_rejected:
        found.append(
            f"{rejected:.2%} of the test images are rejected, above the limit of {gate.max_rejected:.2%}"
        )
    if champion is not None:
        found += _worse_than(champion, candidate, gate)
    return found


def _too_few(candidate: Manifest, gate: GateSettings) -> list[str]:
    """Returns objections about the number of test images.  Models of older trainings lack these counts."""
    found = []
    count = candidate.metrics.get(TEST_IMAGES, gate.min_test_images)
    if count < gate.min_test_images:
        found.append(
            f"{count:.0f} test images of {candidate.data} are too few to judge a model; at least "
            f"{gate.min_test_images} are needed, or --min-test-images {count:.0f}"
        )
    if candidate.metrics.get(TEST_IMAGES_OF_RAREST, 1) < 1:
        found.append(f"the test images of {candidate.data} have no image of at least one label; add some")
    return found


def _worse_than(champion: Manifest, candidate: Manifest, gate: GateSettings) -> list[str]:
    allowed = {"test_accuracy": gate.accuracy_tolerance}
    allowed |= {name: gate.slice_tolerance for name in champion.metrics if name.startswith(SLICE)}
    allowed |= {name: gate.auroc_tolerance for name in champion.metrics if name.startswith(AUROC)}
    return [
        f"{metric} {candidate.metrics.get(metric, 0):.4f} is more than {tolerance} below the champion's "
        f"{champion.metrics[metric]:.4f}"
        for metric, tolerance in allowed.items()
        if metric in champion.metrics
        and candidate.metrics.get(metric, 0) < champion.metrics[metric] - tolerance
    ]
