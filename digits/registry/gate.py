"""The promotion rules: what a candidate must show before it becomes champion.  No MLflow, no model."""

from pydantic import Field

from digits.models.manifest import Manifest
from digits.settings import Settings

SLICES = ("rotated", "noisy", "inverted", "shifted")


class GateSettings(Settings):
    min_accuracy: float = Field(0.97, ge=0, le=1, description="Least accuracy on the test images.")
    max_ece: float = Field(0.05, ge=0, le=1, description="Largest calibration error on the test images.")
    max_latency_ms: float = Field(2.0, gt=0, description="Largest median of one image on one thread, in ms.")
    accuracy_tolerance: float = Field(
        0.0005, ge=0, le=1, description="How far the accuracy may be below the champion's."
    )
    slice_tolerance: float = Field(
        0.01,
        ge=0,
        le=1,
        description="The same on rotated, noisy, inverted or shifted test images.",
    )


def objections(candidate: Manifest, champion: Manifest | None, gate: GateSettings) -> list[str]:
    """A sentence for each rule that the candidate fails; empty if it may be promoted."""
    found = []
    accuracy, ece, latency = (candidate.metrics[key] for key in ("test_accuracy", "test_ece", "latency_ms"))
    if accuracy < gate.min_accuracy:
        found.append(f"test accuracy {accuracy:.4f} is below {gate.min_accuracy}")
    if ece > gate.max_ece:
        found.append(f"calibration error {ece:.4f} is above {gate.max_ece}")
    if latency > gate.max_latency_ms:
        found.append(f"one image takes {latency:.2f} ms, the budget is {gate.max_latency_ms} ms")
    if champion is not None:
        found += _worse_than(champion, candidate, gate)
    return found


def _worse_than(champion: Manifest, candidate: Manifest, gate: GateSettings) -> list[str]:
    if candidate.data_sha256 != champion.data_sha256:
        return [f"tested on {candidate.data}, the champion on {champion.data}; train on the champion's data"]
    allowed = {"test_accuracy": gate.accuracy_tolerance}
    allowed |= {f"test_accuracy_{name}": gate.slice_tolerance for name in SLICES}
    return [
        f"{metric} {candidate.metrics[metric]:.4f} is more than {tolerance} below the champion's "
        f"{champion.metrics[metric]:.4f}"
        for metric, tolerance in allowed.items()
        if candidate.metrics[metric] < champion.metrics[metric] - tolerance
    ]
