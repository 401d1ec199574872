"""Model folders: written atomically, and copied for serving."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from digits.models.manifest import ONNX_FILE, read_manifest, read_verified, write_manifest


@contextlib.contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Yields a folder to write into; it becomes `target` when the block ends without an error.

    Until then an existing `target` stays unchanged. If the process is killed, a temporary folder stays beside
    it, which nothing reads.
    """
    partial, old = (target.with_name(f"{target.name}.{kind}-{os.getpid()}") for kind in ("partial", "old"))
    shutil.rmtree(partial, ignore_errors=True)
    if target.exists():  # else what a killed process of the same id has moved is the only model
        shutil.rmtree(old, ignore_errors=True)
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
    """Writes `target` with what a replica needs: the ONNX file, and a manifest that lists only this file.

    Raises ModelRejected if the files of `folder` do not match its manifest.
    """
    manifest = read_manifest(folder)
    content = read_verified(folder, manifest, ONNX_FILE)
    alone = manifest.model_copy(update={"files": {ONNX_FILE: manifest.files[ONNX_FILE]}})
    with written_whole(target) as partial:
        (partial / ONNX_FILE).write_bytes(content)
        write_manifest(partial, alone)
