"""Containers as pods on a network of their own, with the readiness that a kubelet sees."""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2

from tests.containers.engine import LABEL, RESTRICTED, Container, docker
from tests.containers.kuberay import Pod

NETWORK = "digits-test"
PORTS = {"serve": 8000, "http": 5000}


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
        self.is_ready = False
        self._over = threading.Event()
        if "httpGet" in pod.probe:
            threading.Thread(target=self._probe, daemon=True).start()

    def kill(self) -> None:
        """Ends it without a warning: the kubelet sees it at once, unlike a probe that fails."""
        self._not_ready()
        self.container.kill()

    def terminate(self) -> float:
        """Sends SIGTERM, after the grace period SIGKILL, and returns the seconds until it ended."""
        self._not_ready()
        began = time.monotonic()
        self.container.stop(self.pod.grace_s)
        return time.monotonic() - began

    def remove(self) -> None:
        self._not_ready()
        self.container.remove()

    def _not_ready(self) -> None:
        self._over.set()
        self.is_ready = False

    def _probe(self) -> None:
        """Sets `is_ready` as the readinessProbe of the manifest says."""
        probe, failures = self.pod.probe, 0
        wait_s = float(probe.get("initialDelaySeconds", 0))
        while not self._over.wait(wait_s):
            is_good = self._answers()
            failures = 0 if is_good else failures + 1
            if (is_good or failures >= probe.get("failureThreshold", 3)) and not self._over.is_set():
                self.is_ready = is_good
            wait_s = float(probe.get("periodSeconds", 10))

    def _answers(self) -> bool:
        get = self.pod.probe["httpGet"]
        url = f"http://{self.address}:{PORTS.get(get['port'], get['port'])}{get['path']}"
        try:
            return httpx2.get(url, timeout=float(self.pod.probe.get("timeoutSeconds", 1))).status_code < 400
        except httpx2.TransportError:
            return False
