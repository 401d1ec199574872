"""A Ray cluster of one node on loopback, started by the commands a user has."""

import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx2
import yaml

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


# Below the cluster's own folder, so that its HAProxy is known, and ended, by its command line.
HAPROXY_FILES = (
    ("CONFIG_FILE_LOC", "haproxy.cfg"), ("SOCKET_PATH", "admin.sock"),
    ("METRICS_SOCKET_PATH", "metrics.sock"), ("SERVER_STATE_BASE", ""), ("SERVER_STATE_FILE", "server-state"),
)  # fmt: skip


# Of neither those that the system gives to whoever connects (from 32768) nor those that Ray gives to its
# workers (10002 to 19999): nobody else takes one before its server does.
PORTS = iter(random.sample(range(20000, 32768), 32768 - 20000))


def free_port() -> int:
    """Never the same twice."""
    for port in PORTS:
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError("all ports are taken")


Seen = TypeVar("Seen")


def wait_until(
    look: Callable[[], Seen | None], timeout_s: float, on_timeout: Callable[[], str] = str
) -> Seen:
    """What `look` returns once it is true; fails with `on_timeout`'s explanation."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if seen := look():
            return seen
        time.sleep(0.1)
    raise TimeoutError(f"not true within {timeout_s} s: {on_timeout()}")


def read_serve_env() -> dict[str, str]:
    lines = (ROOT / "serve.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def serve_env(stats_port: int = 0, metrics_port: int = 0) -> dict[str, str]:
    """What `make serve` sets, on free ports unless they are given."""
    return read_serve_env() | {
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(ROOT / "digits" / "gateway" / "haproxy.py"),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(stats_port or free_port()),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics_port or free_port()),
    }


def proxy_env() -> dict[str, str]:
    """What `make serve HAPROXY=0` sets."""
    return read_serve_env() | {"RAY_SERVE_ENABLE_HA_PROXY": "0", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "0"}


class LocalCluster:
    """Behind HAProxy if it is given `serve_env()`, else behind Ray's own proxy."""

    def __init__(self, **environment: str) -> None:
        self._folder = tempfile.mkdtemp(prefix="digits-")  # short: Ray makes sockets below it
        self._dashboard = free_port()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._gcs = free_port()
        self._metrics = free_port()
        self.metrics_url = f"http://127.0.0.1:{self._metrics}/metrics"
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("RAY_SERVE_")}
        self.environment = inherited | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ADDRESS": f"127.0.0.1:{self._gcs}",
            "RAY_DASHBOARD_ADDRESS": f"http://127.0.0.1:{self._dashboard}",
            # Ray's default is one port with SO_REUSEPORT, which two clusters of a machine would share.
            "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(free_port()),
            "PYTHONPATH": str(ROOT),
            "RAY_worker_niceness": "0",  # Ray's 15 would let whatever else this machine does starve it
            **{f"RAY_SERVE_HAPROXY_{name}": f"{self._folder}/haproxy/{file}" for name, file in HAPROXY_FILES},
            **environment,
        }

    @property
    def has_edge(self) -> bool:
        return "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH" in self.environment

    @property
    def behind_haproxy(self) -> bool:
        return self.environment.get("RAY_SERVE_ENABLE_HA_PROXY") == "1"

    def __enter__(self) -> Self:
        self.run(
            "ray", "start", "--head", "--node-ip-address=127.0.0.1", f"--port={self._gcs}",
            f"--dashboard-port={self._dashboard}", f"--temp-dir={self._folder}", "--num-cpus=4",
            f"--dashboard-agent-listen-port={free_port()}", f"--metrics-export-port={self._metrics}",
            f"--ray-client-server-port={free_port()}", "--disable-usage-stats",
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        # `ray stop` would end every cluster of the machine, so end the processes of this one's folder.
        subprocess.run(["pkill", "-KILL", "-f", self._folder], check=False)
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, *command: str) -> str:
        """Output of one of the environment's programs; an error shows it."""
        result = subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def config(self, **user_config: Any) -> dict[str, Any]:
        """serve_config.yaml on this cluster's port, with changes to user_config."""
        config: dict[str, Any] = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
        config["http_options"]["port"] = self.port
        config["applications"][0]["deployments"][0]["user_config"] |= user_config
        return config

    def fixed(self, replicas: int) -> dict[str, Any]:
        """The same with so many replicas, whatever the load."""
        config = self.config()
        deployment = config["applications"][0]["deployments"][0]
        del deployment["autoscaling_config"]
        deployment["num_replicas"] = replicas
        return config

    def deploy(self, config: dict[str, Any]) -> None:
        """By the command that a user has, which takes seconds to start."""
        file = Path(self._folder) / "config.yaml"
        file.write_text(yaml.safe_dump(config))
        self.run("serve", "deploy", str(file))

    def apply(self, config: dict[str, Any]) -> None:
        """By the API behind that command."""
        httpx2.put(self._api, headers=self._key, json=config, timeout=60).raise_for_status()

    def running(self, replicas: int) -> list[int] | None:
        """Pids of the replicas once just so many answer and none is on its way; else None."""
        try:
            found = self._deployment().get("replicas", [])
        except httpx2.HTTPError:
            return None
        there = [replica["pid"] for replica in found if replica["state"] == "RUNNING"]
        coming = [replica for replica in found if replica["state"] not in ("RUNNING", "STOPPING")]
        return there if len(there) == replicas and not coming else None

    def wait_until_running_are(self, replicas: int, timeout_s: float = 60) -> list[int]:
        return wait_until(lambda: self.running(replicas), timeout_s, self.logs)

    def wait_until_running(self, timeout_s: float = 60) -> None:
        wait_until(lambda: self._application().get("status") == "RUNNING", timeout_s, self.logs)

    def replicas(self) -> set[str]:
        """Ids of the processes that answer, none while one comes or goes; the same: none was restarted."""
        if self._application().get("status") != "RUNNING":  # a deployment is HEALTHY until its change begins
            return set()
        deployment = self._deployment()
        found = _running(deployment) if deployment.get("status") == "HEALTHY" else []
        return {replica["replica_id"] for replica in found}

    def replica_pids(self) -> list[int]:
        return [replica["pid"] for replica in _running(self._deployment())]

    def _application(self) -> dict[str, Any]:
        application: dict[str, Any] = self.details()["applications"].get("digits", {})
        return application

    def _deployment(self) -> dict[str, Any]:
        """Empty for a moment after it was changed."""
        deployment: dict[str, Any] = self._application().get("deployments", {}).get("DigitClassifier", {})
        return deployment

    def pids(self, title: str) -> list[int]:
        """Of this cluster's processes whose title holds it: ray::ServeReplica, gcs_server, bin/haproxy..."""
        mark, found = f"RAY_AUTH_TOKEN={self.environment['RAY_AUTH_TOKEN']}".encode(), []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it ended meanwhile
                command = (process / "cmdline").read_bytes()
                if title.encode() in command.split(b"\0")[0] and mark in (process / "environ").read_bytes():
                    found.append(int(process.name))
        return found

    def details(self) -> dict[str, Any]:
        """What the dashboard's Serve API says."""
        response = httpx2.get(self._api, headers=self._key, timeout=30).raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer

    @property
    def _api(self) -> str:
        return f"{self.environment['RAY_DASHBOARD_ADDRESS']}/api/serve/applications/"

    @property
    def _key(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.environment['RAY_AUTH_TOKEN']}"}

    def logs(self) -> str:
        files = sorted(Path(self._folder).glob("session_latest/logs/serve/replica_*.log"))
        return "\n".join(file.read_text()[-3000:] for file in files)

    def ready(self) -> dict[str, Any] | None:
        try:
            response = httpx2.get(f"{self.url}/readyz", timeout=5)
        except httpx2.TransportError:
            return None
        return response.json() if response.status_code == 200 else None


def _running(deployment: dict[str, Any]) -> list[dict[str, Any]]:
    return [replica for replica in deployment.get("replicas", []) if replica["state"] == "RUNNING"]
