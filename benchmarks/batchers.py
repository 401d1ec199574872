"""Compares batchers, and places where the model runs: one service in five variants, side by side, with wrk.

    RAY_SERVE_ENABLE_HA_PROXY=1 RAY_SERVE_THROUGHPUT_OPTIMIZED=1 python -m benchmarks.batchers

The batcher is ours or `@serve.batch(batch_wait_timeout_s=0)`; the model runs on the event loop, in a thread,
or in either by its expected time; as it is, and slowed down by 20 ms.  Rounds interleave, so that a drift of
the machine's speed affects all alike; each figure is the median over the rounds.
"""

import asyncio
import statistics
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from ray import serve
from starlette.applications import Starlette

from digits.http.app import create_api
from digits.inference.batcher import Answer, Batcher, IsAbandoned
from digits.inference.classifier import ON_LOOP_S, Classifier
from digits.inference.settings import ServeSettings
from digits.task import Images, ModelVersion, Scores
from digits.vision.golden import golden_digits
from testkit.encodings import ONE
from testkit.fakes import predictor_of
from testkit.load import closed_loop
from testkit.models import load_model

ROUNDS, SECONDS = 3, 3
CONNECTIONS = (1, 16, 64)
SETTINGS = ServeSettings(model_uri="models/starter")
PICTURE = ONE["png"](golden_digits()[0][7])


@serve.deployment(max_ongoing_requests=256, ray_actor_options={"num_cpus": 0})
@serve.ingress()
class Variant(Classifier):
    """A Classifier on another batcher."""

    def __init__(self, batcher: str, place: str, delay_s: float) -> None:
        self._model = load_model(max_batch_size=SETTINGS.max_batch_size)
        self.settings, self.version = SETTINGS, ModelVersion(batcher, place, "0" * 64)
        self._delay_s = delay_s
        self._thread = ThreadPoolExecutor(1)
        self._on_loop_s = {"loop": 3600.0, "thread": 0.0, "by cost": ON_LOOP_S}[place]
        self._ours = batcher == "ours"
        self._batcher = Batcher(
            self._predict, max_batch_size=SETTINGS.max_batch_size, max_queued_images=10_000, timeout_s=60
        )

    def __serve_build_asgi_app__(self) -> Starlette:
        return create_api(predictor_of(self))

    async def classify(
        self, images: Images, is_abandoned: IsAbandoned | None = None, deadline: float | None = None
    ) -> Answer:
        if self._ours:
            return await self._batcher.submit(images)
        row: Scores = await self._serve_batch(images[0])
        return Answer(row[np.newaxis], 0, 0, 1)

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0)
    async def _serve_batch(self, images: list[Images]) -> list[Scores]:
        return list(await self._predict(np.stack(images)))

    async def _predict(self, batch: Images) -> Scores:
        if self._model.expected_seconds(len(batch)) + self._delay_s <= self._on_loop_s:
            return self._blocking(batch)
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._blocking, batch)

    def _blocking(self, batch: Images) -> Scores:
        if self._delay_s:
            time.sleep(self._delay_s)
        return self._model.predict(batch)


def measure(url: str, connections: int) -> tuple[float, float, float]:
    """Returns requests per second, p50 and p99 in ms; fails if a request failed."""
    seen = closed_loop(url, [PICTURE], connections, SECONDS)
    assert (seen.refused, seen.lost) == (0, 0), seen
    return seen.rate, seen.p50_ms, seen.p99_ms


def main() -> None:
    variants = {
        (batcher, place, delay_ms): f"/{batcher}-{place.replace(' ', '-')}-{delay_ms}"
        for batcher, place in (
            ("ours", "by cost"),
            ("ours", "loop"),
            ("ours", "thread"),
            ("serve.batch", "loop"),
            ("serve.batch", "thread"),
        )
        for delay_ms in (0, 20)
    }
    for (batcher, place, delay_ms), prefix in variants.items():
        application = Variant.bind(batcher, place, delay_ms / 1000)  # type: ignore[attr-defined]
        serve.run(application, name=prefix[1:], route_prefix=prefix)
    figures = defaultdict(list)
    for _ in range(ROUNDS):
        for connections in CONNECTIONS:
            for variant, prefix in variants.items():
                url = f"http://127.0.0.1:8000{prefix}/predict"
                figures[variant, connections].append(measure(url, connections))
    print("| model | batcher | model call | connections | requests/s | p50 ms | p99 ms |")
    print("|---|---|---|---|---|---|---|")
    for delay_ms in (0, 20):
        for connections in CONNECTIONS:
            for variant in variants:
                if variant[2] == delay_ms:
                    columns = zip(*figures[variant, connections], strict=True)
                    rate, p50, p99 = (statistics.median(column) for column in columns)
                    place = f"+{delay_ms} ms | {variant[0]} | {variant[1]} | {connections}"
                    print(f"| {place} | {rate:.0f} | {p50:.2f} | {p99:.1f} |")
    serve.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
