"""The cluster of kubectl's current context, by kubectl."""

import json
import os
import subprocess
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
LOAD_ENDS_WITHIN_S = 180


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

    def __init__(self, namespace: str = NAMESPACE) -> None:
        self._url = f"http://digits-serve-svc.{namespace}:8000"

    def __enter__(self) -> Self:
        program = (Path(__file__).parent / "client.py").read_text()
        self._process = subprocess.Popen(
            [
                "kubectl", "exec", "-i", "-n", CLIENTS, "client", "--",
                "python", "-c", program, self._url, str(RATE), API_KEY,
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
