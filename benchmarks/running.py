"""One service while it runs: started, checked, watched, and ended with all its processes."""

import os
import re
import secrets
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import yaml

from benchmarks.services import PORT, ROOT, Service
from digits.task import Pixels
from digits.vision.golden import golden_digits

MARK = "DIGITS_BENCHMARK"  # an environment variable that every process of a service inherits
START_WITHIN_S, STOP_WITHIN_S, ANSWER_WITHIN_S = 120, 10, 120


@dataclass(frozen=True)
class Memory:
    process_mb: float  # resident, of the largest process that answers: a replica of Ray Serve, a worker
    all_mb: float  # of all processes; a page that several share counts once


@dataclass(frozen=True)
class Running:
    service: Service
    token: str
    start_s: float = 0  # from the command to the first right answer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{PORT}{self.service.form.path}"

    def ask(self, pixels: Pixels) -> list[float]:
        form = self.service.form
        headers = {"Content-Type": form.content_type}
        answer = httpx2.post(self.url, content=form.body(pixels), headers=headers, timeout=ANSWER_WITHIN_S)
        return form.probabilities(answer.raise_for_status().json())

    def golden_digits_read(self) -> int:
        images, labels = golden_digits()
        rows = [self.ask(pixels) for pixels in images]
        return sum(row.index(max(row)) == label for row, label in zip(rows, labels.tolist(), strict=True))

    def memory(self) -> Memory:
        name = b"ray::ServeReplica" if self.service.replicas else b""
        found = [(pid.joinpath("cmdline"), _sizes_kb(pid)) for pid in processes(self.token)]
        answering = [sizes["Rss"] for command, sizes in found if command.read_bytes().startswith(name)]
        return Memory(max(answering) / 1024, sum(sizes["Pss"] for _, sizes in found) / 1024)


@contextmanager
def running(service: Service) -> Iterator[Running]:
    token = secrets.token_hex(32)
    with tempfile.TemporaryDirectory(prefix="digits-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        started = time.monotonic()
        process = _start(service, folder, token)
        try:
            starting = Running(service, token)
            first, _ = golden_digits()

            def answers() -> bool:
                if process.poll() is not None:
                    raise RuntimeError(f"{service.name} ended by itself:\n{_log(folder)[-3000:]}")
                with suppress(httpx2.HTTPError):
                    return bool(starting.ask(first[0]))
                return False

            _wait_until(answers, service, folder)
            start_s = time.monotonic() - started
            if service.replicas:
                _wait_until(lambda: _ready_replicas(folder, token) == service.replicas, service, folder)
            yield Running(service, token, start_s)
        finally:
            _stop(process, token)


def _start(service: Service, folder: Path, token: str) -> subprocess.Popen[bytes]:
    if service.replicas:
        config: dict[str, Any] = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
        config["http_options"]["port"] = PORT
        deployment = config["applications"][0]["deployments"][0]
        deployment.pop("autoscaling_config", None)
        deployment["num_replicas"] = service.replicas
        (folder / "serve_config.yaml").write_text(yaml.safe_dump(config))
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    environment = inherited | {
        "PATH": f"{service.virtual_environment / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RAY_TMPDIR": str(folder),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
        "RAY_USAGE_STATS_ENABLED": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        MARK: token,
        **{key: value.format(folder=folder) for key, value in service.environment.items()},
    }
    command = [part.format(folder=folder) for part in service.command]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )


def _stop(process: subprocess.Popen[bytes], token: str) -> None:
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_WITHIN_S)
    while left := processes(token):
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(int(pid.name), signal.SIGKILL)
        process.poll()
        time.sleep(0.1)


def processes(token: str) -> list[Path]:
    """Their folders in /proc."""
    mark, found = f"{MARK}={token}".encode(), []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in environment.read_bytes().split(b"\0"):
                found.append(environment.parent)
    return found


def _sizes_kb(process: Path) -> dict[str, int]:
    rollup = (process / "smaps_rollup").read_text()
    return {key: int(value) for key, value in re.findall(r"^(Rss|Pss): +(\d+) kB", rollup, re.MULTILINE)}


def _ready_replicas(folder: Path, token: str) -> int:
    """As Ray's dashboard has it, whose address Ray logs."""
    (dashboard,) = re.findall(r"dashboard at \S*?(http://[\d.:]+)", _log(folder))[:1]
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx2.get(f"{dashboard}/api/serve/applications/", headers=headers, timeout=ANSWER_WITHIN_S)
    (deployment,) = answer.raise_for_status().json()["applications"]["digits"]["deployments"].values()
    return sum(replica["state"] == "RUNNING" for replica in deployment["replicas"])


def _wait_until(true: Callable[[], bool], service: Service, folder: Path) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{service.name} is not ready in {START_WITHIN_S} s:\n{_log(folder)[-3000:]}")
        time.sleep(0.05)


def _log(folder: Path) -> str:
    return (folder / "log").read_text(errors="replace")
