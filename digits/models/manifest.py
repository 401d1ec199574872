"""What a model folder says of itself: `manifest.json` beside the files it names.

Written once by `digits.training`, read by `digits.models.runtime` before any parser touches a model file.
"""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from digits.errors import ModelRejected

MANIFEST = "manifest.json"
ONNX_FILE = "model.onnx"
KERAS_FILE = "model.keras"


class FileRecord(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    bytes: int = Field(gt=0)


class Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    files: dict[str, FileRecord]
    preprocessing_sha256: str
    data: str
    data_sha256: str
    metrics: dict[str, float]
    command: str
    git_commit: str
    packages: dict[str, str]


def record(file: Path) -> FileRecord:
    return FileRecord(sha256=hashlib.sha256(file.read_bytes()).hexdigest(), bytes=file.stat().st_size)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")


@contextlib.contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """A folder to write into that becomes `target` once all of it is written; till then `target` stays.

    Whoever is killed in the middle leaves a folder beside it that nothing reads.
    """
    partial, old = (target.with_name(f"{target.name}.{kind}-{os.getpid()}") for kind in ("partial", "old"))
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if target.exists():
            target.rename(old)  # moved, not deleted file by file: at no moment is half of it there
        partial.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def copy_for_serving(folder: Path, target: Path) -> None:
    """What a replica needs of a model folder: the ONNX file, and a manifest that names it alone."""
    manifest = read_manifest(folder)
    content = read_verified(folder, manifest, ONNX_FILE)
    alone = manifest.model_copy(update={"files": {ONNX_FILE: manifest.files[ONNX_FILE]}})
    with written_whole(target) as partial:
        (partial / ONNX_FILE).write_bytes(content)
        write_manifest(partial, alone)


def read_manifest(folder: Path) -> Manifest:
    """Raises ModelRejected if there is none or it is not one of ours."""
    file = folder / MANIFEST
    try:
        return Manifest.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        raise ModelRejected(f"no {MANIFEST} in {folder}; a model folder is made by train_ray.py") from None
    except ValidationError as error:
        raise ModelRejected(f"{file} is not a model manifest: {error}") from error


def read_verified(folder: Path, manifest: Manifest, name: str) -> bytes:
    """The file's bytes, once their sha256 is the manifest's; raises ModelRejected otherwise.

    Hand the bytes, not the path, to the parser: a file swapped after the check is then not read.
    """
    expected = manifest.files.get(name)
    file = folder / name
    if expected is None or not file.is_file():
        raise ModelRejected(f"{folder} has no {name} that its manifest names")
    if file.stat().st_size != expected.bytes:
        raise ModelRejected(f"{file} has {file.stat().st_size} bytes, its manifest says {expected.bytes}")
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != expected.sha256:
        raise ModelRejected(f"{file} has sha256 {digest}, its manifest says {expected.sha256}")
    return content
