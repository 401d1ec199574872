"""A HAProxy as a Kubernetes Service: connections to the endpoints of the pods that its selector chooses."""

import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from testkit.ports import free_port
from tests.containers.pods import RunningPod

SLOTS = 8
# From a ready pod or a changed selector to kube-proxy's rules: up to 0.74 s on a real Kubernetes 1.36.
PROGRAMMED_AFTER_S = 0.75
LOOK_EVERY_S = 0.1


class Service:
    """Sends each connection to an endpoint, and keeps it there, as kube-proxy does.

    A pod is an endpoint while the selector chooses it and it is ready; each change takes effect
    PROGRAMMED_AFTER_S later.  Without an endpoint connections are closed.  A connection that an endpoint
    refuses is opened once more at another one, as an ingress does.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._socket = folder / "service.sock"
        self._config = folder / "service.cfg"
        self._selector: Callable[[], list[RunningPod]] = list
        self._slots: dict[int, RunningPod] = {}
        self._over = threading.Event()
        self._config.write_text(
            f"""global
    stats socket {self._socket} level admin
defaults
    mode tcp
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    retries 1
    option redispatch 1
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
        self._programming = threading.Thread(target=self._program, daemon=True)
        self._programming.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._programming.join(30)
        self._haproxy.terminate()
        self._haproxy.wait(10)

    def select(self, pods: Callable[[], list[RunningPod]]) -> None:
        """Chooses these pods instead of those before, as KubeRay does to move the traffic."""
        self._selector = pods

    def endpoints(self) -> list[RunningPod]:
        return list(self._slots.values())

    def _program(self) -> None:
        seen: list[RunningPod] = []
        due: list[tuple[float, list[RunningPod]]] = []
        while not self._over.wait(LOOK_EVERY_S):
            ready = [pod for pod in self._selector() if pod.is_ready]
            if ready != seen:
                seen = ready
                due.append((time.monotonic() + PROGRAMMED_AFTER_S, ready))
            while due and due[0][0] <= time.monotonic():
                self._set(due.pop(0)[1])

    def _set(self, pods: list[RunningPod]) -> None:
        for slot, pod in list(self._slots.items()):
            if pod not in pods:
                self._tell(f"set server pods/pod{slot} state maint")
                del self._slots[slot]
        for pod in pods:
            if pod not in self._slots.values():
                slot = min(set(range(1, SLOTS + 1)) - self._slots.keys())
                self._tell(f"set server pods/pod{slot} addr {pod.address} port 8000")
                self._tell(f"set server pods/pod{slot} state ready")
                self._slots[slot] = pod

    def _tell(self, command: str) -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._socket))
            connection.sendall(command.encode() + b"\n")
            answer = connection.recv(1000).decode().strip()
        assert not answer or answer.startswith("IP changed") or "no need to change" in answer, answer
