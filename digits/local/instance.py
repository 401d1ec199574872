"""One service on this machine: its ports, its folder, and the environment of its processes.

PORT is the only port to choose.  The others lie as far from their defaults as PORT from 8000, so a second
service is `make serve PORT=8100`.
"""

import json
import os
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from digits.errors import InvalidSettings
from digits.gateway.environment import ROOT, environment
from digits.local.ports import holder, is_free
from digits.local.processes import marked, using

DEFAULT_PORT = 8000
# The ports of an instance whose PORT is 8000, by what listens there.
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


@dataclass(frozen=True)
class Instance:
    port: int = DEFAULT_PORT

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ports(self) -> dict[str, int]:
        """Each port, by what listens there."""
        return {name: port + self.port - DEFAULT_PORT for name, port in PORTS.items()}

    @property
    def dashboard(self) -> str:
        return f"http://127.0.0.1:{self.ports['dashboard']}"

    @cached_property
    def folder(self) -> Path:
        """Ray's and HAProxy's files and the token: one folder for each user and port, closed to others."""
        return Path(tempfile.gettempdir()) / f"digits-{os.getuid()}-{self.port}"

    @cached_property
    def log(self) -> Path:
        """Ray's output, which outlives the service; beside `folder` for a user who may not write out/."""
        out = ROOT / "out"
        file = out / f"serve-{self.port}.log"
        first = next(path for path in (file, out, ROOT) if path.exists())
        return file if os.access(first, os.W_OK) else self.folder.with_suffix(".log")

    @property
    def mark(self) -> str:
        """The variable that each process of this service has in its environment."""
        return f"DIGITS_LOCAL={self.folder}"

    @property
    def token_file(self) -> Path:
        return self.folder / "token"

    def client_environment(self) -> dict[str, str]:
        """The variables with which `serve ...` and `ray ...` reach this service."""
        return {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token_file),
            "RAY_DASHBOARD_ADDRESS": self.dashboard,
        }

    def environment(self, haproxy: bool) -> dict[str, str]:
        """The variables of the service's own processes, without those that are set already."""
        name, value = self.mark.split("=", 1)
        return (
            environment(haproxy)
            | self.client_environment()
            | {f"RAY_SERVE_HAPROXY_{key}": f"{self.folder}/h/{file}" for key, file in HAPROXY_FILES.items()}
            | {
                "RAY_SERVE_HAPROXY_STATS_PORT": str(self.ports["HAProxy's statistics"]),
                "RAY_SERVE_HAPROXY_METRICS_PORT": str(self.ports["HAProxy's metrics"]),
                "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(self.ports["fallback proxy"]),
                name: value,
            }
        )

    def running(self) -> list[int]:
        """The pids of this service's processes, the caller's excepted."""
        return [pid for pid in {*marked(self.mark), *using(self.folder, "ray::")} if pid != os.getpid()]

    def runner(self) -> int | None:
        """The pid of the command that started the service, None if it has ended."""
        try:
            pid = int(json.loads((self.folder / "runner.json").read_text())["pid"])
            command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        except (OSError, ValueError, KeyError):
            return None
        return pid if {"digits", "serve"} <= set(command) else None

    def create(self) -> None:
        """Makes an empty folder, with a token and the pid of this process."""
        self.remove()
        try:
            self.folder.mkdir(mode=0o700)
        except OSError as error:
            raise InvalidSettings(
                f"the folder {self.folder} cannot be made ({error.strerror}): remove what is there, or set "
                "TMPDIR to a folder of your own"
            ) from None
        (self.folder / "h").mkdir()  # short: the path of HAProxy's socket has at most 97 bytes
        self.token_file.touch(mode=0o600)
        self.token_file.write_text(secrets.token_hex(32))
        (self.folder / "runner.json").write_text(json.dumps({"pid": os.getpid()}))

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def check_ports(self, haproxy: bool) -> None:
        """Raises InvalidSettings with one sentence for each port that another process holds."""
        needed = {
            k: v for k, v in self.ports.items() if haproxy or ("HAProxy" not in k and k != "fallback proxy")
        }
        taken = [
            f"port {port} ({name}) is held by {holder(port)}"
            for name, port in needed.items()
            if not is_free(port)
        ]
        if taken:
            raise InvalidSettings(
                "; ".join(taken) + f": end it, or choose other ports with PORT={self.port + 100}"
            )
