"""Moves the alias `champion`: forward through the gate, and back."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from digits.errors import ModelRejected, NotRegistered, PromotionRefused
from digits.models.manifest import Manifest, read_manifest
from digits.models.runtime import DigitModel
from digits.registry.address import tracking_uri
from digits.registry.cache import fetch
from digits.registry.gate import GateSettings, objections
from digits.registry.mlflow import mlflow_client
from digits.registry.versions import CANDIDATE, CHAMPION, PREVIOUS, resolve
from digits.task import ModelVersion

# A model's folder and SHA-256 -> its metrics on the candidate's test images.
Judge = Callable[[Path, str], dict[str, float]]


def promote(name: str, version: str | None, gate: GateSettings, judge: Judge) -> ModelVersion:
    """Moves `champion` to the version, or to the candidate if `version` is None.

    If the champion was tested on other data than the candidate, `judge` tests it on the candidate's test
    images. Raises PromotionRefused with every reason, or with the one that the champion cannot be tested on
    them; the champion then stays.
    """
    chosen = resolve(f"models:/{name}/{version}" if version else f"models:/{name}@{CANDIDATE}")
    champion = _champion(name)
    if champion == chosen:
        return chosen
    with tempfile.TemporaryDirectory() as cache:
        folder = fetch(chosen, Path(cache))
        candidate = read_manifest(folder)
        other = _champion_on(candidate, champion, Path(cache), judge) if champion else None
        reasons = [*objections(candidate, other, gate), *faults(folder, chosen.sha256)]
    if reasons:
        raise PromotionRefused(reasons)
    _move_champion(name, chosen.version, champion.version if champion else None)
    return chosen


def _champion_on(candidate: Manifest, champion: ModelVersion, cache: Path, judge: Judge) -> Manifest:
    """Returns the champion's manifest, with its metrics on the candidate's test images."""
    folder = fetch(champion, cache)
    manifest = read_manifest(folder)
    if manifest.data_sha256 == candidate.data_sha256:
        return manifest
    try:
        measured = judge(folder, champion.sha256)
    except ModelRejected as error:
        named = f"models:/{champion.name}/{champion.version}"
        reason = (
            f"the champion {named} cannot be tested on the candidate's images: {error}; "
            "register a model of another task under a name of its own, with --model-name of train or --name "
            "of registry import"
        )
        raise PromotionRefused([reason]) from error
    return manifest.model_copy(update={"metrics": manifest.metrics | measured, "data": candidate.data})


def rollback(name: str) -> ModelVersion:
    """Moves `champion` back to `previous`; a second rollback undoes the first.

    Raises NotRegistered if both are one version, as a promotion that died between its two steps leaves them.
    """
    champion, previous = resolve(f"models:/{name}@{CHAMPION}"), resolve(f"models:/{name}@{PREVIOUS}")
    if champion == previous:
        raise NotRegistered(
            f"version {champion.version} of {name} is the champion and the previous one, too: there is none "
            "to go back to; choose a version of `registry list` and promote it with --version"
        )
    _move_champion(name, previous.version, champion.version)
    return previous


def faults(folder: Path, sha256: str) -> list[str]:
    """Returns what is wrong when the model is loaded: misread golden digits or other preprocessing."""
    try:
        model = DigitModel.load(folder, sha256=sha256, threads=1, max_batch_size=1)
        model.check_golden_digits()
    except ModelRejected as error:
        return [str(error)]
    difference = model.preprocessing_difference()
    return [difference] if difference else []


def _champion(name: str) -> ModelVersion | None:
    try:
        return resolve(f"models:/{name}@{CHAMPION}")
    except NotRegistered:
        return None


def _move_champion(name: str, version: str, previous: str | None) -> None:
    with mlflow_client(tracking_uri()) as client:
        if previous:
            client.set_registered_model_alias(name, PREVIOUS, previous)
        client.set_registered_model_alias(name, CHAMPION, version)
