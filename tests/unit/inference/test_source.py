"""Where a model folder is, and which addresses are rejected."""

from pathlib import Path

import pytest

from digits.errors import ModelRejected
from digits.inference.source import PROJECT, FolderSource
from digits.registry.source import open_source
from digits.task import ModelVersion

STARTER = FolderSource("models/starter").resolve()


def fetched(model_uri: str) -> Path:
    return FolderSource(model_uri).fetch(STARTER)


def test_a_folder_is_relative_to_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica has another current folder than the command that deploys."""
    monkeypatch.chdir(tmp_path)
    assert fetched("models/starter") == PROJECT / "models" / "starter"
    assert fetched(str(tmp_path)) == tmp_path


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in model_cache."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert fetched("~/models/mine") == tmp_path / "models" / "mine"


@pytest.mark.parametrize("model_uri", ["runs:/0123abc/model", "s3://bucket/model", "file:///models/starter"])
def test_another_address_than_mlflows_is_named(model_uri: str) -> None:
    """MLflow itself knows more of them; `no manifest.json in /project/runs:/...` would hide the mistake."""
    with pytest.raises(ModelRejected, match=f"^{model_uri} is no model to load; give a folder, "):
        open_source(model_uri, "unused").resolve()


def test_the_version_of_a_folder_is_its_name() -> None:
    assert ModelVersion("digits", "starter", STARTER.sha256) == STARTER
