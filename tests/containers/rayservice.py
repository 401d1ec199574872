"""An API server with one RayService and KubeRay behind it, as `make deploy` sees them through kubectl.

KubeRay 1.7.0, ray-operator/controllers/ray/rayservice_controller.go: it looks every RECONCILED_EVERY_S,
builds another cluster when the cluster's part of the manifest has changed, and moves the Service to it once
all its applications run.  Ready stays true meanwhile.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml

from testkit.cluster import ROOT
from tests.containers.cluster import RayCluster
from tests.containers.service import Service
from tests.rules.manifests import Object

OPERATOR, KUBECTL = "kuberay-operator", "kubectl"
GROUPS = ".spec.rayClusterConfig.workerGroupSpecs"
NOT_COMPARED = ("replicas", "minReplicas", "maxReplicas", "scaleStrategy")
RECONCILED_EVERY_S = 2  # ServiceDefaultRequeueDuration
DEPLOYED_WITHIN_S = 300
REAL_KUBECTL = shutil.which("kubectl") or "kubectl"
# The program `kubectl`: passes its arguments on to the stand-in.
PROGRAM = """#!{python}
import json, sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))
answer = json.load(opener.open("http://127.0.0.1:{port}/", json.dumps(sys.argv[1:]).encode(), timeout=200))
sys.stdout.write(answer["out"])
sys.stderr.write(answer["error"])
sys.exit(1 if answer["error"] else 0)
"""


class Refused(Exception):
    """What kubectl says when it fails."""


class RayService:
    """A RayService whose cluster already has the traffic; the manifest is what `kubectl apply` sends next."""

    def __init__(
        self, found: Object, active: RayCluster, new_cluster: Callable[[Object], RayCluster], service: Service
    ) -> None:
        self.manifest = found
        self.active = active
        self.pending: RayCluster | None = None
        self._new_cluster = new_cluster
        self._service = service
        self._spec = deepcopy(found["spec"])
        self._generation, self._read = 1, 1
        self._upgrades = False
        self._owner = KUBECTL  # of the list of worker groups, which is owned as a whole
        self._built, self._sent = _compared(self._spec), self._spec["serveConfigV2"]
        self._lock, self._over = threading.Lock(), threading.Event()
        self._add_finalizer()

    def _add_finalizer(self) -> None:
        """KubeRay's first update writes the whole object, with the fields that its own type always has."""
        for group in self._spec["rayClusterConfig"]["workerGroupSpecs"]:
            if "scaleStrategy" not in group:
                group["scaleStrategy"] = {}
                self._owner = OPERATOR

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._reconcile, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(DEPLOYED_WITHIN_S)

    def deploy(
        self, overlay: str, folder: Path, python: str = sys.executable
    ) -> subprocess.CompletedProcess[str]:
        """Runs `make deploy` for an overlay, with this service behind kubectl, a program in the folder."""
        with ThreadingHTTPServer(("127.0.0.1", 0), _answering(self)) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            script = folder / "kubectl"
            script.write_text(PROGRAM.format(python=sys.executable, port=server.server_address[1]))
            script.chmod(0o755)
            path = f"{folder}{os.pathsep}{os.environ['PATH']}"
            done = subprocess.run(
                ["make", "deploy", f"OVERLAY={overlay}", f"PYTHON={python}"],
                cwd=ROOT, env=os.environ | {"PATH": path}, capture_output=True, text=True,
                timeout=DEPLOYED_WITHIN_S, check=False,
            )  # fmt: skip
            server.shutdown()
        return done

    def answer(self, *arguments: str) -> str:
        """Returns what kubectl prints.  Raises Refused."""
        match arguments:
            case ("apply", "--server-side", "-k", _):
                self._apply()
                return ""
            case ("kustomize", _):  # it asks no cluster
                return subprocess.run(
                    [REAL_KUBECTL, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
                ).stdout
            case ("get", "-n", "digits", "events", *_):
                return json.dumps({"items": []})
            case ("get", "-n", "digits", *_, "rayservice/digits", "-o", "json"):
                return json.dumps(self._object())
            case ("get", "-n", "digits", *_, name, "-o", "json") if name.startswith("raycluster/"):
                return self._ray_cluster(name.partition("/")[2])
            case ("get", "-n", "digits", "pod", "-l", selector, "-o", "name"):
                return f"pod/{selector.partition('=')[2].partition(',')[0]}-head\n"
            case ("exec", "-n", "digits", *_, script, "digits-serve-svc"):
                return self._ask(script)
            case ("exec", "-n", "digits", *_, "--", "python", "-c", script, text):
                return self.active.run_on_head("python", "-c", script, text)
        raise Refused(f"error: this stand-in has no kubectl {' '.join(arguments)}")

    def _apply(self) -> None:
        """Server-side apply: a list that another manager owns may be sent only as it is."""
        with self._lock:
            wanted = deepcopy(self.manifest["spec"])
            groups = [spec["rayClusterConfig"]["workerGroupSpecs"] for spec in (wanted, self._spec)]
            if self._owner != KUBECTL and groups[0] != groups[1]:
                raise Refused(
                    f'error: Apply failed with 1 conflict: conflict with "{self._owner}" using ray.io/v1: '
                    f"{GROUPS}"
                )
            if wanted != self._spec:
                self._spec, self._generation = wanted, self._generation + 1

    def _object(self) -> Object:
        with self._lock:
            active, pending = self.active, self.pending
            spec, generation, read, upgrades = self._spec, self._generation, self._read, self._upgrades
        newest = pending or active
        applications = newest.details().get("applications", {})
        reported = {
            "applicationStatuses": {name: {"status": one["status"]} for name, one in applications.items()}
        }
        conditions = {"Ready": True, "UpgradeInProgress": upgrades}
        return {
            "metadata": {"generation": generation},
            "spec": spec,
            "status": {
                "observedGeneration": read,
                "conditions": [{"type": kind, "status": str(is_so)} for kind, is_so in conditions.items()],
                "activeServiceStatus": {"rayClusterName": active.name} | ({} if pending else reported),
                "pendingServiceStatus": {"rayClusterName": pending.name} | reported if pending else {},
            },
        }

    def _ray_cluster(self, name: str) -> str:
        (cluster,) = [each for each in (self.active, self.pending) if each and each.name == name]
        ready = sum(pod.is_ready for pod in cluster.workers)
        status = {"desiredWorkerReplicas": len(cluster.workers), "readyWorkerReplicas": ready}
        return json.dumps({"spec": self._spec["rayClusterConfig"], "status": status})

    def _ask(self, script: str) -> str:
        """Runs the head's script here: this stand-in's Service has no name in the containers."""
        here = script.replace('f"http://{sys.argv[1]}:8000/', f'"{self._service.url}/')
        done = subprocess.run(
            [sys.executable, "-c", here, "-"], capture_output=True, text=True, timeout=180, check=False
        )
        if done.returncode:
            raise Refused(done.stderr)
        return done.stdout

    def _reconcile(self) -> None:
        while not self._over.wait(RECONCILED_EVERY_S):
            with self._lock:
                spec = deepcopy(self._spec)
                builds, self._read = _compared(spec) != self._built, self._generation
                self._upgrades = builds or self.pending is not None
            if builds:
                self.pending, self._built = self._new_cluster(spec["rayClusterConfig"]), _compared(spec)
                self._sent = ""
            if spec["serveConfigV2"] != self._sent:
                (self.pending or self.active).apply(yaml.safe_load(spec["serveConfigV2"]))
                self._sent = spec["serveConfigV2"]
            if self.pending and self.pending.runs():
                self._move(self.pending)

    def _move(self, pending: RayCluster) -> None:
        self._service.select(lambda: pending.workers)
        with self._lock:
            self.active, self.pending, self._upgrades = pending, None, False


def _compared(spec: Object) -> Object:
    """Returns the part of a RayService whose change makes another cluster."""
    config = deepcopy(spec["rayClusterConfig"])
    for group in config["workerGroupSpecs"]:
        for key in NOT_COMPARED:
            group.pop(key, None)
    return config  # type: ignore[no-any-return]


def _answering(rayservice: RayService) -> type[BaseHTTPRequestHandler]:
    class Kubectl(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            arguments = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = {"out": "", "error": ""}
            try:
                answer["out"] = rayservice.answer(*arguments)
            except Refused as refused:
                answer["error"] = str(refused)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            pass

    return Kubectl
