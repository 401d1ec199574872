"""`python -m digits model copy` copies what serving needs of a model folder."""

from pathlib import Path

from click.testing import CliRunner, Result

from digits.cli.main import main
from digits.models.manifest import MANIFEST, ONNX_FILE

STARTER = Path(__file__).parents[3] / "models" / "starter"


def copy(source: Path, target: Path) -> Result:
    return CliRunner().invoke(main, ["model", "copy", str(source), str(target)])


def test_copy_writes_the_model_and_its_manifest(tmp_path: Path) -> None:
    assert copy(STARTER, tmp_path / "model").exit_code == 0
    assert {file.name for file in (tmp_path / "model").iterdir()} == {MANIFEST, ONNX_FILE}


def test_copy_of_a_folder_without_a_model_names_it(tmp_path: Path) -> None:
    done = copy(tmp_path, tmp_path / "model")
    assert (done.exit_code, f"no {MANIFEST} in {tmp_path}" in done.output) == (1, True)
    assert not (tmp_path / "model").exists()


def test_copy_to_where_nothing_can_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = copy(STARTER, tmp_path / "file" / "model")
    assert done.exit_code == 1
    assert done.output == f"Error: {tmp_path}/file/model cannot be written: Not a directory\n"
