"""The CPU time of a request in microseconds: its parts, and how the model's share grows with the batch.

    python -m benchmarks.cost            # writes docs/benchmarks/cost.json, which docs/scaling.md quotes

The app and the decoding of a 28x28 PNG are timed in this process. The operating system counts the CPU time of
replica and HAProxy under load, for each of benchmarks.bodies. What remains of the replica's time without the
app and the model is that of Ray Serve and the HTTP server.
"""

import asyncio
import json
import re
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np

from benchmarks.bodies import SMALL, bodies
from benchmarks.circumstances import circumstances
from digits.http.app import create_api
from digits.inference.classifier import Classifier
from digits.inference.settings import ServeSettings
from digits.inference.source import PROJECT
from digits.models.runtime import DigitModel
from digits.task import CLASSES, SIDE, Images, ModelVersion, Scores
from digits.vision.golden import golden_digits
from digits.vision.limits import MAX_PIXELS
from digits.vision.reading import read_file
from testkit.cluster import LocalCluster, serve_env
from testkit.encodings import Body, image_file
from testkit.fakes import predictor_of
from testkit.load import closed_loop
from testkit.models import load_model
from testkit.processes import cpu_seconds

OUTPUT = PROJECT / "docs" / "benchmarks" / "cost.json"
SETTINGS = ServeSettings(model_uri="models/starter")
PICTURE = image_file(golden_digits()[0][7])
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
TOGETHER, ROUNDS, SECONDS = 16, 30, 5
# More photos at once would be refused: too much decoding would wait.
SMALL_CONNECTIONS, CONNECTIONS = 64, 16


class Free:
    """A model that takes no time, so that a request costs what the app costs."""

    reject_below: float | None = None
    says_is_digit = False

    def preprocessing_difference(self) -> str | None:
        return None

    def expected_seconds(self, batch_size: int) -> float:
        return 0.0

    def predict(self, images: Images) -> Scores:
        return np.full((len(images), CLASSES), 1 / CLASSES, np.float32)


def microseconds(call: Callable[[], object], times: int = 200) -> float:
    """Returns the time of one call, the median over rounds."""

    def once() -> float:
        start = time.perf_counter()
        for _ in range(times):
            call()
        return (time.perf_counter() - start) / times * 1e6

    return statistics.median(once() for _ in range(ROUNDS))


def model_times(model: DigitModel) -> dict[int, float]:
    images = np.resize(golden_digits()[0], (SIZES[-1], SIDE, SIDE))
    return {size: microseconds(lambda: model.predict(images[:size]), times=20) for size in SIZES}  # noqa: B023


async def app_time() -> float:
    """Returns the time of one request through the app, with decoding and without the model."""
    free = Classifier(SETTINGS, Free(), ModelVersion("digits", "free", "0" * 64))  # type: ignore[arg-type]
    app = create_api(predictor_of(free))
    headers = [(b"content-type", b"image/png"), (b"content-length", str(len(PICTURE)).encode())]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": PICTURE}

    async def send(message: dict[str, Any]) -> None:
        assert message.get("status", 200) == 200

    def ask() -> Awaitable[None]:
        scope = {"type": "http", "method": "POST", "path": "/predict", "headers": headers}
        return app(scope, receive, send)  # type: ignore[arg-type]

    times = []
    for _ in range(ROUNDS * 10):
        start = time.perf_counter()
        await asyncio.gather(*(ask() for _ in range(TOGETHER)))
        times.append((time.perf_counter() - start) / TOGETHER * 1e6)
    return statistics.median(times)


def under_load() -> dict[str, dict[str, float]]:
    """Returns for each body its size, the CPU time of replica and HAProxy, and the requests a second."""
    with LocalCluster(**serve_env()) as cluster:
        cluster.serve(cluster.fixed(1), replicas=1)
        url = f"{cluster.url}/predict"
        return {
            name: of_body(cluster, url, body, SMALL_CONNECTIONS if name == SMALL else CONNECTIONS)
            for name, body in bodies().items()
        }


def of_body(cluster: LocalCluster, url: str, body: Body, connections: int) -> dict[str, float]:
    closed_loop(url, [body], connections, 3)
    (replica,) = cluster.replica_pids()
    haproxy = listener(cluster.port)  # known only now: Ray restarts HAProxy when a replica is added
    before = [cpu_seconds(pid) for pid in (replica, haproxy)]
    start = time.monotonic()
    seen = closed_loop(url, [body], connections, SECONDS)
    requests = seen.rate * (time.monotonic() - start)
    spent = [cpu_seconds(pid) - was for pid, was in zip((replica, haproxy), before, strict=True)]
    return {
        "bytes": len(body.content),
        "replica_us": spent[0] / requests * 1e6,
        "haproxy_us": spent[1] / requests * 1e6,
        "requests_per_s": seen.rate,
        "refused": seen.refused,
    }


def listener(port: int) -> int:
    """Returns the pid of the process that listens on the port."""
    found = subprocess.run(["ss", "-Hltnp", f"sport = :{port}"], capture_output=True, text=True, check=True)
    return int(re.findall(r"pid=(\d+)", found.stdout)[0])


def main() -> None:
    model = load_model(max_batch_size=SIZES[-1])
    times = model_times(model)
    slope, offset = np.polyfit(list(times), list(times.values()), 1, w=1 / np.array(list(times.values())))
    costs = circumstances([]) | {
        "model_us_by_batch": times, "model_a_us": float(offset), "model_b_us": float(slope),
        "decode_us": microseconds(lambda: read_file(PICTURE, MAX_PIXELS)), "app_us": asyncio.run(app_time()),
        "bodies": under_load(),
    }  # fmt: skip
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(costs, indent=1) + "\n")
    print(OUTPUT.read_text())


if __name__ == "__main__":
    main()
