"""Overlay production and those on top of it, fitted to one node of the cluster.

Without the gateway and the Prometheus operator, whose kinds the cluster may lack, and with its own images.
"""

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.containers.engine import VERSION
from tests.kubernetes.kubectl import NAMESPACE, Object, changed_overlay, installed, kubectl

KEY = "a key of a client"
OTHERS = {"HTTPRoute", "PodMonitor", "PrometheusRule"}
SMALL = {"cpu": "100m", "memory": "768Mi"}


def fitted(objects: list[Object]) -> None:
    """Removes the kinds of other operators, and takes local images and requests for a node of 2 CPUs."""
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
def installed_production(overlay: str) -> Iterator[str]:
    """Yields the name of the fitted overlay, which is deployed, with the Secrets that it needs."""
    if not kubectl("get", "storageclass", "-o", "name").split():
        pytest.skip("the cluster has no StorageClass for the volumes of Redis and MLflow")
    hashed = hashlib.sha256(KEY.encode()).hexdigest()
    kubectl("create", "namespace", NAMESPACE)
    for name, *values in (
        ("digits-ray-token", f"auth_token={secrets.token_hex(32)}"),
        ("digits-redis", f"password={secrets.token_hex(32)}"),
        ("digits-keys", f"api={hashed}", "admin="),
    ):
        literals = [f"--from-literal={value}" for value in values]
        kubectl("create", "secret", "generic", "-n", NAMESPACE, name, *literals)
    with changed_overlay(overlay, fitted) as changed, installed(changed):
        yield changed
