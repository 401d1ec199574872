"""`make k8s-test` finds KubeRay however it was installed; a list of objects plays the API server."""

import json
import re
from typing import Any

import pytest

from tests.kubernetes import needs
from tests.rules.manifests import ROOT

Object = dict[str, Any]
NAME, PART = "app.kubernetes.io/name", "app.kubernetes.io/component"
BY_KUSTOMIZE = {NAME: "kuberay", PART: "kuberay-operator"}
BY_HELM = {NAME: "kuberay-operator", "app.kubernetes.io/managed-by": "Helm"}  # of the Deployment alone
BY_HELM_OF_PODS = {NAME: "kuberay-operator", PART: "kuberay-operator"}


def installed(
    monkeypatch: pytest.MonkeyPatch, deployment: Object, pod: Object, ready: str, gates: str = ""
) -> None:
    objects: dict[str, Object] = {
        "deployment": {"metadata": {"labels": deployment}, "status": {"readyReplicas": 1}},
        "pod": {
            "metadata": {"labels": pod},
            "spec": {"containers": [{"args": [f"--feature-gates={gates}"]}]},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        },
    }

    def kubectl(verb: str, kind: str, *options: str) -> str:
        label, _, value = options[options.index("-l") + 1].partition("=")
        found = objects[kind]
        return json.dumps({"items": [found] if found["metadata"]["labels"].get(label) == value else []})

    monkeypatch.setattr(needs, "kubectl", kubectl)
    monkeypatch.setattr(needs, "refused", lambda *of: "not found" if "namespace" in of else "")


@pytest.mark.parametrize(
    ("deployment", "pod"),
    [(BY_KUSTOMIZE, BY_KUSTOMIZE), (BY_HELM, BY_HELM_OF_PODS)],
    ids=["kustomize", "helm"],
)
def test_kuberay_is_found(deployment: Object, pod: Object, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, deployment, pod, "True", "RayJobDeletionPolicy=true,RayCronJob=true")
    assert needs.missing() == ""
    assert needs.has_gate("RayCronJob")


def test_an_operator_that_is_not_ready_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, BY_HELM, BY_HELM_OF_PODS, "False", "RayCronJob=false")
    assert "operator is not ready" in needs.missing()
    assert not needs.has_gate("RayCronJob")


def test_the_documents_select_the_operator_by_the_same_label() -> None:
    selected = [
        label
        for file in [*ROOT.glob("docs/*.md"), ROOT / "kuberay" / "README.md"]
        for label in re.findall(r"-l (\S+=kuberay\S*?)[` ]", file.read_text())
    ]
    assert set(selected) == {needs.OPERATOR}
