"""`make k8s-train` trains again each time, and shows what came of it; a script plays kubectl's answers."""

from pathlib import Path

import pytest

from tests.played_kubectl import Kubectl, event
from tests.rules.manifests import Object


def job(state: str, result: str, reason: str = "") -> Object:
    return {"status": {"jobDeploymentStatus": state, "jobStatus": result, "reason": reason, "message": "why"}}


LOG = """epoch 14 of 14
test accuracy 0.9917, model in /tmp/training/models/digits-20260101-030000
models:/digits/3 is the champion

-----------------------------------
Job 'digits-training-fx9wd' succeeded
-----------------------------------

"""


def test_make_k8s_train_trains_again(tmp_path: Path) -> None:
    """It shows which version there is, and whether it is the champion, above Ray's own last lines."""
    kubectl = Kubectl(
        tmp_path,
        **{
            "get -n digits --ignore-not-found rayjob": [job("Complete", "SUCCEEDED")],
            "get -n digits rayjob": [job("Running", "RUNNING"), job("Complete", "SUCCEEDED")],
            "logs -n digits -l job-name=digits-training": [{"text": LOG}],
        },
    )
    done = kubectl.make("k8s-train", "OVERLAY=production")
    assert done.returncode == 0, done.stderr
    assert "models:/digits/3 is the champion" in done.stdout.splitlines()
    _, delete, apply, *_ = kubectl.calls()
    assert delete.startswith("delete -n digits --ignore-not-found --cascade=foreground ")
    assert delete.endswith("rayjob/digits-training")
    assert apply == "apply --server-side -k kuberay/overlays/production-training"


@pytest.mark.parametrize("state", ["Running", "Initializing", ""])
def test_a_training_that_runs_is_not_deleted(state: str, tmp_path: Path) -> None:
    """The same command again after Ctrl-C, or another person's, would end hours of work."""
    kubectl = Kubectl(tmp_path, **{"--ignore-not-found rayjob": [job(state, "")]})
    done = kubectl.make("k8s-train")
    assert done.returncode != 0
    assert "kubectl delete -n digits rayjob/digits-training" in done.stderr
    assert len(kubectl.calls()) == 1


def test_a_moment_without_the_api_server_ends_no_wait(tmp_path: Path) -> None:
    """A training takes hours, and the same command again would delete the job that runs."""
    refused = {"error": "The connection to the server was refused"}
    states = [job("Running", "RUNNING"), refused, refused, job("Complete", "SUCCEEDED")]
    done = Kubectl(tmp_path, **{"get -n digits rayjob": states}).make("k8s-train")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("was refused") == 1


def test_why_a_pod_of_a_training_does_not_start_is_said(tmp_path: Path) -> None:
    """KubeRay gives up after 15 minutes, without the reason."""
    states = [job("Initializing", ""), job("Initializing", ""), job("Complete", "SUCCEEDED")]
    warning = event(1, "FailedMount", 'secret "digits-ray-token" not found')
    events: list[Object] = [{"items": []}, {"items": [warning]}]
    kubectl = Kubectl(tmp_path, **{"get -n digits rayjob": states, "get -n digits events": events})
    done = kubectl.make("k8s-train")
    assert done.returncode == 0, done.stderr
    assert 'Pod digits-ab12c-head: FailedMount: secret "digits-ray-token" not found' in done.stderr


def test_an_api_server_that_stays_away_ends_the_wait(tmp_path: Path) -> None:
    refused = {"error": "The connection to the server was refused"}
    states = [job("Running", "RUNNING"), refused]
    done = Kubectl(tmp_path, **{"get -n digits rayjob": states}).make("k8s-train")
    assert done.returncode != 0
    assert "was refused" in done.stderr.splitlines()[-2]


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        (job("Failed", "FAILED", "AppFailed"), "The training failed, AppFailed: why"),
        (job("Failed", "RUNNING", "DeadlineExceeded"), "The training failed, DeadlineExceeded: why"),
        (job("ValidationFailed", "", "ValidationFailed"), "The training failed, ValidationFailed: why"),
        (job("Complete", "STOPPED"), "The training failed, STOPPED: why"),
    ],
)
def test_make_k8s_train_fails_with_the_training(ended: Object, said: str, tmp_path: Path) -> None:
    done = Kubectl(tmp_path, **{"get -n digits rayjob": [ended]}).make("k8s-train")
    assert done.returncode != 0
    assert said in done.stderr
