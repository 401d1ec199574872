"""One service while it runs: started, checked, measured, and ended with all its processes."""

import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2

from benchmarks.services import PORT, ROOT, Service
from digits.local.processes import marked
from digits.task import Pixels
from digits.vision.golden import golden_digits
from testkit.cluster import LocalCluster, wait_until
from testkit.encodings import Body
from testkit.processes import end_marked, proportional_mb, resident_mb

START_WITHIN_S, ANSWER_WITHIN_S = 120, 120


@dataclass(frozen=True)
class Memory:
    process_mb: float  # resident, of the largest process that answers: a replica of Ray Serve, a worker
    all_mb: float  # of all processes; a page that several of them share counts once


@dataclass(frozen=True)
class Running:
    service: Service
    address: str
    mark: str  # a variable NAME=VALUE that each of its processes has in its environment
    start_s: float = 0  # from the command to the first right answer

    @property
    def url(self) -> str:
        return f"{self.address}{self.service.form.path}"

    def ask(self, pixels: Pixels) -> list[float]:
        return self.send(self.service.form.body(pixels))

    def send(self, body: Body) -> list[float]:
        """Returns the ten probabilities of the answer."""
        headers = {"Content-Type": body.content_type or ""}
        answer = httpx2.post(self.url, content=body.content, headers=headers, timeout=ANSWER_WITHIN_S)
        return self.service.form.probabilities(answer.raise_for_status().json())

    def answers(self) -> bool:
        """Returns whether it has started."""
        with suppress(httpx2.HTTPError):
            return bool(self.ask(golden_digits()[0][0]))
        return False

    def golden_digits_read(self) -> int:
        images, labels = golden_digits()
        rows = [self.ask(pixels) for pixels in images]
        return sum(row.index(max(row)) == label for row, label in zip(rows, labels.tolist(), strict=True))

    def memory(self) -> Memory:
        answering = marked(self.mark, "ray::ServeReplica" if self.service.replicas else "")
        return Memory(max(map(resident_mb, answering)), sum(map(proportional_mb, marked(self.mark))))


@contextmanager
def running(service: Service) -> Iterator[Running]:
    """Yields the service once it answers, and with Ray Serve once all its replicas run."""
    start = time.monotonic()
    with _cluster(service, start) if service.replicas else _program(service, start) as run:
        yield run


@contextmanager
def _cluster(service: Service, start: float) -> Iterator[Running]:
    with LocalCluster(**service.environment) as cluster:
        cluster.apply(cluster.fixed(service.replicas))
        run = _started(Running(service, cluster.url, cluster.mark), start, cluster.logs)
        cluster.wait_until_running_are(service.replicas, START_WITHIN_S)
        yield run


@contextmanager
def _program(service: Service, start: float) -> Iterator[Running]:
    token = secrets.token_hex(32)
    mark = f"DIGITS_BENCHMARK={token}"
    with tempfile.TemporaryDirectory(prefix="digits-", ignore_cleanup_errors=True) as folder:
        environment = os.environ | {
            "PATH": f"{service.virtual_environment / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DIGITS_BENCHMARK": token,
            **{key: value.format(folder=folder) for key, value in service.environment.items()},
        }
        command = [part.format(folder=folder) for part in service.command]
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
            )
        try:
            address = f"http://127.0.0.1:{PORT}"
            yield _started(Running(service, address, mark), start, lambda: log.read_text(errors="replace"))
        finally:
            end_marked(mark)
            process.wait()


def _started(starting: Running, start: float, read_log: Callable[[], str]) -> Running:
    """Returns the service with its start time once it answers; fails as soon as it has ended by itself."""
    name = starting.service.name

    def answers() -> bool:
        if not marked(starting.mark):
            raise RuntimeError(f"{name} ended by itself:\n{read_log()[-3000:]}")
        return starting.answers()

    wait_until(answers, START_WITHIN_S, lambda: f"{name} does not answer:\n{read_log()[-3000:]}")
    return replace(starting, start_s=time.monotonic() - start)
