"""Runs a training or a scoring on the cluster, again each time: `make k8s-train` and `make k8s-score`.

    python -m kuberay.job training|scoring OVERLAY

A RayJob that has finished is done: applying it again changes nothing.  So it is deleted first, with its pods:
KubeRay would take the old submitter, which has finished, for the new job's.  One that runs is left alone.
"""

import json
import sys

from kuberay.overlay import manifest
from kuberay.service import NAMESPACE, Failed, Warnings, get, kubectl, main, wait_until

KINDS = ("training", "scoring")
ENDED = ("Complete", "Failed", "ValidationFailed")
DONE_WITHIN_S = 14400 + 300  # activeDeadlineSeconds, and time for KubeRay to end it
# Ray ends the log with five lines of its own, and a training with two.
SHOWN_LINES = 10


def _status(job: str) -> dict[str, str]:
    found: dict[str, str] = get(f"rayjob/{job}").get("status", {})
    return found


def _running(job: str) -> str:
    status = _status(job)
    state = status.get("jobDeploymentStatus", "")
    return "" if state in ENDED else f"{job}: {state or 'new'} {status.get('jobStatus', '')}".rstrip()


def _refuse_while_it_runs(job: str) -> None:
    found = kubectl("get", "-n", NAMESPACE, "--ignore-not-found", f"rayjob/{job}", "-o", "json").strip()
    state = json.loads(found).get("status", {}).get("jobDeploymentStatus", "new") if found else ENDED[0]
    if state not in ENDED:
        raise Failed(
            f"{job} is there and has not ended ({state or 'new'}): wait, or end it by "
            f"`kubectl delete -n {NAMESPACE} rayjob/{job}`"
        )


def run() -> None:
    """Runs the job again and prints the end of its log. Raises Failed with the reason if the job fails."""
    if len(sys.argv) != 3 or sys.argv[1] not in KINDS:
        raise Failed(
            "usage: python -m kuberay.job training|scoring OVERLAY, a folder of kuberay/overlays without "
            "`-training` or `-scoring`"
        )
    kind, overlay = sys.argv[1:]
    job = f"digits-{kind}"
    manifest(f"{overlay}-{kind}", "RayJob", job)
    _refuse_while_it_runs(job)
    options = ["--ignore-not-found", "--cascade=foreground", "--timeout=5m"]
    kubectl("delete", "-n", NAMESPACE, *options, f"rayjob/{job}", timeout_s=330)
    warnings = Warnings()
    kubectl("apply", "--server-side", "-k", f"kuberay/overlays/{overlay}-{kind}")
    wait_until(warnings.said_while(lambda: _running(job)), DONE_WITHIN_S)
    status = _status(job)
    if status.get("jobStatus") != "SUCCEEDED":
        logs = f"kubectl logs -n {NAMESPACE} -l job-name={job} --tail=50"
        reason = status.get("reason") or status.get("jobStatus")  # STOPPED has no reason
        raise Failed(f"The {kind} failed, {reason}: {status.get('message')}\nSee `{logs}`")
    print(kubectl("logs", "-n", NAMESPACE, "-l", f"job-name={job}", f"--tail={SHOWN_LINES}"), end="")


if __name__ == "__main__":
    main(run)
