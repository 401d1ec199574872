"""The cluster, and a pod in it that sends requests as a client."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.containers.engine import SERVE
from tests.kubernetes.kubectl import CLIENTS, apply, kubectl
from tests.kubernetes.needs import missing, refused
from tests.programs import require_program

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
    """Checks that the cluster has what is needed, images included, and starts the client's pod."""
    require_program("kubectl", "kubectl")
    if lacking := missing():
        pytest.exit(lacking, returncode=1)
    apply(*client_pod(SERVE))
    try:
        wait = ("wait", "-n", CLIENTS, "--for=condition=Ready", "--timeout=3m", "pod/client")
        if refused_why := refused(*wait):
            reason = kubectl("get", "-n", CLIENTS, "pod/client", "-o", "jsonpath={.status.containerStatuses}")
            pytest.exit(f"no pod of {SERVE} starts; load the image: {reason} {refused_why}", returncode=1)
        yield
    finally:
        kubectl("delete", "namespace", CLIENTS, timeout_s=300)
