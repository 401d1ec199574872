"""The manifests as kubectl would send them: every kustomization of kuberay/, rendered."""

import copy
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.programs import require_program

Object = dict[str, Any]

ROOT = Path(__file__).parents[2]
KUBERAY = ROOT / "kuberay"
PLAIN = "rayservice.yaml"
# For one small node: their requests are below their limits.
SMALL = (
    "local", "local-autoscaling", "local-champion", "local-scoring", "local-training",
    "local-training-schedule", PLAIN,
)  # fmt: skip


def names() -> list[str]:
    """Returns every kustomization that can be applied, and the plain file.  Components are part of others."""
    folders = sorted(file.parent for file in KUBERAY.rglob("kustomization.yaml"))
    return [str(folder.relative_to(KUBERAY)) for folder in folders if "components" not in folder.parts] + [
        PLAIN
    ]


@cache
def _parsed(name: str) -> list[Object]:
    return [found for found in yaml.load_all(_text(name), yaml.CSafeLoader) if found]


def _text(name: str) -> str:
    if name.endswith(".yaml"):
        return (KUBERAY / name).read_text()
    require_program("kubectl", "kubectl")
    command = ["kubectl", "kustomize", str(KUBERAY / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True)
class Pod:
    """A pod template, with the labels that its owner's controller adds."""

    where: str
    labels: dict[str, str]
    spec: Object

    @property
    def containers(self) -> list[Object]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]


@dataclass(frozen=True)
class RayCluster:
    where: str
    spec: Object
    pods: list[Pod]  # the head, then a worker of each group

    @property
    def head(self) -> Pod:
        return self.pods[0]

    @property
    def workers(self) -> list[tuple[Object, Pod]]:
        return list(zip(self.spec.get("workerGroupSpecs", []), self.pods[1:], strict=True))


@dataclass(frozen=True)
class Render:
    name: str
    objects: list[Object]

    @property
    def is_small(self) -> bool:
        return self.name.removeprefix("overlays/") in SMALL

    def of(self, *kinds: str) -> list[Object]:
        return [found for found in self.objects if found["kind"] in kinds]

    def named(self, kind: str) -> set[str]:
        return {found["metadata"]["name"] for found in self.of(kind)}

    def jobs(self) -> Iterator[tuple[str, Object]]:
        """Yields the specs of trainings and scorings with their names."""
        for found in self.of("RayJob"):
            yield f"RayJob {found['metadata']['name']}", found["spec"]
        for found in self.of("RayCronJob"):
            yield f"RayCronJob {found['metadata']['name']}", found["spec"]["jobTemplate"]

    def clusters(self) -> list[RayCluster]:
        found = [
            (f"RayService {service['metadata']['name']}", service["spec"]["rayClusterConfig"])
            for service in self.of("RayService")
        ]
        found += [(where, job["rayClusterSpec"]) for where, job in self.jobs()]
        return [_cluster(where, spec) for where, spec in found]

    def pods(self) -> list[Pod]:
        pods = [pod for cluster in self.clusters() for pod in cluster.pods]
        for where, job in self.jobs():
            if template := job.get("submitterPodTemplate"):
                pods.append(_pod(f"{where}, submitter", template))
        for found in self.of("Deployment", "StatefulSet"):
            pods.append(_pod(f"{found['kind']} {found['metadata']['name']}", found["spec"]["template"]))
        return pods


def _pod(where: str, template: Object, added: dict[str, str] | None = None) -> Pod:
    return Pod(where, template.get("metadata", {}).get("labels", {}) | (added or {}), template["spec"])


def _cluster(where: str, spec: Object) -> RayCluster:
    node = {"ray.io/is-ray-node": "yes", "ray.io/cluster": "made-by-kuberay"}
    pods = [
        _pod(f"{where}, head", spec["headGroupSpec"]["template"], node | {"ray.io/node-type": "head"}),
        *(
            _pod(
                f"{where}, workers {group['groupName']}",
                group["template"],
                node | {"ray.io/node-type": "worker"},
            )
            for group in spec.get("workerGroupSpecs", [])
        ),
    ]
    return RayCluster(where, spec, pods)


def render(name: str) -> Render:
    """Returns a new copy each time, so a test may change it."""
    return Render(name, copy.deepcopy(_parsed(name)))


def cpus(quantity: str) -> float:
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


def mebibytes(quantity: str) -> float:
    for unit, factor in (("Mi", 1), ("Gi", 1024), ("Ki", 1 / 1024)):
        if quantity.endswith(unit):
            return float(quantity[: -len(unit)]) * factor
    return float(quantity) / 2**20
