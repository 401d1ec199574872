"""A Ray cluster of one node on loopback with the service in it, started by Ray's own commands."""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx2
import yaml

from digits.gateway.environment import HAPROXY, RAYS_PROXY, read_serve_env
from digits.local.instance import haproxy_files
from digits.local.processes import marked
from testkit.ports import free_port
from testkit.processes import end_marked

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
Seen = TypeVar("Seen")


def wait_until(
    look: Callable[[], Seen | None], timeout_s: float, on_timeout: Callable[[], str] = str
) -> Seen:
    """Returns the first true value of `look`; past the timeout it fails with `on_timeout`'s text."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if seen := look():
            return seen
        time.sleep(0.1)
    raise TimeoutError(f"not true within {timeout_s} s: {on_timeout()}")


def serve_env() -> dict[str, str]:
    """Returns the variables of `make serve`, with free ports for HAProxy's statistics."""
    return read_serve_env() | {
        **HAPROXY,
        "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
    }


def proxy_env() -> dict[str, str]:
    """Returns the variables of `make serve HAPROXY=0`: Ray's own proxy in front."""
    return read_serve_env() | RAYS_PROXY


ENVIRONMENTS = {"haproxy": serve_env, "rays-proxy": proxy_env}  # by the proxy in front of the service


def serve_config() -> dict[str, Any]:
    """Returns serve_config.yaml, to change in place."""
    return dict(yaml.safe_load((ROOT / "serve_config.yaml").read_text()))


def deployment_of(config: dict[str, Any]) -> dict[str, Any]:
    """Returns the one deployment of a Serve configuration, to change in place."""
    deployment: dict[str, Any] = config["applications"][0]["deployments"][0]
    return deployment


class LocalCluster:
    """Behind HAProxy with `serve_env()`, behind Ray's own proxy with `proxy_env()`.

    Processes are found and ended by the token, which each has in its environment.
    """

    cpus = 4  # that Ray counts

    def __init__(self, **environment: str) -> None:
        self._folder = tempfile.mkdtemp(prefix="digits-")  # short: Ray's socket paths are limited
        self._dashboard = free_port()
        self._api = f"http://127.0.0.1:{self._dashboard}/api/serve/applications/"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._gcs = free_port()
        self._metrics = free_port()
        self.metrics_url = f"http://127.0.0.1:{self._metrics}/metrics"
        token = secrets.token_hex(32)
        self._key = {"Authorization": f"Bearer {token}"}
        self.mark = f"RAY_AUTH_TOKEN={token}"
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("RAY_SERVE_")}
        self.environment = inherited | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": token,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ADDRESS": f"127.0.0.1:{self._gcs}",
            "RAY_DASHBOARD_ADDRESS": f"http://127.0.0.1:{self._dashboard}",
            # Ray's default is a fixed port with SO_REUSEPORT, which two clusters on one machine would share.
            "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(free_port()),
            "PYTHONPATH": str(ROOT),
            "RAY_worker_niceness": "0",  # with Ray's 15 any other work on the machine starves the replicas
            **haproxy_files(Path(self._folder) / "haproxy"),
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
            f"--dashboard-port={self._dashboard}", f"--temp-dir={self._folder}", f"--num-cpus={self.cpus}",
            f"--dashboard-agent-listen-port={free_port()}", f"--metrics-export-port={self._metrics}",
            f"--ray-client-server-port={free_port()}", "--disable-usage-stats",
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        end_marked(self.mark)  # `ray stop` would end every cluster of the machine
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, *command: str) -> str:
        """Returns the output of a program of the virtual environment, which must exit with 0."""
        result = subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def config(self, **user_config: Any) -> dict[str, Any]:
        """Returns serve_config.yaml on this cluster's port, with changes to user_config."""
        config = serve_config()
        config["http_options"]["port"] = self.port
        deployment_of(config)["user_config"] |= user_config
        return config

    def fixed(self, replicas: int) -> dict[str, Any]:
        """Returns the configuration with this number of replicas, without autoscaling."""
        config = self.config()
        deployment = deployment_of(config)
        del deployment["autoscaling_config"]
        deployment["num_replicas"] = replicas
        return config

    def deploy(self, config: dict[str, Any]) -> None:
        """Applies a configuration by `serve deploy`, which takes seconds to start."""
        file = Path(self._folder) / "config.yaml"
        file.write_text(yaml.safe_dump(config))
        self.run("serve", "deploy", str(file))

    def apply(self, config: dict[str, Any]) -> None:
        """Applies a configuration by the HTTP API behind `serve deploy`."""
        httpx2.put(self._api, headers=self._key, json=config, timeout=60).raise_for_status()

    def serve(self, config: dict[str, Any], replicas: int) -> Self:
        """Applies a configuration and returns once this number of replicas runs and one answers /readyz."""
        self.apply(config)
        wait_until(lambda: len(self.replicas()) == replicas, timeout_s=120, on_timeout=self.logs)
        wait_until(self.ready, timeout_s=60, on_timeout=self.logs)
        return self

    def running(self, replicas: int) -> list[int] | None:
        """Returns the pids of the running replicas if there are this many and none is starting, else None."""
        try:
            found = self._deployment().get("replicas", [])
        except httpx2.HTTPError:
            return None
        there = [replica["pid"] for replica in found if replica["state"] == "RUNNING"]
        coming = [replica for replica in found if replica["state"] not in ("RUNNING", "STOPPING")]
        return there if len(there) == replicas and not coming else None

    def wait_until_running_are(self, replicas: int, timeout_s: float = 60) -> list[int]:
        """Returns the pids of the replicas once this many run and none is starting."""
        return wait_until(lambda: self.running(replicas), timeout_s, self.logs)

    def wait_until_running(self, timeout_s: float = 60) -> None:
        wait_until(lambda: self._application().get("status") == "RUNNING", timeout_s, self.logs)

    def replicas(self) -> set[str]:
        """Returns the ids of the running replicas, none while one starts or stops; a start makes a new id."""
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
        """Returns the deployment's state; {} for a moment after a change."""
        deployment: dict[str, Any] = self._application().get("deployments", {}).get("DigitClassifier", {})
        return deployment

    def pids(self, title: str) -> list[int]:
        """Returns this cluster's processes by a part of their title: ray::ServeReplica, bin/haproxy."""
        return marked(self.mark, title)

    def details(self) -> dict[str, Any]:
        """Returns the state of all applications from the dashboard's Serve API."""
        response = httpx2.get(self._api, headers=self._key, timeout=30).raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer

    def logs(self) -> str:
        """Returns the last lines of each replica's log."""
        files = sorted(Path(self._folder).glob("session_latest/logs/serve/replica_*.log"))
        return "\n".join(file.read_text()[-3000:] for file in files)

    def ready(self) -> dict[str, Any] | None:
        """Returns the body of /readyz, or None unless a replica is ready."""
        try:
            response = httpx2.get(f"{self.url}/readyz", timeout=5)
        except httpx2.TransportError:
            return None
        return response.json() if response.status_code == 200 else None


def _running(deployment: dict[str, Any]) -> list[dict[str, Any]]:
    return [replica for replica in deployment.get("replicas", []) if replica["state"] == "RUNNING"]
