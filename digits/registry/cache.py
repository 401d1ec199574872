"""The model cache on this machine: fetched versions, and the last good version of each address."""

import json
import logging
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from digits.errors import ModelRejected
from digits.models.manifest import read_model
from digits.registry.address import tracking_uri
from digits.registry.mlflow import download
from digits.registry.versions import parse
from digits.task import ModelVersion

log = logging.getLogger(__name__)

# Versions of a model on this machine, besides those that an address meant last: enough for a rollback or two
# without MLflow.
KEPT = 10


def fetch(version: ModelVersion, cache: Path) -> Path:
    """Returns the verified folder of the version, from the cache or from MLflow.

    The folder is written atomically; old versions are deleted for it. Raises ModelRejected,
    TrackingUnavailable or NotRegistered.
    """
    folder = cache / version.name / _folder_name(version)
    if folder.exists():
        try:
            read_model(folder, version.sha256)
            with suppress(OSError):  # a cache may be read-only
                os.utime(folder)  # the versions used last are kept
            return folder
        except ModelRejected as error:  # damaged on this disk, for example by a power failure
            log.warning("cached model is invalid and will be fetched again: %s", error)
            shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as partial:
        artifact = f"models:/{version.name}/{version.version}/serving"
        got = download(tracking_uri(), artifact, Path(partial))
        read_model(got, version.sha256)
        try:
            got.rename(folder)
        except OSError:  # another replica of this node was first
            if not folder.exists():
                raise
    _delete_old(folder)
    return folder


def _delete_old(newest: Path) -> None:
    """Deletes all but the KEPT versions that were used last, and those that `last_good` returns.

    `newest` is the folder of the last one, whatever its time says: the clock may have been set back.
    """
    models = newest.parent
    records = filter(None, map(_read, models.glob("last-good-*.json")))
    good = {_folder_name(version) for version in records}
    others = [each for each in models.iterdir() if each.is_dir() and each.name not in {*good, newest.name}]
    kept = KEPT - (newest.name not in good)
    with suppress(OSError):  # another replica deletes them, too
        for old in sorted(others, key=lambda folder: folder.stat().st_mtime, reverse=True)[kept:]:
            shutil.rmtree(old, ignore_errors=True)


def _folder_name(version: ModelVersion) -> str:
    return f"{version.version}-{version.sha256[:16]}"


def remember_good(model_uri: str, version: ModelVersion, cache: Path) -> None:
    """Records the version for `last_good`, atomically.

    A full disk is only logged: it is no reason to reject a good model that is loaded.
    """
    if last_good(model_uri, cache) == version:
        return
    file = _last_good_file(model_uri, cache)
    partial = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        partial.write_text(json.dumps(asdict(version)))
        partial.replace(file)
    except OSError as error:
        log.warning("last good version not recorded version=%s error=%s", version.version, error)
        partial.unlink(missing_ok=True)


def last_good(model_uri: str, cache: Path) -> ModelVersion | None:
    """Returns the version of the address that a replica on this machine loaded last."""
    return _read(_last_good_file(model_uri, cache))


def _read(record: Path) -> ModelVersion | None:
    try:
        return ModelVersion(**json.loads(record.read_text()))
    except (OSError, ValueError, TypeError):  # no record, or one truncated by a power failure
        return None


def _last_good_file(model_uri: str, cache: Path) -> Path:
    name, alias, number = parse(model_uri)
    return cache / name / f"last-good-{alias or number}.json"
