"""The container engine, by its command line.  All that tests create has a label, and is removed by it."""

import json
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
SERVE, TRAIN = f"digits-serve:{VERSION}", f"digits-train:{VERSION}"
LABEL = "digits-test"
# As a pod of kuberay/: a read-only root, no capabilities, no privilege escalation.
RESTRICTED = (
    "--read-only",
    "--user",
    "1000:1000",
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges",
)


def docker(*arguments: str, timeout_s: float = 120, text: str = "") -> str:
    """Returns the output of a command; an error shows it."""
    done = subprocess.run(
        ["docker", *arguments], input=text, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


def answers() -> bool:
    try:
        found = subprocess.run(["docker", "info"], capture_output=True, timeout=30, check=False)
    except FileNotFoundError:
        return False
    return found.returncode == 0


def remove_containers() -> None:
    if containers := docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}").split():
        docker("rm", "--force", "--volumes", *containers)


def clean_up() -> None:
    remove_containers()
    if networks := docker("network", "ls", "--quiet", "--filter", f"label={LABEL}").split():
        docker("network", "rm", *networks)


class Container:
    def __init__(self, *arguments: str) -> None:
        self.id = docker("run", "--detach", "--label", LABEL, *arguments)

    def execute(self, *command: str, timeout_s: float = 120) -> str:
        return docker("exec", self.id, *command, timeout_s=timeout_s)

    def inspect(self) -> dict[str, Any]:
        (found,) = json.loads(docker("inspect", self.id))
        return dict(found)

    @property
    def address(self) -> str:
        networks: dict[str, Any] = self.inspect()["NetworkSettings"]["Networks"]
        return str(next(iter(networks.values()))["IPAddress"])

    @property
    def is_running(self) -> bool:
        return bool(self.inspect()["State"]["Running"])

    def kill(self, signal: str = "KILL") -> None:
        docker("kill", "--signal", signal, self.id)

    def stop(self, grace_s: int) -> int:
        """Sends SIGTERM, then SIGKILL after the grace period, and returns the exit code."""
        docker("stop", "--time", str(grace_s), self.id, timeout_s=grace_s + 60)
        return int(self.inspect()["State"]["ExitCode"])

    def remove(self) -> None:
        docker("rm", "--force", "--volumes", self.id)

    def logs(self) -> str:
        done = subprocess.run(
            ["docker", "logs", "--tail", "60", self.id],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout + done.stderr

    def memory_mb(self) -> float:
        """Returns the memory of its processes, without the page cache."""
        text = docker("stats", "--no-stream", "--format", "{{.MemUsage}}", self.id).split(" /")[0]
        number, unit = text.rstrip("KMGiB"), text.lstrip("0123456789.")
        return float(number) * {"KiB": 1 / 1024, "MiB": 1, "GiB": 1024}[unit]


@contextmanager
def container(*arguments: str) -> Iterator[Container]:
    made = Container(*arguments)
    try:
        yield made
    finally:
        made.remove()


def image_mb(image: str) -> float:
    return int(docker("image", "inspect", "--format", "{{.Size}}", image)) / 1e6
