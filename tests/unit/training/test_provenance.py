"""One provenance feeds MLflow's tags and the manifest."""

import dataclasses
import subprocess

import numpy as np
import pytest

from digits.models.manifest import Manifest
from digits.task import SIDE
from digits.training import provenance
from digits.training.data import Dataset
from digits.training.provenance import Provenance, collect_provenance
from digits.vision.identity import preprocessing_sha256

IMAGES, LABELS = np.zeros((1, SIDE, SIDE), np.uint8), np.zeros(1, np.uint8)
DATASET = Dataset("mine", "ab" * 32, IMAGES, LABELS, IMAGES, LABELS)


def test_the_manifest_takes_every_field_of_the_provenance() -> None:
    """Export hands the fields over by name, and adds the name, the files and the metrics."""
    fields = {field.name for field in dataclasses.fields(Provenance)}
    assert Manifest.model_fields.keys() - fields == {"name", "files", "metrics"}
    assert fields <= Manifest.model_fields.keys()


def test_provenance_names_data_preprocessing_and_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command is quoted, so that it can be pasted into a shell."""
    monkeypatch.setattr("sys.argv", ["train_ray.py", "--data", "my digits.npz"])
    collected = collect_provenance(DATASET)
    assert (collected.data, collected.data_sha256) == ("mine", "ab" * 32)
    assert collected.preprocessing_sha256 == preprocessing_sha256()
    assert collected.command == "python train_ray.py --data 'my digits.npz'"
    assert collected.packages.keys() == set(provenance.PACKAGES)


def test_tags_are_the_collected_values() -> None:
    """MLflow shows the same commit, data, preprocessing and packages as the manifest."""
    tags = Provenance("c0ffee", {"keras": "3.1"}, "mine", "data-hash", "pixels-hash", "python x").tags()
    assert tags == {
        "version.keras": "3.1",
        "git_commit": "c0ffee",
        "data": "mine",
        "data_sha256": "data-hash",
        "preprocessing_sha256": "pixels-hash",
    }


def test_outside_a_checkout_the_commit_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image has neither git nor a repository."""

    def no_git(*_: object, **__: object) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", no_git)
    assert collect_provenance(DATASET).git_commit == "unknown"
