"""Applies an overlay and returns once it answers: `make deploy OVERLAY=local`.

    python -m kuberay.deploy OVERLAY [--force-conflicts] [--cancel]

With --cancel it applies the manifests of the cluster that has the traffic, and stops an upgrade to others.
"""

import argparse
import json

from kuberay.checks import check_config
from kuberay.overlay import FOLDER, manifest
from kuberay.service import (
    NAME,
    NAMESPACE,
    Failed,
    Object,
    Warnings,
    active_cluster,
    condition,
    get,
    head_of,
    kubectl,
    main,
    moves_in_steps,
    newest_cluster,
    ray_service,
    run,
    say,
    unfinished,
    unread,
    wait_until,
)

READ_WITHIN_S, DEPLOYED_WITHIN_S, ANSWERED_WITHIN_S = 60, 900, 60
# KubeRay sends a changed Serve configuration when it says that it has read it, and sees what the applications
# do with it 2 s later.
SETTLED_S = 5.0
WHAT_TO_DO = """
Someone else has set these fields, for example by `kubectl patch` or `kubectl edit`.  Move the change into
your overlay if you want to keep it, and run `make deploy FORCE=1`, which sets the manifests' values."""
WHY_UNREAD = f"""
See Events in `kubectl describe -n {NAMESPACE} rayservice/{NAME}`: KubeRay may be away, or Ray may reject
the Serve configuration."""
NO_KUBERAY = """This cluster has no KubeRay: there is no resource type rayservice. Nothing has been applied.
Install it as kuberay/README.md says, or choose another cluster by `kubectl config use-context`."""
PAUSED = f"""The manifests are applied, but the service is paused (spec.suspend). To resume it, run
    kubectl patch -n {NAMESPACE} rayservice/{NAME} --type=merge -p '{{"spec":{{"suspend":false}}}}'
and then `make deploy` again."""
# Runs on the head: connections through the Service, like those of a client.  An endpoint is programmed up to
# a second after its pod is ready, so several answers are wanted, each on a connection of its own.
ASK = f"""
import sys, time, urllib.request
url = f"http://{{sys.argv[1]}}:8000/-/healthz"
opener = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))  # no proxy leads to Services
deadline, good = time.monotonic() + {ANSWERED_WITHIN_S}, 0
while good < 5:
    try:
        opener.open(url, timeout=2).read()
        good += 1
    except OSError as error:
        good = 0
        if time.monotonic() > deadline:
            sys.exit(f"no answer through the Service {{url}}: {{error}}")
    time.sleep(0.2)
"""


def apply(overlay: str, force: bool) -> None:
    """Applies the overlay; a conflict says what to do."""
    options = ["--force-conflicts"] if force else []
    done = run("apply", "--server-side", *options, "-k", f"{FOLDER}/{overlay}")
    if done.returncode:
        hint = WHAT_TO_DO if "conflict" in done.stderr else ""
        raise Failed(done.stderr.rstrip() + hint)


def patches(service: Object, cluster: Object) -> list[Object]:
    """Returns the JSON patch that gives a RayCluster the RayService's numbers of workers.

    KubeRay compares the two without these numbers, so a change of them reaches no running cluster by itself.
    With an autoscaler `replicas` is its decision.
    """
    wanted, found = service["spec"]["rayClusterConfig"], cluster["spec"]
    keys = ["minReplicas", "maxReplicas"] + ([] if wanted.get("enableInTreeAutoscaling") else ["replicas"])
    numbers = {group["groupName"]: number for number, group in enumerate(found["workerGroupSpecs"])}
    return [
        {
            "op": "replace",
            "path": f"/spec/workerGroupSpecs/{numbers[group['groupName']]}/{key}",
            "value": value,
        }
        for group in wanted["workerGroupSpecs"]
        for key in keys
        if group["groupName"] in numbers
        and (value := group[key]) != found["workerGroupSpecs"][numbers[group["groupName"]]].get(key)
    ]


def scale_workers(service: Object) -> None:
    """Passes changed numbers of workers on to the RayCluster of these manifests.

    During an upgrade that is the new one, once it exists; KubeRay makes it with the numbers of that time.
    """
    name = newest_cluster(service)
    command = ["get", "-n", NAMESPACE, "--ignore-not-found", f"raycluster/{name}", "-o", "json"]
    there = kubectl(*command).strip() if name else ""
    if there and (found := patches(service, json.loads(there))):
        say(
            f"RayCluster {name}: "
            + ", ".join(f"{one['path'].split('/')[-1]} {one['value']}" for one in found)
        )
        kubectl("patch", "-n", NAMESPACE, f"raycluster/{name}", "--type=json", "-p", json.dumps(found))


def _missing_workers(name: str) -> str:
    status = get(f"raycluster/{name}").get("status", {})
    desired, ready = status.get("desiredWorkerReplicas", 0), status.get("readyWorkerReplicas", 0)
    return "" if ready >= desired else f"{ready} of {desired} workers are ready"


def ask(service: Object) -> None:
    """Returns once the Service answers."""
    cluster = active_cluster(service)
    if not (head := head_of(cluster)):
        raise Failed(f"RayCluster {cluster} has no head pod")
    name = f"{cluster if moves_in_steps(service) else NAME}-serve-svc"
    command = ["exec", "-n", NAMESPACE, head, "-c", "ray-head", "--", "python", "-c", ASK, name]
    kubectl(*command, timeout_s=2 * ANSWERED_WITHIN_S)


def wait_until_read() -> None:
    """Returns once KubeRay has read the manifests; the failure says where to look."""
    try:
        wait_until(lambda: unread(ray_service()), READ_WITHIN_S)
    except Failed as failure:
        raise Failed(f"{failure}{WHY_UNREAD}") from None


def deploy(overlay: str, force: bool) -> None:
    """Applies the overlay and returns once the service answers with it.

    The workers are scaled before the applications can run, because their replicas wait for the workers.
    """
    text = manifest(overlay)
    before, warnings = _service_before(), Warnings()
    if before:
        check_config(before, text)
    apply(overlay, force)
    service = ray_service()
    if service["spec"].get("suspend"):
        raise Failed(PAUSED)
    if before.get("metadata") and before["metadata"]["generation"] == service["metadata"]["generation"]:
        say("The RayService is unchanged. After a change of serve_config.yaml, run `make manifests` first")
    wait_until_read()
    scale_workers(ray_service())
    wait_until(warnings.said_while(lambda: unfinished(ray_service())), DEPLOYED_WITHIN_S, SETTLED_S)
    service = ray_service()
    wait_until(lambda: _missing_workers(active_cluster(service)), DEPLOYED_WITHIN_S)
    ask(service)
    say(f"{overlay} is deployed and answers")


def _service_before() -> Object:
    """Returns the RayService, {} if there is none yet.  Raises Failed, which says so without KubeRay."""
    try:
        found = kubectl("get", "-n", NAMESPACE, "--ignore-not-found", f"rayservice/{NAME}", "-o", "json")
    except Failed as failure:
        if "resource type" in str(failure):
            raise Failed(NO_KUBERAY) from None
        raise
    return dict(json.loads(found)) if found.strip() else {}


def cancel(overlay: str, force: bool) -> None:
    """Keeps the cluster that has the traffic and deletes those that an upgrade has begun.

    During an upgrade KubeRay compares the manifests with the cluster that it builds, so the previous ones are
    another upgrade, to a third cluster.  Without a pending cluster in the status it compares them with the
    one that has the traffic, finds no difference, and drops the others.
    """
    manifest(overlay)
    service = ray_service()
    active = active_cluster(service)
    if not active:
        raise Failed("No cluster has the traffic yet, so there is nothing to go back to: use `make deploy`")
    if moves_in_steps(service):
        raise Failed("This upgrade moves the traffic in steps, and KubeRay moves it back: use `make deploy`")
    apply(overlay, force)
    wait_until_read()
    _check_that_it_has_the_traffic(active)
    forget = json.dumps({"status": {"pendingServiceStatus": None}})
    kubectl(
        "patch", "-n", NAMESPACE, f"rayservice/{NAME}", "--subresource=status", "--type=merge", "-p", forget
    )
    wait_until(_upgrading, READ_WITHIN_S, SETTLED_S)
    _check_that_it_has_the_traffic(active)
    owned = f"ray.io/originated-from-crd=RayService,ray.io/originated-from-cr-name={NAME}"
    clusters = kubectl("get", "-n", NAMESPACE, "raycluster", "-l", owned, "-o", "name").split()
    if others := [one for one in clusters if not one.endswith(f"/{active}")]:
        kubectl("delete", "-n", NAMESPACE, "--timeout=5m", *others, timeout_s=330)
    say(f"{active} keeps the traffic; deleted: {', '.join(others) or 'none'}")


def _check_that_it_has_the_traffic(cluster: str) -> None:
    if active_cluster(ray_service()) != cluster:
        raise Failed("The new cluster got the traffic in the meantime. To go back, use `make deploy`")


def _upgrading() -> str:
    if condition(ray_service(), "UpgradeInProgress").get("status") == "True":
        return "KubeRay prepares a cluster: these manifests are not those of the cluster that has the traffic"
    return ""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m kuberay.deploy", description="Deploy an overlay.")
    parser.add_argument("overlay", help="a folder of kuberay/overlays")
    parser.add_argument("--force-conflicts", action="store_true", help="set fields that others have changed")
    parser.add_argument("--cancel", action="store_true", help="stop an upgrade, whose manifests are gone")
    return parser.parse_args()


def start() -> None:
    """Runs what the command line asks for."""
    given = arguments()
    (cancel if given.cancel else deploy)(given.overlay, given.force_conflicts)


if __name__ == "__main__":
    main(start)
