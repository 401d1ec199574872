"""A rollback that would change nothing says so; tests/train has promotions in a real MLflow."""

from pathlib import Path

import pytest

from digits.errors import ModelRejected, NotRegistered, PromotionRefused
from digits.models.manifest import read_manifest
from digits.registry import promotion
from digits.registry.promotion import rollback
from digits.task import ModelVersion
from testkit.cluster import ROOT


def test_a_rollback_to_the_champion_itself_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A promotion sets `previous` first: one that dies right after it leaves both aliases on one version."""
    moved: list[object] = []
    monkeypatch.setattr(promotion, "resolve", lambda address: ModelVersion("digits", "3", "0" * 64))
    monkeypatch.setattr(promotion, "_move_champion", lambda *arguments: moved.append(arguments))
    with pytest.raises(NotRegistered, match="version 3 of digits is the champion and the previous one, too"):
        rollback("digits")
    assert not moved


def test_a_champion_of_another_task_is_an_objection(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its error is not the candidate's: a training that registered its model has not failed."""

    def judge(folder: Path, sha256: str) -> dict[str, float]:
        raise ModelRejected("the signature is [24, 24, 3], not [28, 28]")

    starter = read_manifest(ROOT / "models" / "starter")
    monkeypatch.setattr(promotion, "fetch", lambda version, cache: tmp_path)
    monkeypatch.setattr(promotion, "read_manifest", lambda folder: starter)
    candidate = starter.model_copy(update={"data_sha256": "1" * 64})
    with pytest.raises(PromotionRefused, match=r"champion models:/digits/1 .*\[24, 24, 3\].*--model-name"):
        promotion._champion_on(candidate, ModelVersion("digits", "1", "0" * 64), tmp_path, judge)
