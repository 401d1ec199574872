"""The shell loops of the container script and of `make undeploy` end by a deadline, with a message."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from testkit.cluster import ROOT, wait_until
from tests.played_kubectl import Kubectl

SERVE = """#!/bin/sh
case "$1" in
run) touch "$HOME/started"; exec sleep 60 ;;
deploy) exit $DEPLOY_CODE ;;
status) echo "$STATUS" ;;
esac
"""


def program(folder: Path, name: str, text: str) -> dict[str, str]:
    """Returns an environment in which `name` is the given script."""
    file = folder / name
    file.write_text(text)
    file.chmod(0o755)
    return os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder)}


@pytest.mark.parametrize(
    ("deploy_code", "status", "code", "message"),
    [
        ("0", "applications: {}", 0, ""),
        ("0", "DigitClassifier: RUNNING", 1, "the application did not stop within 2 s"),
        ("1", "", 1, "Serve did not accept the removal of the application"),
    ],
)
def test_the_container_script_ends_by_its_deadline(
    deploy_code: str, status: str, code: int, message: str, tmp_path: Path
) -> None:
    environment = program(tmp_path, "serve", SERVE) | {
        "STATUS": status,
        "DEPLOY_CODE": deploy_code,
        "STOPS_WITHIN_S": "2",
    }
    script = subprocess.Popen(
        ["bash", "digits/serving/container.sh"],
        cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        wait_until((tmp_path / "started").exists, 10)
        script.terminate()
        script.wait(timeout=30)
    finally:
        os.killpg(script.pid, signal.SIGKILL)
    _, said = script.communicate(timeout=10)
    assert script.returncode == code
    assert message in said


def test_undeploy_says_that_a_ray_cluster_is_stuck(tmp_path: Path) -> None:
    done = Kubectl(tmp_path, **{"wait -n digits": [{"error": "timed out"}]}).make("undeploy")
    assert done.returncode != 0
    assert "A RayCluster is still there after 10 minutes" in done.stderr


def test_undeploy_deletes_the_overlay_after_the_ray_clusters(tmp_path: Path) -> None:
    kubectl = Kubectl(tmp_path)
    assert kubectl.make("undeploy", "OVERLAY=gpu").returncode == 0
    calls = [call.split() for call in kubectl.calls()]
    assert [call[0] for call in calls] == ["delete", "delete", "wait", "delete"]
    assert "raycronjob" in calls[0]
    assert "--timeout=10m" in calls[2]
    assert calls[3][-1] == "kuberay/overlays/gpu"
