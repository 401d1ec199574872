"""What the cluster of kubectl's context must have."""

import json
import subprocess

from tests.kubernetes.kubectl import NAMESPACE, Object, kubectl

CRDS = ("rayclusters", "rayservices", "rayjobs", "raycronjobs")
OPERATOR = "app.kubernetes.io/component=kuberay-operator"


def missing() -> str:
    """Returns what the cluster lacks, and how to get it; "" if it lacks nothing."""
    names = [f"{name}.ray.io" for name in CRDS]
    if lacking := refused("get", "crd", *names):
        return f"KubeRay 1.7 is not installed, kuberay/README.md says how: {lacking}"
    if not any(_is_ready(pod) for pod in operators()):
        return f"KubeRay's operator is not ready: kubectl get pod -A -l {OPERATOR}"
    if refused("get", "namespace", NAMESPACE) == "":
        return f"the namespace {NAMESPACE} exists: delete it first, with `make undeploy` and its OVERLAY"
    return ""


def has_gate(name: str) -> bool:
    """Returns whether KubeRay runs with a feature gate that is off by default."""
    return f"{name}=true" in json.dumps([pod["spec"]["containers"] for pod in operators()])


def operators() -> list[Object]:
    """Returns KubeRay's pods.  Its Deployment has no such label if Helm installed it."""
    found = json.loads(kubectl("get", "pod", "-A", "-l", OPERATOR, "-o", "json"))
    return list(found["items"])


def _is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def refused(*arguments: str) -> str:
    """Returns why kubectl does not do it; "" if it does."""
    command = ["kubectl", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stderr if done.returncode else ""
