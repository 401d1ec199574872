"""`make deploy` waits for the right things in the right order; a script plays kubectl's answers."""

import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from kuberay.deploy import ANSWERED_WITHIN_S, ASK, patches
from kuberay.service import unfinished
from testkit.ports import free_port
from tests.played_kubectl import Kubectl, event
from tests.rules.manifests import Object, render

RUNNING = {"digits": {"status": "RUNNING"}, "handover": {"status": "RUNNING"}}
WAITING = {"digits": {"status": "RUNNING"}, "handover": {"status": "DEPLOYING"}}


def status(
    *,
    read: int = 2,
    upgrades: bool = False,
    ready: bool = True,
    states: Object = RUNNING,
    active: str = "digits-old",
    reason: str = "",
) -> Object:
    """Returns a RayService of generation 2 as KubeRay writes it: with the newest cluster's applications."""
    kinds = {"Ready": ready, "UpgradeInProgress": upgrades}
    conditions = [{"type": kind, "status": str(is_so), "reason": reason} for kind, is_so in kinds.items()]
    newest = {"rayClusterName": "digits-new"} if upgrades or not active else {}
    reported = {"applicationStatuses": states} if states else {}
    return {
        "metadata": {"generation": 2},
        "spec": render("overlays/local").of("RayService")[0]["spec"],
        "status": {
            "observedGeneration": read,
            "conditions": conditions,
            "activeServiceStatus": ({"rayClusterName": active} if active else {})
            | ({} if newest else reported),
            "pendingServiceStatus": newest | (reported if newest else {}),
        },
    }


def stepwise(**given: Any) -> Object:
    """Returns a RayService of overlays/incremental-upgrade."""
    service = status(**given)
    service["spec"] = render("overlays/incremental-upgrade").of("RayService")[0]["spec"]
    return service


@pytest.mark.parametrize(
    ("service", "said"),
    [
        (status(read=1), "not read the manifests"),  # Ready and not upgrading: of the manifests before
        (status(upgrades=True), "does not have the traffic yet (digits RUNNING"),  # Ready: of the old cluster
        (status(upgrades=True, states=WAITING), "handover DEPLOYING"),
        (status(ready=False), "not Ready"),
        (status(states=WAITING), "handover DEPLOYING"),
        (status(states={}), "do not run"),
        (status(active="", ready=False, reason="Initializing"), "not Ready, Initializing"),
        # KubeRay has read them, but does not say so before something else changes.
        (status(read=1, active="", ready=False, reason="Initializing"), "not Ready, Initializing"),
        (status(read=1, active="", ready=False, reason="ValidationFailed"), "rejects the manifests"),
        (status(), ""),
    ],
)
def test_a_deployment_is_done_once_its_own_cluster_answers(service: Object, said: str) -> None:
    assert said in unfinished(service)
    assert bool(said) == bool(unfinished(service))


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


CONFLICT = 'error: Apply failed with 1 conflict: conflict with "kubectl-patch" using ray.io/v1'


def answering(folder: Path, *services: Object, **more: list[Any]) -> Kubectl:
    pods: list[Object] = [{"text": "pod/head"}]
    return Kubectl(
        folder, rayservice=list(services), **more, **{"raycluster/": [cluster()], "get -n digits pod": pods}
    )


def test_make_deploy_waits_for_the_new_cluster_and_asks_it(tmp_path: Path) -> None:
    """Ready is true all the time; the head of the cluster that has the traffic in the end is asked."""
    upgrade = [status(upgrades=True)] * 20  # for longer than a deployment must be done
    kubectl = answering(tmp_path, status(read=1), *upgrade, status(active="digits-new"))
    done = kubectl.make("deploy", "OVERLAY=local")
    assert done.returncode == 0, done.stderr
    first, *_, pods, ask = kubectl.calls()
    assert first == "apply --server-side -k kuberay/overlays/local"
    assert "ray.io/cluster=digits-new," in pods
    assert "exec -n digits pod/head" in ask
    assert ask.endswith(" digits-serve-svc")


BEFORE = "--ignore-not-found rayservice/"  # what `make deploy` asks first


def test_an_invalid_serve_config_is_not_applied(tmp_path: Path) -> None:
    """KubeRay would send it to the cluster that answers; its head, which has the same image, checks it."""
    reason = "serveConfigV2, applications.0.deployment: unknown key; the nearest known one is 'deployments'"
    refused = {"text": reason, "error": "", "status": 3}
    kubectl = answering(tmp_path, status(), **{BEFORE: [status()], "read_config": [refused]})
    done = kubectl.make("deploy", "OVERLAY=local")
    assert done.returncode != 0
    assert "applications.0.deployment: unknown key; the nearest known one is" in done.stderr
    assert "Nothing has been applied" in done.stderr
    assert [call.split()[0] for call in kubectl.calls()] == ["get", "exec"]


def test_a_serve_config_for_another_image_goes_to_its_own(tmp_path: Path) -> None:
    """An upgrade makes a new cluster, and moves the traffic only if the applications run there."""
    old = status()
    head = old["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]
    head["containers"][0]["image"] = "digits-serve:0.0.9"
    kubectl = answering(tmp_path, status(), **{BEFORE: [old]})
    assert kubectl.make("deploy", "OVERLAY=local").returncode == 0
    assert kubectl.calls()[0].startswith("apply")


def test_a_head_that_cannot_check_stops_no_deployment(tmp_path: Path) -> None:
    """The deployment may be the repair of that head."""
    broken = {"error": "error: unable to upgrade connection: container not found"}
    kubectl = answering(tmp_path, status(), **{BEFORE: [status()], "read_config": [broken]})
    done = kubectl.make("deploy", "OVERLAY=local")
    assert done.returncode == 0, done.stderr
    assert "The Serve configuration is not checked: error: unable to upgrade connection" in done.stderr


def test_manifests_without_a_change_are_named(tmp_path: Path) -> None:
    """serve_config.yaml was edited, and `make manifests` forgotten."""
    done = answering(tmp_path, status(), **{BEFORE: [status()]}).make("deploy")
    assert (
        "The RayService is unchanged. After a change of serve_config.yaml, run `make manifests`"
        in done.stderr
    )
    older = status() | {"metadata": {"generation": 1}}
    done = answering(tmp_path, status(), **{BEFORE: [older]}).make("deploy")
    assert done.returncode == 0
    assert "unchanged" not in done.stderr


def test_why_a_pod_does_not_start_is_said_once(tmp_path: Path) -> None:
    """A wrong tag or a missing Secret would be 15 minutes of `not Ready` without a reason."""
    old = event(1, "Failed", "of an earlier deployment")
    new = [event(number, "Failed", "Failed to pull image\n  digits-serve:0.2.1") for number in (2, 3)]
    probe = event(4, "Unhealthy", "Readiness probe failed")
    events = [{"items": items} for items in ([old], [old, new[0]], [old, new[1], probe])]
    waiting = status(active="", ready=False, reason="Initializing")
    kubectl = answering(tmp_path, *[waiting] * 5, status(), **{"get -n digits events": events})
    done = kubectl.make("deploy", "OVERLAY=local")
    assert done.returncode == 0, done.stderr
    said = [line[9:] for line in done.stderr.splitlines() if "Pod " in line]
    assert said == ["Pod digits-ab12c-head: Failed: Failed to pull image digits-serve:0.2.1"]


def test_a_cluster_without_kuberay_says_so(tmp_path: Path) -> None:
    """Nothing is applied: a part of an overlay would be left behind."""
    missing = {"error": 'error: the server doesn\'t have a resource type "rayservice"'}
    kubectl = answering(tmp_path, status(), **{BEFORE: [missing]})
    done = kubectl.make("deploy", "OVERLAY=local")
    assert done.returncode != 0
    assert "This cluster has no KubeRay" in done.stderr
    assert kubectl.calls() == []


def test_a_stepwise_upgrade_is_asked_at_its_own_service(tmp_path: Path) -> None:
    """KubeRay then makes a Service for each RayCluster, and none for the RayService."""
    kubectl = answering(tmp_path, stepwise(active="digits-new"))
    done = kubectl.make("deploy", "OVERLAY=incremental-upgrade")
    assert done.returncode == 0, done.stderr
    assert kubectl.calls()[-1].endswith(" digits-new-serve-svc")


def test_rejected_manifests_say_why(tmp_path: Path) -> None:
    rejected = status(read=1, ready=False, reason="ValidationFailed")
    rejected["status"]["conditions"][0]["message"] = "minReplicas 3 greater than maxReplicas 2"
    done = answering(tmp_path, rejected).make("deploy")
    assert done.returncode != 0
    assert "KubeRay rejects the manifests: minReplicas 3 greater than maxReplicas 2" in done.stderr
    assert "kubectl describe -n digits rayservice/digits" in done.stderr


def test_a_paused_service_says_how_to_resume_it(tmp_path: Path) -> None:
    """KubeRay neither reads manifests nor becomes Ready while it is suspended."""
    paused = status(read=1, ready=False, reason="SuspendComplete")
    paused["spec"]["suspend"] = True
    done = answering(tmp_path, paused).make("deploy")
    assert done.returncode != 0
    assert '{"spec":{"suspend":false}}' in done.stderr


def test_an_upgrade_does_not_scale_the_old_cluster(tmp_path: Path) -> None:
    """Whether it is an upgrade is known only once KubeRay has read the manifests."""
    services = [status(), status(read=1), *[status(upgrades=True)] * 3, status(active="digits-new")]
    kubectl = Kubectl(
        tmp_path, **{"rayservice/digits": services, "raycluster/digits-old": [cluster(replicas=3)],
                     "raycluster/digits-new": [cluster()], "get -n digits pod": [{"text": "pod/head"}]},
    )  # fmt: skip
    done = kubectl.make("deploy", "OVERLAY=local")
    assert done.returncode == 0, done.stderr
    assert not [call for call in kubectl.calls() if call.startswith("patch")]


@pytest.mark.parametrize("active", ["", "digits-old"])
def test_a_new_cluster_is_scaled_before_it_has_the_traffic(active: str, tmp_path: Path) -> None:
    """KubeRay makes it with the numbers of that time: a first one may be too large for its nodes."""
    services = [status(read=1, active=active, upgrades=bool(active), ready=bool(active))] * 2
    services += [status(active=active, upgrades=bool(active), ready=bool(active))] * 3
    services += [status(active="digits-new")]
    answers: dict[str, list[Object]] = {
        "rayservice/digits": services, "get -n digits pod": [{"text": "pod/head"}],
        "patch": [{}], "raycluster/digits-new": [cluster(replicas=3)],
    }  # fmt: skip
    kubectl = Kubectl(tmp_path, **answers)
    done = kubectl.make("deploy", "OVERLAY=local")
    assert done.returncode == 0, done.stderr
    (patch,) = [call for call in kubectl.calls() if call.startswith("patch")]
    assert "raycluster/digits-new" in patch


def test_a_new_cluster_that_does_not_exist_yet_is_not_scaled(tmp_path: Path) -> None:
    services = [status(), *[status(upgrades=True)] * 3, status(active="digits-new")]
    kubectl = Kubectl(
        tmp_path, **{"rayservice/digits": services, "get -n digits pod": [{"text": "pod/head"}],
                     "--ignore-not-found raycluster/": [{"text": ""}], "raycluster/": [cluster()]},
    )  # fmt: skip
    done = kubectl.make("deploy", "OVERLAY=local")
    assert done.returncode == 0, done.stderr


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
    services = [status(upgrades=True), status(read=1, upgrades=True), *[status(upgrades=True)] * 3, status()]
    kubectl = Kubectl(tmp_path, **{"rayservice/digits": services, "get -n digits raycluster": names})
    done = kubectl.make("cancel-upgrade", "OVERLAY=local")
    assert done.returncode == 0, done.stderr
    (forget,) = [call for call in kubectl.calls() if "--subresource=status" in call]
    assert '{"pendingServiceStatus": null}' in forget
    (deleted,) = [call for call in kubectl.calls() if call.startswith("delete")]
    assert deleted.endswith("raycluster.ray.io/digits-new raycluster.ray.io/digits-third")


def test_a_cluster_that_got_the_traffic_is_not_deleted(tmp_path: Path) -> None:
    """KubeRay may move the traffic in the same look in which it reads the previous manifests."""
    kubectl = Kubectl(tmp_path, **{"rayservice/digits": [status(upgrades=True), status(active="digits-new")]})
    done = kubectl.make("cancel-upgrade")
    assert done.returncode != 0
    assert "got the traffic in the meantime" in done.stderr
    assert not [call for call in kubectl.calls() if call.startswith(("patch", "delete"))]


def test_a_stepwise_upgrade_is_not_cancelled(tmp_path: Path) -> None:
    """The old cluster has given up capacity; KubeRay gives it back by the previous manifests."""
    kubectl = Kubectl(tmp_path, **{"rayservice/digits": [stepwise(upgrades=True)]})
    done = kubectl.make("cancel-upgrade", "OVERLAY=incremental-upgrade")
    assert done.returncode != 0
    assert "use `make deploy`" in done.stderr
    assert len(kubectl.calls()) == 1


def test_the_service_is_asked_past_a_proxy() -> None:
    """A cluster may give each pod the proxy of its network."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    proxy = {"http_proxy": f"http://127.0.0.1:{free_port()}", "no_proxy": ""}
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        script = ASK.replace(":8000", f":{server.server_address[1]}")
        script = script.replace(f"+ {ANSWERED_WITHIN_S}", "+ 1")
        done = subprocess.run(
            [sys.executable, "-c", script, "127.0.0.1"], env=os.environ | proxy,
            stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
        server.shutdown()
    assert done.returncode == 0, done.stderr
