"""Trains once on the cluster, again each time it is called: `make k8s-train OVERLAY=local`.

    python -m kuberay.train OVERLAY

A RayJob that has finished is done: applying it again changes nothing.  So it is deleted first.
"""

import sys

from kuberay.service import NAMESPACE, Failed, get, kubectl, main, wait_until

JOB = "digits-training"
ENDED = ("Complete", "Failed", "ValidationFailed")
TRAINED_WITHIN_S = 14400  # activeDeadlineSeconds


def _status() -> dict[str, str]:
    found: dict[str, str] = get(f"rayjob/{JOB}").get("status", {})
    return found


def _running() -> str:
    state = _status().get("jobDeploymentStatus", "")
    return "" if state in ENDED else f"training: {state or 'new'} {_status().get('jobStatus', '')}".rstrip()


def train() -> None:
    if len(sys.argv) != 2:
        raise Failed(
            "usage: python -m kuberay.train OVERLAY, a folder of kuberay/overlays without `-training`"
        )
    folder = f"kuberay/overlays/{sys.argv[1]}-training"
    kubectl("delete", "-n", NAMESPACE, "--ignore-not-found", "--timeout=5m", f"rayjob/{JOB}", timeout_s=330)
    kubectl("apply", "--server-side", "-k", folder)
    wait_until(_running, TRAINED_WITHIN_S)
    status = _status()
    if status.get("jobStatus") != "SUCCEEDED":
        logs = f"kubectl logs -n {NAMESPACE} -l job-name={JOB} --tail=50"
        raise Failed(f"The training {status.get('jobStatus')}: {status.get('message')}\nSee `{logs}`")
    kubectl("logs", "-n", NAMESPACE, "-l", f"job-name={JOB}", "--tail=5")


if __name__ == "__main__":
    main(train)
