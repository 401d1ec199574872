"""The cluster of kubectl's current context, by kubectl."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

ROOT = Path(__file__).parents[2]
OVERLAY = os.environ.get("OVERLAY", "local")
API_KEY = os.environ.get("DIGITS_API_KEY", "")
NAMESPACE, CLIENTS = "digits", "digits-clients"
RATE = 10  # requests per second, for a node of two CPUs
LOAD_ENDS_WITHIN_S, DEPLOYED_WITHIN_S = 180, 1500


def run(*command: str, text: str = "", timeout_s: float = 120) -> str:
    """Returns the output of a command; an error shows it."""
    done = subprocess.run(
        command, cwd=ROOT, input=text, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def kubectl(*arguments: str, text: str = "", timeout_s: float = 120) -> str:
    return run("kubectl", *arguments, text=text, timeout_s=timeout_s)


def apply(*objects: dict[str, Any]) -> None:
    kubectl("apply", "--server-side", "-f", "-", text=yaml.safe_dump_all(objects))


def render(folder: str) -> list[dict[str, Any]]:
    return [found for found in yaml.safe_load_all(kubectl("kustomize", folder)) if found]


def ray_service(namespace: str = NAMESPACE) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(kubectl("get", "-n", namespace, "rayservice/digits", "-o", "json"))
    return found


Object = dict[str, Any]
GENERATED = ".k8s-test"  # a folder of kuberay/overlays, not in git


@contextmanager
def changed_overlay(name: str, change: Callable[[list[Object]], None]) -> Iterator[str]:
    """Yields the name of an overlay with the changed objects of another one."""
    objects = render(f"kuberay/overlays/{name}")
    change(objects)
    folder = ROOT / "kuberay" / "overlays" / GENERATED
    folder.mkdir(exist_ok=True)
    try:
        (folder / "objects.yaml").write_text(yaml.safe_dump_all(objects))
        (folder / "kustomization.yaml").write_text(yaml.safe_dump({"resources": ["objects.yaml"]}))
        yield GENERATED
    finally:
        shutil.rmtree(folder)


def make(target: str, overlay: str, *more: str, timeout_s: float = DEPLOYED_WITHIN_S) -> str:
    return run("make", target, f"OVERLAY={overlay}", *more, timeout_s=timeout_s)


@contextmanager
def installed(overlay: str) -> Iterator[None]:
    """Deploys an overlay, and deletes it at the end."""
    try:
        make("deploy", overlay)
        yield
    finally:
        make("undeploy", overlay)


def spec_of(objects: list[Object]) -> Object:
    """Returns the spec of the RayService, to change in place."""
    (service,) = (found for found in objects if found["kind"] == "RayService")
    spec: Object = service["spec"]
    return spec


def with_replicas(objects: list[Object], workers: int, replicas: int) -> None:
    spec = spec_of(objects)
    group = spec["rayClusterConfig"]["workerGroupSpecs"][0]
    group["replicas"] = group["minReplicas"] = group["maxReplicas"] = workers
    config = yaml.safe_load(spec["serveConfigV2"])
    scaling = config["applications"][0]["deployments"][0]["autoscaling_config"]
    scaling["min_replicas"] = scaling["max_replicas"] = replicas
    spec["serveConfigV2"] = yaml.safe_dump(config)


def annotate(objects: list[Object]) -> None:
    """Changes what makes KubeRay build a second cluster, and nothing else."""
    template = spec_of(objects)["rayClusterConfig"]["workerGroupSpecs"][0]["template"]
    template["metadata"]["annotations"] = {"digits.example.com/upgrade": str(time.time_ns())}


def begin_upgrade() -> None:
    """Changes the RayService of the cluster as `annotate` changes the manifests."""
    service = ray_service()
    annotate([service])
    groups = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    patch = json.dumps({"spec": {"rayClusterConfig": {"workerGroupSpecs": groups}}})
    kubectl("patch", "-n", NAMESPACE, "rayservice/digits", "--type=merge", "-p", patch)


def evict(pod: str) -> str:
    """Asks for the eviction of a pod as `kubectl drain` does; returns "" or why it is refused."""
    name = pod.rpartition("/")[2]
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": NAMESPACE},
    }
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/eviction"
    done = subprocess.run(
        ["kubectl", "create", "--raw", path, "-f", "-"],
        input=json.dumps(eviction), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.stderr if done.returncode else ""


def of_cluster(kind: str) -> str:
    """Returns the selector of the head or the workers of the cluster that has the traffic."""
    return f"ray.io/cluster={active_cluster()},ray.io/node-type={kind}"


def ready(selector: str) -> int:
    found = json.loads(kubectl("get", "-n", NAMESPACE, "pod", "-l", selector, "-o", "json"))["items"]
    return sum(
        any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))
        for pod in found
        if not pod["metadata"].get("deletionTimestamp")
    )


def condition(name: str, namespace: str = NAMESPACE) -> str:
    conditions = ray_service(namespace).get("status", {}).get("conditions", [])
    return next((found["status"] for found in conditions if found["type"] == name), "")


def active_cluster() -> str:
    return str(ray_service()["status"]["activeServiceStatus"]["rayClusterName"])


def clusters() -> list[str]:
    return kubectl("get", "-n", NAMESPACE, "raycluster", "-o", "name").split()


def pods(selector: str, namespace: str = NAMESPACE) -> list[str]:
    return kubectl("get", "-n", namespace, "pod", "-l", selector, "-o", "name").split()


def running_replicas() -> int:
    (head,) = pods(f"ray.io/cluster={active_cluster()},ray.io/node-type=head")
    status = yaml.safe_load(kubectl("exec", "-n", NAMESPACE, head, "-c", "ray-head", "--", "serve", "status"))
    states = status["applications"]["digits"]["deployments"]["DigitClassifier"]["replica_states"]
    return int(states.get("RUNNING", 0))


def replicas_run(number: int) -> bool:
    """Returns whether the head says that many replicas run; it may not be up, or know no application."""
    try:
        return running_replicas() == number
    except (AssertionError, KeyError, TypeError, ValueError):
        return False


def change_config(**changes: Any) -> None:
    """Changes user_config and autoscaling_config of the running service, in place."""
    config = yaml.safe_load(ray_service()["spec"]["serveConfigV2"])
    deployment = config["applications"][0]["deployments"][0]
    for key, value in changes.items():
        part = "user_config" if key in deployment["user_config"] else "autoscaling_config"
        deployment[part][key] = value
    patch = json.dumps({"spec": {"serveConfigV2": yaml.safe_dump(config)}})
    kubectl("patch", "-n", NAMESPACE, "rayservice/digits", "--type=merge", "-p", patch)


@dataclass(frozen=True)
class Report:
    sent: int
    failed: int
    reasons: list[str]
    again: int
    slowest_s: float
    versions: list[str]

    def __str__(self) -> str:
        return f"{self.failed} of {self.sent} failed, {self.again} repeated, slowest {self.slowest_s:.1f} s"


class Load:
    """Sends requests from the client's pod while the block runs; `report` is set after it."""

    report: Report

    def __init__(
        self, namespace: str = NAMESPACE, rate: int = RATE, key: str = API_KEY, url: str = ""
    ) -> None:
        self._url = url or f"http://digits-serve-svc.{namespace}:8000"
        self._rate, self._key = rate, key

    def __enter__(self) -> Self:
        program = (Path(__file__).parent / "client.py").read_text()
        self._process = subprocess.Popen(
            [
                "kubectl", "exec", "-i", "-n", CLIENTS, "client", "--",
                "python", "-c", program, self._url, str(self._rate), self._key,
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        out, errors = self._process.communicate(timeout=LOAD_ENDS_WITHIN_S)
        if error is None:
            assert self._process.returncode == 0, errors
            self.report = Report(**json.loads(out.splitlines()[-1]))
