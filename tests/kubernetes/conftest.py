"""What runs on the cluster during the tests: the overlay, and a pod that sends requests as a client."""

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kubernetes.kubectl import CLIENTS, OVERLAY, apply, kubectl, render, run
from tests.programs import require_program

DEPLOYED_WITHIN_S = 1200
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def client_pod(image: str) -> list[dict[str, Any]]:
    """Returns a pod in a namespace of its own, without NetworkPolicies, as clients are."""
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": CLIENTS, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "client", "namespace": CLIENTS},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "client",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "infinity"],
                    "securityContext": RESTRICTED,
                    "resources": {
                        "requests": {"cpu": "50m", "memory": "128Mi"},
                        "limits": {"cpu": "1", "memory": "512Mi"},
                    },
                }
            ],
        },
    }
    return [namespace, pod]


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """Checks that the cluster has KubeRay, and starts the client's pod."""
    require_program("kubectl", "kubectl")
    command = ["kubectl", "get", "crd", "rayservices.ray.io"]
    reached = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if reached.returncode:
        pytest.fail(f"kubectl's context must be a cluster with KubeRay 1.7: {reached.stderr}")
    (service,) = (found for found in render(f"kuberay/overlays/{OVERLAY}") if found["kind"] == "RayService")
    head = service["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    apply(*client_pod(head["image"]))
    try:
        kubectl("wait", "-n", CLIENTS, "--for=condition=Ready", "--timeout=5m", "pod/client", timeout_s=330)
        yield
    finally:
        kubectl("delete", "namespace", CLIENTS, timeout_s=300)


@pytest.fixture(scope="session")
def service(cluster: None) -> Iterator[None]:
    """Deploys the overlay, and deletes it at the end."""
    try:
        run("make", "deploy", f"OVERLAY={OVERLAY}", timeout_s=DEPLOYED_WITHIN_S)
        yield
    finally:
        run("make", "undeploy", f"OVERLAY={OVERLAY}", timeout_s=DEPLOYED_WITHIN_S)
