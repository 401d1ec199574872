"""Whether the workers fit: what is needed, and what there is."""

import pytest

from digits.training.cluster import describe_shortage
from digits.training.settings import TrainSettings


def test_workers_fit_only_whole_into_nodes() -> None:
    """Six CPUs on two nodes are room for two workers of two CPUs, not for three."""
    nodes = [{"CPU": 3.0}, {"CPU": 3.0}]
    assert describe_shortage(TrainSettings(num_workers=2), nodes) == ""
    said = describe_shortage(TrainSettings(num_workers=4), nodes)
    assert said.startswith(
        "--num-workers 4 needs 4 times 2 CPU, but Ray has room for 2: its nodes have 3 CPU; 3 CPU"
    )


def test_an_elastic_training_needs_room_for_the_fewest_workers() -> None:
    settings = TrainSettings(num_workers=4, min_workers=2)
    assert describe_shortage(settings, [{"CPU": 4.0}]) == ""
    said = describe_shortage(settings, [{"CPU": 3.0}])
    assert said.startswith(
        "--min-workers 2 needs 2 times 2 CPU, but Ray has room for 1: its nodes have 3 CPU"
    )
    assert "choose fewer --min-workers" in said
    with pytest.raises(ValueError, match="--min-workers 5 must not exceed --num-workers 4"):
        TrainSettings(num_workers=4, min_workers=5)


def test_a_missing_gpu_is_named() -> None:
    said = describe_shortage(TrainSettings(use_gpu=True), [{"CPU": 8.0}])
    assert "1 times 2 CPU and 1 GPU, but Ray has room for 0: its nodes have 8 CPU and 0 GPU" in said
    assert "--no-use-gpu" in said
