"""kubectl, and what the status of the RayService `digits` says.  Needs Python's own library only."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

NAMESPACE, NAME = os.environ.get("NAMESPACE") or "digits", "digits"
LOOK_EVERY_S, SILENT_FOR_S = 1.0, 120.0
HARMLESS = ("Unhealthy",)  # a probe that fails until the service answers
Object = dict[str, Any]


class Failed(Exception):
    """The text says what was wrong and what to do."""


def run(*arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    """Returns the finished command, whatever its status."""
    command = ["kubectl", *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except FileNotFoundError:
        raise Failed("kubectl is not installed, or not in PATH") from None
    except subprocess.TimeoutExpired:
        raise Failed(f"kubectl {' '.join(arguments)} did not end within {timeout_s:g} s") from None


def kubectl(*arguments: str, timeout_s: float = 120) -> str:
    """Returns the output of a command that must succeed."""
    done = run(*arguments, timeout_s=timeout_s)
    if done.returncode:
        raise Failed(f"kubectl {' '.join(arguments)}\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


def get(what: str) -> Object:
    """Returns an object of the namespace, by kind/name."""
    found: Object = json.loads(kubectl("get", "-n", NAMESPACE, what, "-o", "json"))
    return found


def ray_service() -> Object:
    return get(f"rayservice/{NAME}")


class Warnings:
    """Kubernetes' warnings about the namespace since this object was made: why a pod does not start.

    For example a wrong image tag, a missing Secret, a quota, Pod Security, or no node with room.
    """

    def __init__(self) -> None:
        self._seen = set(self._found())
        self._told: set[str] = set()

    def new(self) -> list[str]:
        """Returns the warnings that are new, each once, however often Kubernetes repeats it."""
        found = self._found()
        told = {text for key, text in found.items() if key not in self._seen} - self._told
        self._seen |= set(found)
        self._told |= told
        return sorted(told)

    def said_while(self, look: Callable[[], str]) -> Callable[[], str]:
        """Returns `look` as `wait_until` wants it, which also says new warnings until it returns ""."""

        def look_and_say() -> str:
            if unfinished := look():
                for warning in self.new():
                    say(warning)
            return unfinished

        return look_and_say

    def _found(self) -> dict[str, str]:
        """Returns the warnings, by what differs when one is repeated; {} if they may not be read."""
        done = run("get", "-n", NAMESPACE, "events", "--field-selector=type=Warning", "-o", "json")
        if done.returncode:
            return {}
        return {
            event["metadata"]["uid"] + event["metadata"]["resourceVersion"]: _warning(event)
            for event in json.loads(done.stdout)["items"]
            if event["reason"] not in HARMLESS
        }


def _warning(event: Object) -> str:
    about = event["involvedObject"]
    text = " ".join(event.get("message", "").split())
    return f"{about['kind']} {about['name']}: {event['reason']}: {text}"


def active_cluster(service: Object) -> str:
    """Returns the name of the RayCluster that has the traffic, "" before the first one has."""
    return _cluster(service, "activeServiceStatus")


def head_of(cluster: str) -> str:
    """Returns the head pod of a RayCluster, "" if there is none."""
    selector = f"ray.io/cluster={cluster},ray.io/node-type=head"
    return kubectl("get", "-n", NAMESPACE, "pod", "-l", selector, "-o", "name").partition("\n")[0]


def newest_cluster(service: Object) -> str:
    """Returns the name of the RayCluster that the manifests describe, "" before KubeRay has read them."""
    return _cluster(service, "pendingServiceStatus") or active_cluster(service)


def _cluster(service: Object, part: str) -> str:
    return str(service.get("status", {}).get(part, {}).get("rayClusterName", ""))


def moves_in_steps(service: Object) -> bool:
    """Returns whether an upgrade moves the traffic in steps, by a Gateway and Services of each cluster."""
    strategy = service["spec"].get("upgradeStrategy", {})
    return bool(strategy.get("type") == "NewClusterWithIncrementalUpgrade")


def condition(service: Object, kind: str) -> Object:
    """Returns a condition of the status, {} if there is none of this kind."""
    found = service.get("status", {}).get("conditions", [])
    return next((one for one in found if one["type"] == kind), {})


def applications(service: Object) -> dict[str, Object]:
    """Returns the applications that KubeRay looks at: those of the new cluster while there is one."""
    status = service.get("status", {})
    for part in ("pendingServiceStatus", "activeServiceStatus"):
        if found := status.get(part, {}).get("applicationStatuses"):
            return dict(found)
    return {}


def unread(service: Object) -> str:
    """Returns what is missing until KubeRay has read the manifests, "" once it has.

    KubeRay writes observedGeneration only together with a change of its status.  Before the first cluster
    has the traffic there may be none, for example while an image is pulled.
    """
    if service.get("status", {}).get("observedGeneration", 0) >= service["metadata"]["generation"]:
        return ""
    ready = condition(service, "Ready")
    if ready.get("reason") == "ValidationFailed":
        return f"KubeRay rejects the manifests: {ready.get('message', '')}"
    if newest_cluster(service) and not active_cluster(service):
        return ""
    return "KubeRay has not read the manifests"


def unfinished(service: Object) -> str:
    """Returns what a deployment still waits for, "" once it is done.

    The order matters.  Until KubeRay has read the manifests, each condition is about the previous ones; it
    says whether they are an upgrade in the same write in which it says that it has read them.  During an
    upgrade Ready stays true, because the old cluster has the traffic.
    """
    if said := unread(service):
        return said
    states = ", ".join(f"{name} {one['status']}" for name, one in sorted(applications(service).items()))
    said = f" ({states})" if states else ""
    if condition(service, "UpgradeInProgress").get("status") == "True":
        return f"the new cluster does not have the traffic yet{said}"
    ready = condition(service, "Ready")
    if ready.get("status") != "True":
        return f"not Ready, {ready.get('reason', 'without a reason')}: {ready.get('message', '')}{said}"
    if not states or any(one["status"] != "RUNNING" for one in applications(service).values()):
        return f"the applications do not run{said}"
    return ""


def wait_until(look: Callable[[], str], within_s: float, for_s: float = 0.0) -> None:
    """Returns once `look` has returned "" for `for_s`; prints each other answer once.

    The API server may be away for SILENT_FOR_S: it restarts, and a training takes hours.
    """
    deadline, said, since, silent_since = time.monotonic() + within_s, "", None, None
    while True:
        try:
            unfinished, silent_since = look(), None
        except Failed as failure:
            silent_since = silent_since or time.monotonic()
            if time.monotonic() - silent_since > SILENT_FOR_S:
                raise
            unfinished = str(failure)
        now = time.monotonic()
        since = (since or now) if not unfinished else None
        if since is not None and now - since >= for_s:
            return
        if now >= deadline:
            raise Failed(f"After {within_s:g} s: {unfinished or 'it changes all the time'}")
        if unfinished and unfinished != said:
            say(unfinished)
            said = unfinished
        time.sleep(LOOK_EVERY_S)


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main(do: Callable[[], None]) -> None:
    """Runs a command; its failure is the last line, without a traceback."""
    try:
        do()
    except Failed as failure:
        sys.exit(str(failure))
