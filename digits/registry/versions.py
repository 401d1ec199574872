"""Registered versions and their aliases: resolving an address, adding a version.

MLflow moves an alias in one step but offers no compare-and-set: of two concurrent promotions the later one
wins. Both have passed the gate.
"""

import contextlib
import re

from digits.errors import AlreadyRegistered, ModelRejected, NotRegistered
from digits.models.manifest import Manifest
from digits.registry.address import existing_tracking_uri, tracking_uri
from digits.registry.mlflow import mlflow_client
from digits.task import ModelVersion

CANDIDATE, CHAMPION, PREVIOUS = "candidate", "champion", "previous"
SHA256_TAG = "onnx_sha256"  # the model's identity, which is also in its manifest
DATA_TAG = "data"  # the name of the training's data; also in the run, which may be deleted
NAME = r"\w[\w.-]*"  # of a registered model, and of a folder that is named after one
_ADDRESS = re.compile(rf"models:/({NAME})(?:@([\w.-]+)|/(\d+))")


def is_registered(model_uri: str) -> bool:
    """Returns whether this is an address in MLflow, not a folder."""
    return model_uri.startswith("models:/")


def has_alias(model_uri: str) -> bool:
    """Returns whether the address can point to another version later."""
    return is_registered(model_uri) and "@" in model_uri


def parse(model_uri: str) -> tuple[str, str, str]:
    """Returns name, alias and version number of an address; alias or number is empty.

    Raises NotRegistered.
    """
    match = _ADDRESS.fullmatch(model_uri)
    if match is None:
        raise NotRegistered(f"{model_uri} is neither models:/NAME@ALIAS nor models:/NAME/VERSION")
    name, alias, number = match.groups(default="")
    return name, alias, number


def resolve(model_uri: str) -> ModelVersion:
    """Returns the version that models:/NAME@ALIAS or models:/NAME/VERSION points to now.

    Raises NotRegistered, TrackingUnavailable, and ModelRejected for a version without its SHA-256.
    """
    name, alias, number = parse(model_uri)
    with mlflow_client(existing_tracking_uri()) as client:
        if alias:
            found = client.get_model_version_by_alias(name, alias)
        else:
            found = client.get_model_version(name, number)
    if SHA256_TAG not in found.tags:
        raise ModelRejected(
            f"version {found.version} of {name} has no tag {SHA256_TAG}; register it with train_ray.py"
        )
    return ModelVersion(name, str(found.version), found.tags[SHA256_TAG])


def register(name: str, source: str, run_id: str, manifest: Manifest) -> str:
    """Adds a version, tagged and with the alias `candidate`; returns its number."""
    with contextlib.suppress(AlreadyRegistered), mlflow_client(tracking_uri()) as client:
        client.create_registered_model(name)
    with mlflow_client(tracking_uri()) as client:
        tags = {
            SHA256_TAG: manifest.onnx_sha256,
            DATA_TAG: manifest.data,
            "data_sha256": manifest.data_sha256,
        }
        version = client.create_model_version(
            name, source, run_id, tags=tags, model_id=source.removeprefix("models:/")
        )
        client.set_registered_model_alias(name, CANDIDATE, version.version)
        return str(version.version)


def data_of(name: str, version: str | None) -> tuple[dict[str, str], str]:
    """Returns the parameters of a version's training (none if its run is gone), and its data's SHA-256.

    `version` None means the candidate. Raises NotRegistered and TrackingUnavailable.
    """
    with mlflow_client(existing_tracking_uri()) as client:
        if version is None:
            found = client.get_model_version_by_alias(name, CANDIDATE)
        else:
            found = client.get_model_version(name, version)
    params: dict[str, str] = {}
    if found.run_id:
        with contextlib.suppress(NotRegistered), mlflow_client(tracking_uri()) as client:
            params = client.get_run(found.run_id).data.params
    return params, found.tags.get("data_sha256", "")
