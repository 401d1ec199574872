"""The commands act on an overlay that exists, and on the service of its namespace."""

import os
from pathlib import Path

import pytest

from kuberay import overlay, service
from kuberay.overlay import manifest
from kuberay.service import Failed
from tests.played_kubectl import Kubectl
from tests.rules.manifests import KUBERAY


@pytest.mark.parametrize(
    ("target", "folder"),
    [
        ("deploy", "prodution"),
        ("cancel-upgrade", "prodution"),
        ("undeploy", "prodution"),
        ("k8s-train", "prodution-training"),
        ("k8s-score", "prodution-scoring"),
    ],
)
def test_a_misspelt_overlay_is_refused_first(target: str, folder: str, tmp_path: Path) -> None:
    """`undeploy` would delete every Ray cluster, and `k8s-train` the last training, before they notice."""
    kubectl = Kubectl(tmp_path)
    done = kubectl.make(target, "OVERLAY=prodution")
    assert done.returncode != 0
    assert f"kuberay/overlays/{folder}/kustomization.yaml does not exist" in done.stderr
    assert "autoscaling, gpu, incremental-upgrade, local, " in done.stderr
    assert kubectl.calls() == []


def test_a_training_is_not_deployed_as_a_service(tmp_path: Path) -> None:
    kubectl = Kubectl(tmp_path)
    done = kubectl.make("deploy", "OVERLAY=local-training")
    assert done.returncode != 0
    assert (
        "kuberay/overlays/local-training must have one RayService, named digits; it has none" in done.stderr
    )
    assert kubectl.calls() == []


def test_an_overlay_of_another_namespace_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command would report on the service of NAMESPACE, cancel its upgrade or delete it."""
    made(tmp_path, monkeypatch, "namespace: digits-staging")
    with pytest.raises(Failed, match="run it with NAMESPACE=digits-staging"):
        manifest("mine")
    monkeypatch.setattr(overlay, "NAMESPACE", "digits-staging")
    assert manifest("mine").startswith("apiVersion: ray.io/v1\nkind: RayService\n")


def test_a_renamed_service_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, monkeypatch, "namePrefix: my-")
    with pytest.raises(Failed, match="must have one RayService, named digits; it has my-digits"):
        manifest("mine")


def made(folder: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """Makes an overlay `mine` on top of `local`."""
    (folder / "mine").mkdir()
    below = os.path.relpath((KUBERAY / "overlays" / "local").resolve(), (folder / "mine").resolve())
    (folder / "mine" / "kustomization.yaml").write_text(f"resources: [{below}]\n{line}\n")
    monkeypatch.setattr(overlay, "FOLDER", str(folder))


def test_namespace_is_a_variable_of_the_command(tmp_path: Path) -> None:
    """With another namespace than the overlay's nothing is asked and nothing deleted."""
    assert service.NAMESPACE == "digits"
    kubectl = Kubectl(tmp_path)
    done = kubectl.make("undeploy", "OVERLAY=local", "NAMESPACE=digits-staging")
    assert done.returncode != 0
    assert "this command asks and deletes in digits-staging: run it with NAMESPACE=digits" in done.stderr
    assert kubectl.calls() == []
