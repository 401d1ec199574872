"""One service on this machine: its ports, its folder, and the environment of its processes.

Only PORT is chosen. Every other port has the same distance from its default as PORT has from 8000, so a
second service is `make serve PORT=8100`.
"""

import json
import os
import secrets
import shutil
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from digits.errors import InvalidSettings, NotReady
from digits.gateway.environment import ROOT, environment
from digits.local.ports import holder, is_free
from digits.local.processes import command_of, marked, using

DEFAULT_PORT, HIGHEST_PORT = 8000, 65535
# The ports of an instance whose PORT is 8000, by the name of the listener.
PORTS = {
    "requests": DEFAULT_PORT,
    "dashboard": 8265,
    "metrics": 8080,
    "HAProxy's statistics": 8404,
    "HAProxy's metrics": 9101,
    "fallback proxy": 8500,
}
HAPROXY_FILES = {
    "CONFIG_FILE_LOC": "haproxy.cfg", "SOCKET_PATH": "admin.sock", "METRICS_SOCKET_PATH": "metrics.sock",
    "SERVER_STATE_BASE": "", "SERVER_STATE_FILE": "server-state",
}  # fmt: skip


def haproxy_files(folder: Path) -> dict[str, str]:
    """Returns the variables that place HAProxy's files in a folder, which no other service may use."""
    return {f"RAY_SERVE_HAPROXY_{name}": f"{folder}/{file}" for name, file in HAPROXY_FILES.items()}


def is_raylet(pid: int) -> bool:
    """Returns whether a process is a raylet; one that has ended is not, even before its parent notices."""
    program, *_ = command_of(pid) or [""]
    return Path(program).name == "raylet"


def _with_root(path: str) -> str:
    """Returns a PYTHONPATH with this project first, where Ray finds the autoscaling policy."""
    others = [one for one in path.split(os.pathsep) if one and one != str(ROOT)]
    return os.pathsep.join([str(ROOT), *others])


@dataclass(frozen=True)
class Instance:
    """The service on a port, whether it runs or not."""

    port: int = DEFAULT_PORT

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ports(self) -> dict[str, int]:
        """The port of each listener, by name."""
        return {name: port + self.port - DEFAULT_PORT for name, port in PORTS.items()}

    @property
    def dashboard(self) -> str:
        return f"http://127.0.0.1:{self.ports['dashboard']}"

    @cached_property
    def folder(self) -> Path:
        """The folder of Ray's and HAProxy's files and the token: one for each user and port, mode 700.

        A socket's path has at most 103 bytes on macOS, whose temporary folder alone has 48.
        """
        temporary = "/tmp" if sys.platform == "darwin" else tempfile.gettempdir()
        return Path(temporary) / f"digits-{os.getuid()}-{self.port}"

    @property
    def ray_folder(self) -> Path:
        """Ray's part of `folder`.

        Ray lets every user write into it and what is below it, so the folder around it must keep them out.
        """
        return self.folder / "ray"

    @cached_property
    def log(self) -> Path:
        """The file of Ray's output, which outlives the service; beside `folder` if out/ is not writable."""
        out = ROOT / "out"
        file = out / f"serve-{self.port}.log"
        first = next(path for path in (file, out, ROOT) if path.exists())
        return file if os.access(first, os.W_OK) else self.folder.with_suffix(".log")

    @property
    def mark(self) -> str:
        """The environment variable by which processes of this service are found."""
        return f"DIGITS_LOCAL={self.folder}"

    @property
    def token_file(self) -> Path:
        return self.folder / "token"

    @property
    def config_file(self) -> Path:
        """The file with the configuration that the service was started with."""
        return self.folder / "config.yaml"

    def started_with(self) -> dict[str, Any]:
        """Returns that configuration. Raises NotReady if there is none, as no service runs then."""
        try:
            config: dict[str, Any] = yaml.safe_load(self.config_file.read_text())
        except (OSError, yaml.YAMLError) as error:
            raise NotReady(f"the configuration of the service cannot be read: {error}") from None
        return config

    def client_environment(self) -> dict[str, str]:
        """Returns the variables with which `serve ...` and `ray ...` reach this service."""
        return {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token_file),
            "RAY_DASHBOARD_ADDRESS": self.dashboard,
            "PYTHONPATH": _with_root(os.environ.get("PYTHONPATH", "")),
        }

    def environment(self, haproxy: bool) -> dict[str, str]:
        """Returns the variables for the service's own processes."""
        name, value = self.mark.split("=", 1)
        return (
            environment(haproxy)
            | self.client_environment()
            | haproxy_files(self.folder / "h")
            | {
                "RAY_SERVE_HAPROXY_STATS_PORT": str(self.ports["HAProxy's statistics"]),
                "RAY_SERVE_HAPROXY_METRICS_PORT": str(self.ports["HAProxy's metrics"]),
                "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(self.ports["fallback proxy"]),
                name: value,
            }
        )

    def running(self) -> list[int]:
        """Returns the pids of this service's processes, except the caller's."""
        return [pid for pid in {*marked(self.mark), *using(self.folder, "ray::")} if pid != os.getpid()]

    def raylet(self) -> int | None:
        """Returns the pid of Ray's process that starts and watches the others; None if it is not found."""
        return next(filter(is_raylet, self.running()), None)

    def runner(self) -> int | None:
        """Returns the pid of the command that started the service, or None if it has ended."""
        try:
            pid = int(json.loads((self.folder / "runner.json").read_text())["pid"])
        except (OSError, ValueError, KeyError):
            return None
        return pid if {"digits", "serve"} <= set(command_of(pid)) else None

    def create(self) -> None:
        """Creates the folder, with a token and the pid of this process."""
        self.remove()
        try:
            self.folder.mkdir(mode=0o700)
        except OSError as error:
            raise InvalidSettings(
                f"the folder {self.folder} cannot be created ({error.strerror}): delete what is there, or "
                "set TMPDIR to a folder of your own"
            ) from None
        (self.folder / "h").mkdir()  # short: the path of HAProxy's socket has at most 97 bytes
        self.token_file.touch(mode=0o600)
        self.token_file.write_text(secrets.token_hex(32))
        (self.folder / "runner.json").write_text(json.dumps({"pid": os.getpid()}))

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def check_ports(self, haproxy: bool) -> None:
        """Raises InvalidSettings for ports out of bounds, and names each that another process holds."""
        needed = {
            k: v for k, v in self.ports.items() if haproxy or ("HAProxy" not in k and k != "fallback proxy")
        }
        highest = max(needed.values())
        if highest > HIGHEST_PORT:
            raise InvalidSettings(
                f"port {self.port} is too high: other ports of the service lie above it, up to {highest}; "
                f"choose at most {HIGHEST_PORT - highest + self.port}"
            )
        try:
            taken = [
                f"port {port} ({name}) is held by {holder(port)}"
                for name, port in needed.items()
                if not is_free(port)
            ]
        except PermissionError:
            raise InvalidSettings(
                f"port {self.port}, or one that lies as far from its default, is for root only; choose "
                f"another, such as PORT={DEFAULT_PORT + 100}, and put a proxy in front"
            ) from None
        if taken:
            raise InvalidSettings(
                "; ".join(taken) + f": stop it, or choose other ports with PORT={self.port + 100}"
            )
