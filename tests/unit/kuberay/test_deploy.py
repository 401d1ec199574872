"""`make deploy` waits for the right things in the right order; a script plays kubectl's answers."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kuberay.deploy import patches
from kuberay.service import unfinished
from testkit.cluster import ROOT
from tests.rules.manifests import Object, render

RUNNING = {"digits": {"status": "RUNNING"}, "handover": {"status": "RUNNING"}}
WAITING = {"digits": {"status": "RUNNING"}, "handover": {"status": "DEPLOYING"}}


def status(
    *,
    read: int = 2,
    upgrades: bool = False,
    ready: bool = True,
    states: Object = RUNNING,
    active: str = "old",
) -> Object:
    """Returns a RayService of generation 2."""
    kinds = {"Ready": ready, "UpgradeInProgress": upgrades}
    return {
        "metadata": {"generation": 2},
        "spec": render("overlays/local").of("RayService")[0]["spec"],
        "status": {
            "observedGeneration": read,
            "conditions": [{"type": kind, "status": str(is_so)} for kind, is_so in kinds.items()],
            "activeServiceStatus": {"rayClusterName": f"digits-{active}", "applicationStatuses": states},
        },
    }


@pytest.mark.parametrize(
    ("service", "said"),
    [
        (status(read=1), "not read the manifests"),  # Ready and not upgrading: of the manifests before
        (status(upgrades=True), "does not have the traffic yet"),  # Ready: of the old cluster
        (status(ready=False), "not Ready"),
        (status(states=WAITING), "handover DEPLOYING"),
        (status(states={}), "do not run"),
        (status(), ""),
    ],
)
def test_a_deployment_is_done_once_its_own_cluster_answers(service: Object, said: str) -> None:
    assert said in unfinished(service)
    assert bool(said) == bool(unfinished(service))


def test_the_status_of_a_new_cluster_counts_before_the_old_ones() -> None:
    service = status(upgrades=True)
    service["status"]["pendingServiceStatus"] = {"applicationStatuses": WAITING}
    assert "handover DEPLOYING" in unfinished(service)


def cluster(**numbers: int) -> Object:
    spec: Object = render("overlays/local").of("RayService")[0]["spec"]["rayClusterConfig"]
    spec["workerGroupSpecs"][0] |= numbers
    return {"spec": spec, "status": {"desiredWorkerReplicas": 1, "readyWorkerReplicas": 1}}


def test_changed_numbers_of_workers_reach_the_running_cluster() -> None:
    changed = patches(status(), cluster(replicas=3, maxReplicas=3))
    assert {one["path"]: one["value"] for one in changed} == {
        "/spec/workerGroupSpecs/0/replicas": 1, "/spec/workerGroupSpecs/0/maxReplicas": 1,
    }  # fmt: skip
    assert patches(status(), cluster()) == []


def test_an_autoscaler_keeps_its_number_of_workers() -> None:
    service = status()
    service["spec"]["rayClusterConfig"]["enableInTreeAutoscaling"] = True
    assert patches(service, cluster(replicas=5)) == []


PROGRAM = """#!{python}
import json, pathlib, sys
folder = pathlib.Path({folder!r})
with (folder / "calls").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
answers = json.loads((folder / "answers.json").read_text())
key = " ".join(sys.argv[1:])
for name, given in answers.items():
    if name in key:
        answer = given.pop(0) if len(given) > 1 else given[0]
        (folder / "answers.json").write_text(json.dumps(answers))
        if "error" in answer:
            sys.exit(answer["error"])
        print(answer["text"] if "text" in answer else json.dumps(answer))
        break
"""
HURRIED = """
import runpy, sys, kuberay.service as service
service.LOOK_EVERY_S = 0.01
wait_until = service.wait_until
service.wait_until = lambda look, within_s, for_s=0: wait_until(look, within_s, for_s / 100)
_, _, module, *arguments = sys.argv
sys.argv = [module, *arguments]
runpy.run_module(module, run_name="__main__")
"""
CONFLICT = 'error: Apply failed with 1 conflict: conflict with "kubectl-patch" using ray.io/v1'


class Kubectl:
    """Answers a command by the first key that it contains; the last answer of a list is repeated."""

    def __init__(self, folder: Path, **answers: list[Object]) -> None:
        self._folder = folder
        script = folder / "kubectl"
        script.write_text(PROGRAM.format(python=sys.executable, folder=str(folder)))
        script.chmod(0o755)
        (folder / "answers.json").write_text(json.dumps(answers))

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a target with this kubectl and without the pauses between two looks."""
        python = f"{sys.executable} {self._folder / 'hurried.py'}"
        (self._folder / "hurried.py").write_text(HURRIED)
        path = {"PATH": f"{self._folder}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            ["make", *arguments, f"PYTHON={python}"],
            cwd=ROOT, env=os.environ | path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def calls(self) -> list[str]:
        lines = (self._folder / "calls").read_text().splitlines()
        return [" ".join(json.loads(line)) for line in lines]


def answering(folder: Path, *services: Object, **more: list[Any]) -> Kubectl:
    pods: list[Object] = [{"text": "pod/head"}]
    return Kubectl(
        folder, rayservice=list(services), **more, **{"raycluster/": [cluster()], "get -n digits pod": pods}
    )


def test_make_deploy_waits_for_the_new_cluster_and_asks_it(tmp_path: Path) -> None:
    """Ready is true all the time; the head of the cluster that has the traffic in the end is asked."""
    upgrade = [status(upgrades=True)] * 20  # for longer than a deployment must be done
    kubectl = answering(tmp_path, status(read=1), *upgrade, status(active="new"))
    done = kubectl.make("deploy", "OVERLAY=local")
    assert done.returncode == 0, done.stderr
    first, *_, pods, ask = kubectl.calls()
    assert first == "apply --server-side -k kuberay/overlays/local"
    assert "ray.io/cluster=digits-new," in pods
    assert "exec -n digits pod/head" in ask
    assert "digits-serve-svc:8000" in ask


def test_an_upgrade_does_not_scale_the_old_cluster(tmp_path: Path) -> None:
    """Whether it is an upgrade is known only once KubeRay has read the manifests."""
    services = [status(read=1), *[status(upgrades=True)] * 3, status(active="new")]
    kubectl = Kubectl(
        tmp_path, **{"rayservice/digits": services, "raycluster/": [cluster(replicas=3)],
                     "get -n digits pod": [{"text": "pod/head"}]},
    )  # fmt: skip
    done = kubectl.make("deploy", "OVERLAY=local")
    assert done.returncode == 0, done.stderr
    assert not [call for call in kubectl.calls() if call.startswith("patch")]


def test_a_conflict_says_what_to_do(tmp_path: Path) -> None:
    kubectl = answering(tmp_path, status(), apply=[{"error": CONFLICT}])
    done = kubectl.make("deploy")
    assert done.returncode != 0
    assert CONFLICT in done.stderr
    assert "run `make deploy FORCE=1`" in done.stderr
    assert len(kubectl.calls()) == 1


def test_force_sets_the_values_of_the_manifests(tmp_path: Path) -> None:
    kubectl = answering(tmp_path, status())
    assert kubectl.make("deploy", "FORCE=1").returncode == 0
    assert kubectl.calls()[0] == "apply --server-side --force-conflicts -k kuberay/overlays/local"


def test_make_cancel_upgrade_keeps_the_cluster_with_the_traffic(tmp_path: Path) -> None:
    """The third cluster, which KubeRay begins for the previous manifests, goes with the second."""
    names = [
        {"text": "raycluster.ray.io/digits-old raycluster.ray.io/digits-new raycluster.ray.io/digits-third"}
    ]
    kubectl = Kubectl(
        tmp_path, **{"rayservice/digits": [status(), status(read=1), status(upgrades=True), status()],
                     "get -n digits raycluster": names},
    )  # fmt: skip
    done = kubectl.make("cancel-upgrade", "OVERLAY=local")
    assert done.returncode == 0, done.stderr
    (forget,) = [call for call in kubectl.calls() if "--subresource=status" in call]
    assert '{"pendingServiceStatus": null}' in forget
    (deleted,) = [call for call in kubectl.calls() if call.startswith("delete")]
    assert deleted.endswith("raycluster.ray.io/digits-new raycluster.ray.io/digits-third")


def job(state: str, result: str) -> Object:
    return {"status": {"jobDeploymentStatus": state, "jobStatus": result, "message": "why"}}


def test_make_k8s_train_trains_again(tmp_path: Path) -> None:
    kubectl = Kubectl(
        tmp_path, **{"get -n digits rayjob": [job("Running", "RUNNING"), job("Complete", "SUCCEEDED")]}
    )
    done = kubectl.make("k8s-train", "OVERLAY=production")
    assert done.returncode == 0, done.stderr
    delete, apply, *_ = kubectl.calls()
    assert delete.startswith("delete -n digits --ignore-not-found")
    assert delete.endswith("rayjob/digits-training")
    assert apply == "apply --server-side -k kuberay/overlays/production-training"


def test_make_k8s_train_fails_with_the_training(tmp_path: Path) -> None:
    kubectl = Kubectl(tmp_path, **{"get -n digits rayjob": [job("Failed", "FAILED")]})
    done = kubectl.make("k8s-train")
    assert done.returncode != 0
    assert "The training FAILED: why" in done.stderr
