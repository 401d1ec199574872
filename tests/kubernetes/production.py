"""Overlay production and those on top of it, fitted to one node of the cluster.

Without the gateway and the Prometheus operator, whose kinds the cluster may lack, and with its own images.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.containers.engine import VERSION
from tests.kubernetes.kubectl import NAMESPACE, Object, changed_overlay, installed, kubectl, spec_of

KEY = "a key of a client"
IS_DEFAULT = "storageclass.kubernetes.io/is-default-class"
OTHERS = {"HTTPRoute", "PodMonitor", "PrometheusRule"}
# A worker counts as 200m all the same: KubeRay's init container asks for that.
SMALL = {"cpu": "20m", "memory": "768Mi"}
SIDECAR = {"cpu": "20m", "memory": "256Mi"}


def fitted(objects: list[Object]) -> None:
    """Removes the kinds of other operators, and takes local images and requests for a node of 2 CPUs."""
    if sidecar := spec_of(objects)["rayClusterConfig"].get("autoscalerOptions"):
        sidecar["resources"]["requests"] = dict(SIDECAR)
    objects[:] = [found for found in objects if found["kind"] not in OTHERS]
    for container in containers(objects):
        name = container["image"].rpartition("/")[2].partition(":")[0]
        if name.startswith("digits-"):
            container["image"] = f"{name}:{VERSION}"
            container["resources"]["requests"] = dict(SMALL)  # Redis has less, and a limit below it


def containers(value: object) -> Iterator[Object]:
    """Yields every container of the objects, wherever a template holds it."""
    if isinstance(value, dict):
        if "image" in value and "resources" in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from containers(one)


@contextmanager
def installed_production(overlay: str, change: Callable[[list[Object]], None]) -> Iterator[str]:
    """Yields the name of the changed overlay, which is deployed, with the Secrets that it needs."""
    if not has_default_storage():
        pytest.skip("the cluster has no default StorageClass for the volumes of Redis and MLflow")
    kubectl("create", "namespace", NAMESPACE)
    try:
        create_secrets()
        with changed_overlay(overlay, change) as changed, installed(changed):
            yield changed
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", timeout_s=330)


def has_default_storage() -> bool:
    found = json.loads(kubectl("get", "storageclass", "-o", "json"))["items"]
    return any(one["metadata"].get("annotations", {}).get(IS_DEFAULT) == "true" for one in found)


def create_secrets() -> None:
    hashed = hashlib.sha256(KEY.encode()).hexdigest()
    for name, *values in (
        ("digits-ray-token", f"auth_token={secrets.token_hex(32)}"),
        ("digits-redis", f"password={secrets.token_hex(32)}"),
        ("digits-keys", f"api={hashed}", "admin="),
    ):
        literals = [f"--from-literal={value}" for value in values]
        kubectl("create", "secret", "generic", "-n", NAMESPACE, name, *literals)
