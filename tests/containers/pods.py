"""Containers as pods, on their own network, and a HAProxy as their Service."""

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

from testkit.cluster import free_port
from tests.containers.engine import LABEL, RESTRICTED, Container, docker
from tests.containers.kuberay import Pod

NETWORK = "digits-test"
SLOTS = 8


@contextlib.contextmanager
def network() -> Iterator[None]:
    docker("network", "create", "--label", LABEL, NETWORK)
    try:
        yield
    finally:
        docker("network", "rm", NETWORK)


class RunningPod:
    """The container of a pod; `alias` is the name of its Service."""

    def __init__(self, pod: Pod, folder: Path, alias: str = "") -> None:
        self.pod = pod
        self.started_at = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        mounts: list[str] = []
        for number, (place, files) in enumerate(pod.files.items()):
            source = folder / str(number)
            source.mkdir()
            source.chmod(0o755)
            for name, content in files.items():
                (source / name).write_text(content)
            mounts += ["--volume", f"{source}:{place}:ro"]
        for place in pod.folders:
            mounts += ["--tmpfs", f"{place}:size=2g,mode=1777"]
        user = f"{pod.user}:{pod.user}"
        options = [user if option == "1000:1000" else option for option in RESTRICTED]
        environment = [part for one in pod.environment.items() for part in ("--env", "=".join(one))]
        entry, *arguments = pod.command
        self.container = Container(
            *options, "--network", NETWORK, *(["--network-alias", alias] if alias else []),
            "--cpus", str(pod.cpus), "--memory", f"{pod.memory_mb}m", "--memory-swap", f"{pod.memory_mb}m",
            "--shm-size", f"{pod.shm_mb}m", "--pids-limit", "4096", *mounts, *environment,
            "--entrypoint", entry, pod.image, *arguments,
        )  # fmt: skip
        self.address = self.container.address

    def kill(self) -> None:
        self.container.kill()

    def delete(self) -> None:
        """Deletes it as the kubelet does: SIGTERM, the grace period, SIGKILL."""
        self.container.stop(self.pod.grace_s)
        self.container.remove()


class Service:
    """Sends requests to the pods that are ready, as kube-proxy and an ingress do.

    It probes each pod as the manifest says.  A request whose connection fails, or is closed before an
    answer, is repeated once at another pod: the one retry that an ingress is expected to have.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._socket = folder / "service.sock"
        self._config = folder / "service.cfg"
        self._pods: dict[int, RunningPod] = {}
        self._ready: dict[int, bool] = {}
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._config.write_text(
            f"""global
    stats socket {self._socket} level admin
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    retries 1
    option redispatch 1
    retry-on conn-failure empty-response
frontend service
    bind 127.0.0.1:{self.port}
    default_backend pods
backend pods
    balance roundrobin
    server-template pod 1-{SLOTS} 127.0.0.1:1 disabled
"""
        )

    def __enter__(self) -> Self:
        self._haproxy = subprocess.Popen(["haproxy", "-db", "-f", str(self._config)])
        self._asking = threading.Thread(target=self._ask_all, daemon=True)
        self._asking.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._asking.join(30)
        self._haproxy.terminate()
        self._haproxy.wait(10)

    def add(self, pod: RunningPod) -> None:
        with self._lock:
            slot = min(set(range(1, SLOTS + 1)) - self._pods.keys())
            self._pods[slot], self._ready[slot] = pod, False
            self._tell(f"set server pods/pod{slot} addr {pod.address} port 8000")

    def remove(self, *pods: RunningPod) -> None:
        """Removes the pods from the endpoints at once, as when their deletion begins."""
        with self._lock:
            for slot in [slot for slot, pod in self._pods.items() if pod in pods]:
                self._tell(f"set server pods/pod{slot} state maint")
                del self._pods[slot], self._ready[slot]

    def ready(self) -> list[RunningPod]:
        with self._lock:
            return [self._pods[slot] for slot, is_ready in self._ready.items() if is_ready]

    def _ask_all(self) -> None:
        failures: dict[RunningPod, int] = {}
        period_s = 2.0
        while not self._over.wait(period_s):
            with self._lock:
                pods = dict(self._pods)
            for slot, pod in pods.items():
                probe = pod.pod.probe
                period_s = float(probe["periodSeconds"])
                is_good = self._answers(pod, probe)
                failures[pod] = 0 if is_good else failures.get(pod, 0) + 1
                if is_good or failures[pod] >= probe["failureThreshold"]:
                    self._set(slot, pod, is_good)

    def _answers(self, pod: RunningPod, probe: dict[str, object]) -> bool:
        get = probe["httpGet"]
        assert isinstance(get, dict)
        port = {"serve": 8000}.get(get["port"], get["port"])
        try:
            url = f"http://{pod.address}:{port}{get['path']}"
            return httpx2.get(url, timeout=float(str(probe["timeoutSeconds"]))).status_code < 400
        except httpx2.TransportError:
            return False

    def _set(self, slot: int, pod: RunningPod, is_ready: bool) -> None:
        with self._lock:
            if self._pods.get(slot) is pod and self._ready[slot] != is_ready:
                self._ready[slot] = is_ready
                self._tell(f"set server pods/pod{slot} state {'ready' if is_ready else 'maint'}")

    def _tell(self, command: str) -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._socket))
            connection.sendall(command.encode() + b"\n")
            answer = connection.recv(1000).decode().strip()
        assert not answer or answer.startswith("IP changed") or "no need to change" in answer, answer
