"""What a request costs, in microseconds of CPU: where it goes, and how the model's time grows with the batch.

    python -m benchmarks.cost            # writes docs/benchmarks/cost.json, which docs/scaling.md quotes

The app and the decoding are timed in this process; what the replica and HAProxy spend is the operating
system's account of them under load from 64 connections.  What is left of the replica is Ray Serve and the
HTTP server.
"""

import asyncio
import json
import os
import re
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.load import closed_loop
from digits.http.app import create_api
from digits.inference.classifier import Classifier
from digits.inference.settings import ServeSettings
from digits.inference.source import PROJECT
from digits.models.runtime import DigitModel
from digits.task import Images, ModelVersion, Probabilities
from digits.vision.decoding import MAX_PIXELS
from digits.vision.reading import read_file
from digits.vision.golden import golden_digits
from testkit.cluster import LocalCluster, serve_env, wait_until
from testkit.encodings import image_file
from testkit.fakes import predictor_of
from testkit.models import load_model

OUTPUT = PROJECT / "docs" / "benchmarks" / "cost.json"
SETTINGS = ServeSettings(model_uri="models/starter")
PICTURE = image_file(golden_digits()[0][7])
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
TOGETHER, ROUNDS, SECONDS = 16, 30, 5


class Free:
    """A model that costs nothing, so that what remains is the app."""

    def expected_seconds(self, batch_size: int) -> float:
        return 0.0

    def predict(self, images: Images) -> Probabilities:
        return np.full((len(images), 10), 0.1, np.float32)


def microseconds(call: Callable[[], object], times: int = 200) -> float:
    """Of one call: the median of rounds."""

    def once() -> float:
        start = time.perf_counter()
        for _ in range(times):
            call()
        return (time.perf_counter() - start) / times * 1e6

    return statistics.median(once() for _ in range(ROUNDS))


def model_times(model: DigitModel) -> dict[int, float]:
    images = np.resize(golden_digits()[0], (SIZES[-1], 28, 28))
    return {size: microseconds(lambda: model.predict(images[:size]), times=20) for size in SIZES}  # noqa: B023


async def app_time() -> float:
    """Of one request through the app, with decoding and without the model."""
    app = create_api(predictor_of(Classifier(SETTINGS, Free(), ModelVersion("digits", "free", "0" * 64))))  # type: ignore[arg-type]
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


def under_load() -> dict[str, float]:
    """CPU of replica and HAProxy for each request, and how many requests a second that was."""
    with LocalCluster(**serve_env()) as cluster:
        cluster.deploy(cluster.fixed(1))
        wait_until(cluster.ready, timeout_s=60, on_timeout=cluster.logs)
        url = f"{cluster.url}/predict"
        closed_loop(url, PICTURE, "image/png", 64, 3)
        (replica,) = cluster.replica_pids()
        haproxy = listener(cluster.port)  # only now: it is started anew when a replica comes
        before = [cpu_seconds(pid) for pid in (replica, haproxy)]
        start = time.monotonic()
        seen = closed_loop(url, PICTURE, "image/png", 64, SECONDS)
        requests = seen.rate * (time.monotonic() - start)
        spent = [cpu_seconds(pid) - was for pid, was in zip((replica, haproxy), before, strict=True)]
    return {
        "replica_us": spent[0] / requests * 1e6,
        "haproxy_us": spent[1] / requests * 1e6,
        "requests_per_s": seen.rate,
    }


def listener(port: int) -> int:
    found = subprocess.run(["ss", "-Hltnp", f"sport = :{port}"], capture_output=True, text=True, check=True)
    return int(re.findall(r"pid=(\d+)", found.stdout)[0])


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    model = load_model(max_batch_size=SIZES[-1])
    times = model_times(model)
    slope, offset = np.polyfit(list(times), list(times.values()), 1, w=1 / np.array(list(times.values())))
    costs = {
        "model_us_by_batch": times, "model_a_us": float(offset), "model_b_us": float(slope),
        "decode_us": microseconds(lambda: read_file(PICTURE, MAX_PIXELS)), "app_us": asyncio.run(app_time()),
        **under_load(),
    }  # fmt: skip
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(costs, indent=1) + "\n")
    print(OUTPUT.read_text())


if __name__ == "__main__":
    main()
