"""Applies an overlay and returns once it answers: `make deploy OVERLAY=local`.

    python -m kuberay.deploy OVERLAY [--force-conflicts] [--cancel]

With --cancel it applies the manifests of the cluster that has the traffic, and stops an upgrade to others.
"""

import argparse
import json

from kuberay.service import (
    NAME,
    NAMESPACE,
    Failed,
    Object,
    active_cluster,
    condition,
    get,
    kubectl,
    main,
    ray_service,
    run,
    say,
    unfinished,
    wait_until,
)

READ_WITHIN_S, DEPLOYED_WITHIN_S, ANSWERED_WITHIN_S = 60, 900, 60
# KubeRay sends a changed Serve configuration when it says that it has read it, and sees what the applications
# do with it 2 s later.
SETTLED_S = 5.0
WHAT_TO_DO = """
Someone else has set these fields, for example by `kubectl patch` or `kubectl edit`.  Move the change into
your overlay if you want to keep it, and run `make deploy FORCE=1`, which sets the manifests' values."""
# Runs on the head: connections through the Service, like those of a client.  An endpoint is programmed up to
# a second after its pod is ready, so several answers are wanted, each on a connection of its own.
ASK = f"""
import sys, time, urllib.request
deadline, good = time.monotonic() + {ANSWERED_WITHIN_S}, 0
while good < 5:
    try:
        urllib.request.urlopen("http://{NAME}-serve-svc:8000/-/healthz", timeout=2).read()
        good += 1
    except OSError as error:
        good = 0
        if time.monotonic() > deadline:
            sys.exit(f"no answer through the Service: {{error}}")
    time.sleep(0.2)
"""


def apply(overlay: str, force: bool) -> None:
    """Applies the overlay; a conflict says what to do."""
    options = ["--force-conflicts"] if force else []
    done = run("apply", "--server-side", *options, "-k", f"kuberay/overlays/{overlay}")
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
    """Passes changed numbers of workers on to the cluster that has the traffic."""
    name = active_cluster(service)
    if not name:
        return
    if found := patches(service, get(f"raycluster/{name}")):
        say(
            f"RayCluster {name}: "
            + ", ".join(f"{one['path'].split('/')[-1]} {one['value']}" for one in found)
        )
        kubectl("patch", "-n", NAMESPACE, f"raycluster/{name}", "--type=json", "-p", json.dumps(found))


def _missing_workers(name: str) -> str:
    status = get(f"raycluster/{name}").get("status", {})
    desired, ready = status.get("desiredWorkerReplicas", 0), status.get("readyWorkerReplicas", 0)
    return "" if ready >= desired else f"{ready} of {desired} workers are ready"


def ask(cluster: str) -> None:
    """Returns once the Service answers."""
    selector = f"ray.io/cluster={cluster},ray.io/node-type=head"
    head = kubectl("get", "-n", NAMESPACE, "pod", "-l", selector, "-o", "name").split()
    if not head:
        raise Failed(f"RayCluster {cluster} has no head pod")
    command = ["exec", "-n", NAMESPACE, head[0], "-c", "ray-head", "--", "python", "-c", ASK]
    kubectl(*command, timeout_s=2 * ANSWERED_WITHIN_S)


def read() -> str:
    service = ray_service()
    has_read = service.get("status", {}).get("observedGeneration", 0) >= service["metadata"]["generation"]
    return "" if has_read else "KubeRay has not read the manifests"


def deploy(overlay: str, force: bool) -> None:
    """More workers are wanted before the applications can run: their replicas wait for the workers."""
    apply(overlay, force)
    wait_until(read, READ_WITHIN_S)
    if condition(ray_service(), "UpgradeInProgress").get("status") != "True":
        scale_workers(ray_service())
    wait_until(lambda: unfinished(ray_service()), DEPLOYED_WITHIN_S, SETTLED_S)
    active = active_cluster(ray_service())
    wait_until(lambda: _missing_workers(active), DEPLOYED_WITHIN_S)
    ask(active)
    say(f"{overlay} is deployed and answers")


def cancel(overlay: str, force: bool) -> None:
    """Keeps the cluster that has the traffic and deletes those that an upgrade has begun.

    During an upgrade KubeRay compares the manifests with the cluster that it builds, so the previous ones are
    another upgrade, to a third cluster.  Without a pending cluster in the status it compares them with the
    one that has the traffic, finds no difference, and drops the others.
    """
    active = active_cluster(ray_service())
    if not active:
        raise Failed("No cluster has the traffic yet, so there is nothing to go back to: use `make deploy`")
    apply(overlay, force)
    wait_until(read, READ_WITHIN_S)
    forget = json.dumps({"status": {"pendingServiceStatus": None}})
    kubectl(
        "patch", "-n", NAMESPACE, f"rayservice/{NAME}", "--subresource=status", "--type=merge", "-p", forget
    )
    wait_until(_upgrading, READ_WITHIN_S, SETTLED_S)
    if active_cluster(ray_service()) != active:
        raise Failed("The new cluster got the traffic in the meantime. To go back, use `make deploy`")
    owned = f"ray.io/originated-from-crd=RayService,ray.io/originated-from-cr-name={NAME}"
    clusters = kubectl("get", "-n", NAMESPACE, "raycluster", "-l", owned, "-o", "name").split()
    if others := [one for one in clusters if not one.endswith(f"/{active}")]:
        kubectl("delete", "-n", NAMESPACE, "--timeout=5m", *others, timeout_s=330)
    say(f"{active} keeps the traffic; deleted: {', '.join(others) or 'none'}")


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
    given = arguments()
    (cancel if given.cancel else deploy)(given.overlay, given.force_conflicts)


if __name__ == "__main__":
    main(start)
