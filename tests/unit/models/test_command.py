"""`python -m digits.models` copies what serving needs of a model folder."""

from pathlib import Path

import pytest

from digits.models.__main__ import main
from digits.models.manifest import MANIFEST, ONNX_FILE

STARTER = Path(__file__).parents[3] / "models" / "starter"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["digits.models", *arguments])
    main()


def test_copy_writes_the_model_and_its_manifest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run(monkeypatch, "copy", str(STARTER), str(tmp_path / "model"))
    assert {file.name for file in (tmp_path / "model").iterdir()} == {MANIFEST, ONNX_FILE}


def test_copy_of_a_folder_without_a_model_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=f"no {MANIFEST} in {tmp_path}"):
        run(monkeypatch, "copy", str(tmp_path), str(tmp_path / "model"))
    assert not (tmp_path / "model").exists()
