"""Registered models: versions and their aliases `candidate`, `champion` and `previous`.

MLflow moves an alias in one step but offers no compare-and-set: of two promotions at once the later
one stands.  Both have passed the gate.
"""

import contextlib
import json
import logging
import os
import re
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from digits.errors import AlreadyRegistered, ModelRejected, NotRegistered, PromotionRefused
from digits.models.manifest import ONNX_FILE, Manifest, read_manifest, read_verified
from digits.models.runtime import DigitModel
from digits.registry.gate import GateSettings, objections
from digits.registry.mlflow import download, mlflow_client, tracking_uri

log = logging.getLogger(__name__)

CANDIDATE, CHAMPION, PREVIOUS = "candidate", "champion", "previous"
SHA256_TAG = "onnx_sha256"
URI = re.compile(r"models:/([\w.-]+)(?:@([\w.-]+)|/(\d+))")


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    name: str
    version: str
    sha256: str  # of the ONNX file, as the registry says it: a second place, beside the manifest


def resolve(model_uri: str) -> RegisteredVersion:
    """models:/NAME@ALIAS or models:/NAME/VERSION -> the version that it means now."""
    name, alias, number = _parsed(model_uri)
    with mlflow_client(tracking_uri()) as client:
        if alias:
            found = client.get_model_version_by_alias(name, alias)
        else:
            found = client.get_model_version(name, number)
    if SHA256_TAG not in found.tags:
        raise ModelRejected(
            f"version {found.version} of {name} has no tag {SHA256_TAG}; train_ray.py sets it"
        )
    return RegisteredVersion(name, str(found.version), found.tags[SHA256_TAG])


def is_registered(model_uri: str) -> bool:
    """Whether it is an address in MLflow, and no folder."""
    return model_uri.startswith("models:/")


def has_alias(model_uri: str) -> bool:
    return is_registered(model_uri) and "@" in model_uri


def _parsed(model_uri: str) -> tuple[str, str, str]:
    """Name, and alias or version; the other is empty."""
    match = URI.fullmatch(model_uri)
    if match is None:
        raise NotRegistered(f"{model_uri} is neither models:/NAME@ALIAS nor models:/NAME/VERSION")
    name, alias, number = match.groups(default="")
    return name, alias, number


def fetch(registered: RegisteredVersion, cache: Path) -> Path:
    """The version's serving folder, from the cache or from MLflow; there whole, verified, or not at all."""
    folder = cache / registered.name / f"{registered.version}-{registered.sha256[:16]}"
    if folder.exists():
        try:
            _verify(folder, registered)
            return folder
        except ModelRejected as error:  # a disk that lost power or rotted: not the version's fault
            log.warning("cached model is fetched again: %s", error)
            shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as partial:
        artifact = f"models:/{registered.name}/{registered.version}/serving"
        got = download(tracking_uri(), artifact, Path(partial))
        _verify(got, registered)
        try:
            got.rename(folder)
        except OSError:  # another replica of this node was first
            if not folder.exists():
                raise
    _verify(folder, registered)
    return folder


def remember_good(model_uri: str, registered: RegisteredVersion, cache: Path) -> None:
    """What `last_good` then answers; written whole or not at all.

    A full disk is no reason to refuse a model that is loaded and good: it is said, and nothing more.
    """
    if last_good(model_uri, cache) == registered:
        return
    file = _last_good_file(model_uri, cache)
    partial = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        partial.write_text(json.dumps(asdict(registered)))
        partial.replace(file)
    except OSError as error:
        log.warning("version %s is not remembered as the last good one: %s", registered.version, error)
        partial.unlink(missing_ok=True)


def last_good(model_uri: str, cache: Path) -> RegisteredVersion | None:
    """The version that the address meant when a replica of this machine last loaded it."""
    try:
        return RegisteredVersion(**json.loads(_last_good_file(model_uri, cache).read_text()))
    except (OSError, ValueError, TypeError):  # none, or one that a machine without power left torn
        return None


def _last_good_file(model_uri: str, cache: Path) -> Path:
    name, alias, number = _parsed(model_uri)
    return cache / name / f"last-good-{alias or number}.json"


def _verify(folder: Path, registered: RegisteredVersion) -> None:
    manifest = read_manifest(folder)
    read_verified(folder, manifest, ONNX_FILE)
    said = manifest.files[ONNX_FILE].sha256
    if said != registered.sha256:
        raise ModelRejected(f"{folder} has sha256 {said}, the registry says {registered.sha256}")


def register(name: str, source: str, run_id: str, manifest: Manifest) -> str:
    """A new version, tagged and aliased `candidate`; gives its number."""
    with contextlib.suppress(AlreadyRegistered), mlflow_client(tracking_uri()) as client:
        client.create_registered_model(name)
    with mlflow_client(tracking_uri()) as client:
        tags = {SHA256_TAG: manifest.files[ONNX_FILE].sha256, "data_sha256": manifest.data_sha256}
        version = client.create_model_version(
            name, source, run_id, tags=tags, model_id=source.removeprefix("models:/")
        )
        client.set_registered_model_alias(name, CANDIDATE, version.version)
        return str(version.version)


def promote(name: str, version: str | None, gate: GateSettings) -> RegisteredVersion:
    """Move `champion` to the version, or to the candidate; raises PromotionRefused with the reasons."""
    chosen = resolve(f"models:/{name}/{version}" if version else f"models:/{name}@{CANDIDATE}")
    champion = _champion(name)
    if champion == chosen:
        return chosen
    with tempfile.TemporaryDirectory() as cache:
        folder = fetch(chosen, Path(cache))
        reasons = objections(
            read_manifest(folder), read_manifest(fetch(champion, Path(cache))) if champion else None, gate
        )
        try:
            DigitModel.load(folder, threads=1, max_batch_size=1).check_golden_digits()
        except ModelRejected as error:
            reasons.append(str(error))
    if reasons:
        raise PromotionRefused(reasons)
    _move_champion(name, chosen.version, champion.version if champion else None)
    return chosen


def rollback(name: str) -> RegisteredVersion:
    """Back to the champion before; a second rollback undoes the first."""
    champion, previous = resolve(f"models:/{name}@{CHAMPION}"), resolve(f"models:/{name}@{PREVIOUS}")
    _move_champion(name, previous.version, champion.version)
    return previous


def _champion(name: str) -> RegisteredVersion | None:
    try:
        return resolve(f"models:/{name}@{CHAMPION}")
    except NotRegistered:
        return None


def _move_champion(name: str, version: str, previous: str | None) -> None:
    with mlflow_client(tracking_uri()) as client:
        if previous:
            client.set_registered_model_alias(name, PREVIOUS, previous)
        client.set_registered_model_alias(name, CHAMPION, version)


def table(name: str) -> list[str]:
    """A line for each version, the newest first."""
    lines = [f"{'version':8} {'aliases':28} {'accuracy':>8} {'ece':>7}  run"]
    with mlflow_client(tracking_uri()) as client:
        aliases = client.get_registered_model(name).aliases
        versions = client.search_model_versions(f"name = '{name}'")
        for found in sorted(versions, key=lambda found: -int(found.version)):
            its = ", ".join(
                sorted(alias for alias, version in aliases.items() if str(version) == str(found.version))
            )
            metrics = client.get_run(str(found.run_id)).data.metrics
            accuracy, ece = metrics.get("test_accuracy", float("nan")), metrics.get("test_ece", float("nan"))
            lines.append(f"{found.version:<8} {its:28} {accuracy:8.4f} {ece:7.4f}  {found.run_id}")
    return lines
