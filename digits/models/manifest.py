"""The manifest of a model folder: `manifest.json`, which lists each file with its SHA-256.

digits.training writes it once; digits.models.runtime reads it before any model file is parsed.
"""

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from digits.errors import ModelRejected

MANIFEST = "manifest.json"
ONNX_FILE = "model.onnx"
KERAS_FILE = "model.keras"
REJECT_BELOW = "reject_below"  # the metric that holds the threshold of is_digit
# Share of the test images that the threshold rejects. Released manifests and MLflow have this name.
TEST_REJECTED = "test_refused"
# Metrics with the number of test images: in total, and of the label with the fewest.
TEST_IMAGES, TEST_IMAGES_OF_RAREST = "test_images", "test_images_of_rarest_label"


class FileRecord(BaseModel):
    """The SHA-256 and the size, in bytes, of a file of a model folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    bytes: int = Field(gt=0)


class Manifest(BaseModel):
    """The description of a model: its files, its origin and its metrics."""

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

    @property
    def reject_below(self) -> float:
        """The is_digit below which a picture is rejected, as chosen by the training; 0 if none was chosen."""
        return self.metrics.get(REJECT_BELOW, 0.0)

    @property
    def onnx_sha256(self) -> str:
        """The identity of the model. Raises ModelRejected if the manifest lists no ONNX file."""
        if ONNX_FILE not in self.files:
            raise ModelRejected(f"the manifest of {self.name} lists no {ONNX_FILE}")
        return self.files[ONNX_FILE].sha256


def record(file: Path) -> FileRecord:
    """Returns the SHA-256 and the size of a file."""
    return FileRecord(sha256=hashlib.sha256(file.read_bytes()).hexdigest(), bytes=file.stat().st_size)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes the manifest into a model folder, not atomically."""
    (folder / MANIFEST).write_bytes(f"{manifest.model_dump_json(indent=2)}\n".encode())


def read_manifest(folder: Path) -> Manifest:
    """Returns the manifest. Raises ModelRejected if it is missing, not readable for this user, or invalid."""
    file = folder / MANIFEST
    try:
        return Manifest.model_validate_json(_read(file))
    except FileNotFoundError:
        raise ModelRejected(f"no {MANIFEST} in {folder}; train_ray.py writes model folders") from None
    except NotADirectoryError:
        raise ModelRejected(f"{folder} is not a folder; name one with {MANIFEST} in it") from None
    except ValidationError as error:
        raise ModelRejected(f"{file} is not a model manifest: {error}") from error


def _read(file: Path) -> bytes:
    """Returns the content. Raises ModelRejected for what stays unreadable, and OSError for what may pass."""
    try:
        return file.read_bytes()
    except (PermissionError, IsADirectoryError) as error:
        raise ModelRejected(f"{file} cannot be read: {error.strerror}") from None


def read_verified(folder: Path, manifest: Manifest, name: str) -> bytes:
    """Returns the file's bytes, with size and SHA-256 as in the manifest. Raises ModelRejected.

    Pass these bytes to the parser, not the path: the file could be replaced after the check.
    """
    expected = manifest.files.get(name)
    file = folder / name
    if expected is None or not file.is_file():
        raise ModelRejected(f"{folder} has no file {name}, or its manifest does not list it")
    if file.stat().st_size != expected.bytes:
        raise ModelRejected(f"{file} has {file.stat().st_size} bytes, its manifest says {expected.bytes}")
    content = _read(file)
    digest = hashlib.sha256(content).hexdigest()
    if digest != expected.sha256:
        raise ModelRejected(f"{file} has sha256 {digest}, its manifest says {expected.sha256}")
    return content


def read_model(folder: Path, sha256: str) -> tuple[Manifest, bytes]:
    """Returns the manifest and the bytes of the ONNX file with this SHA-256. Raises ModelRejected.

    `sha256` comes from where the model was chosen, such as the registry's tag. So a folder whose files and
    manifest were replaced together is rejected too.
    """
    manifest = read_manifest(folder)
    content = read_verified(folder, manifest, ONNX_FILE)
    if manifest.onnx_sha256 != sha256:
        raise ModelRejected(f"the model in {folder} has sha256 {manifest.onnx_sha256}, expected {sha256}")
    return manifest, content
