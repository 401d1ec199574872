"""What keeps a candidate from becoming champion."""

import pytest

from digits.corpus.kinds import GROUPS
from digits.models.manifest import Manifest
from digits.registry.gate import GateSettings, objections
from digits.task import SLICES

METRICS = {
    "test_accuracy": 0.996, "test_ece": 0.02, "latency_ms": 0.1,
    **{f"test_accuracy_{name}": 0.99 for name in ("rotated", "noisy", "inverted", "shifted", "photos")},
    "test_auroc_letters": 0.99,
}  # fmt: skip


def manifest(metrics: dict[str, float] | None = None) -> Manifest:
    return Manifest(
        name="digits", files={}, preprocessing_sha256="b" * 64, data="mnist", data_sha256="a" * 64,
        metrics=METRICS | (metrics or {}), command="", git_commit="", packages={},
    )  # fmt: skip


GATE = GateSettings()


def test_the_flag_names_every_slice_that_is_compared() -> None:
    """Changed test images, and the groups of pictures that the corpus draws."""
    text = GateSettings.model_fields["slice_tolerance"].description or ""
    assert [name for name in (*SLICES, *GROUPS) if name not in text] == []


def test_a_good_candidate_meets_no_objection() -> None:
    assert objections(manifest(), None, GATE) == []
    assert objections(manifest(), manifest(), GATE) == []
    assert objections(manifest({"test_accuracy": 0.9957}), manifest(), GATE) == []


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ({"test_accuracy": 0.9}, "test accuracy 0.9000 is below 0.97"),
        ({"test_ece": 0.2}, "calibration error 0.2000 is above 0.05"),
        ({"latency_ms": 9.0}, "one image takes 9.00 ms, above the limit of 2.0 ms"),
        ({"test_refused": 0.05}, "5.00% of the test images are rejected, above the limit of 2.00%"),
    ],
)
def test_floors_hold_without_a_champion(metrics: dict[str, float], reason: str) -> None:
    assert objections(manifest(metrics), None, GATE) == [reason]


@pytest.mark.parametrize("missing", [["test_accuracy"], ["test_ece", "latency_ms"]])
def test_a_manifest_without_a_metric_is_an_objection(missing: list[str]) -> None:
    """As of a model that was registered by hand."""
    without = manifest()
    for metric in missing:
        del without.metrics[metric]
    (reason, *_) = objections(without, manifest(), GATE)
    assert reason == f"the manifest has no {', '.join(missing)}; train or import the model again"
    assert len(objections(without, None, GATE)) == 1


@pytest.mark.parametrize(
    "metric",
    ["test_accuracy", "test_accuracy_rotated", "test_accuracy_noisy", "test_accuracy_photos",
     "test_auroc_letters"],
)  # fmt: skip
def test_a_candidate_worse_than_the_champion_is_told_where(metric: str) -> None:
    (reason,) = objections(manifest({metric: METRICS[metric] - 0.015}), manifest(), GATE)
    assert reason.startswith(f"{metric} ")


def test_a_candidate_that_says_less_than_the_champion_is_worse() -> None:
    """A model without is_digit does not replace one that has it."""
    without = manifest()
    without.metrics.pop("test_auroc_letters")
    assert objections(without, None, GATE) == []
    (reason,) = objections(without, manifest(), GATE)
    assert reason.startswith("test_auroc_letters 0.0000 is more than 0.003 below the champion's 0.9900")
    assert objections(manifest(), without, GATE) == []


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ({"test_images": 999, "test_images_of_rarest_label": 90}, "999 test images of mnist are too few"),
        ({"test_images": 1000, "test_images_of_rarest_label": 0}, "have no image of at least one label"),
    ],
)
def test_a_test_set_too_small_to_judge_promotes_nothing(metrics: dict[str, float], reason: str) -> None:
    """Too few images, or a label without any; the flag accepts fewer."""
    (found,) = objections(manifest(metrics), None, GATE)
    assert reason in found
    enough = {"test_images": 1000.0, "test_images_of_rarest_label": 1.0}
    assert objections(manifest(enough), None, GATE) == []
    few = {"test_images": 360.0, "test_images_of_rarest_label": 30.0}
    assert objections(manifest(few), None, GateSettings(min_test_images=360)) == []


def test_every_objection_is_told_at_once() -> None:
    assert len(objections(manifest({"test_accuracy": 0.9, "test_ece": 0.3}), manifest(), GATE)) == 3
