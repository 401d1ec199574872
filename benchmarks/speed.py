"""Compares the service's speed with that of decoding alone: `python -m benchmarks.speed`

For each body, in each round, it measures decoding by Pillow in one thread of this process (JPEGs in draft
mode), decoding and reading in that thread, the service with 16 connections and with one, and the service when
its replica has two CPUs. Finally it sends the bodies of the mix in turn and reads the replica's memory. Needs
wrk.
"""

import argparse
import io
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image
from tqdm import tqdm

from benchmarks.bodies import SMALL, bodies, mix
from benchmarks.circumstances import circumstances
from benchmarks.tables import number, table
from digits.inference.source import PROJECT
from digits.vision.limits import MAX_PIXELS
from digits.vision.reading import read_file
from testkit.cluster import LocalCluster, deployment_of, serve_env
from testkit.load import closed_loop
from testkit.processes import resident_mb

OUTPUT = PROJECT / "docs" / "benchmarks" / "speed.json"
CONNECTIONS = 16
ALONE_S, SECONDS, MIX_SECONDS = 0.5, 3, 10


@dataclass(frozen=True)
class Speed:
    """Requests or pictures a second, and ms."""

    decoding: float
    reading: float
    served: float
    p50_ms: float  # of a lone connection
    served_by_2_cpus: float

    @property
    def share(self) -> float:
        """The service's rate as a share of decoding alone."""
        return self.served / self.decoding


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, default=OUTPUT, help="file for the figures")
    arguments = parser.parse_args()
    rounds: dict[str, list[Speed]] = {name: [] for name in bodies()}
    with LocalCluster(**serve_env()) as cluster:
        for _ in tqdm(range(arguments.rounds), unit="round"):
            for name, speed in one_round(cluster).items():
                rounds[name].append(speed)
        start(cluster, cpus=1)
        mixed = closed_loop(f"{cluster.url}/predict", mix(), 64, MIX_SECONDS)
        (replica,) = cluster.replica_pids()
        mixture = asdict(mixed) | {"replica_mb": resident_mb(replica)}
    medians = {name: median_of(speeds) for name, speeds in rounds.items()}
    figures = circumstances([]) | {
        "speeds": {name: asdict(speed) for name, speed in medians.items()},
        "geometric_mean_share": geometric_mean(
            [speed.share for name, speed in medians.items() if name != SMALL]
        ),
        "mix": mixture,
    }
    arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    print(speed_table(figures), end="")


def one_round(cluster: LocalCluster) -> dict[str, Speed]:
    url = f"{cluster.url}/predict"
    start(cluster, cpus=1)
    alone = {}
    for name, body in bodies().items():
        alone[name] = (
            per_second(lambda body=body: decode(body.content)),  # type: ignore[misc]
            per_second(lambda body=body: read_file(body.content, MAX_PIXELS)),  # type: ignore[misc]
            closed_loop(url, [body], CONNECTIONS, SECONDS).rate,
            closed_loop(url, [body], 1, SECONDS).p50_ms,
        )
    start(cluster, cpus=2)
    return {
        name: Speed(*alone[name], closed_loop(url, [body], CONNECTIONS, SECONDS).rate)
        for name, body in bodies().items()
    }


def start(cluster: LocalCluster, cpus: int) -> None:
    config = cluster.fixed(1)
    deployment_of(config)["ray_actor_options"]["num_cpus"] = cpus
    cluster.serve(config, replicas=1)
    for body in bodies().values():  # the first requests of each kind are slow
        closed_loop(f"{cluster.url}/predict", [body], CONNECTIONS, 1)


def decode(file: bytes) -> None:
    """Decodes a file like a program that needs only a small picture."""
    image = Image.open(io.BytesIO(file))
    image.draft("RGB", (1, 1))
    image.load()


def per_second(call: Callable[[], object]) -> float:
    call()
    times, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < ALONE_S:
        call()
        times += 1
    return times / spent


def median_of(speeds: list[Speed]) -> Speed:
    rows = [asdict(speed) for speed in speeds]
    return Speed(**{key: median(row[key] for row in rows) for key in rows[0]})


def geometric_mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def speed_table(figures: dict[str, Any]) -> str:
    """Returns the table of docs/benchmarks.md."""
    rows: list[list[object]] = []
    for name, row in figures["speeds"].items():
        speed = Speed(**row)
        rows.append([
            name, *map(number, (speed.decoding, speed.reading, speed.served)), f"{speed.share:.2f}",
            number(speed.p50_ms), f"{speed.served_by_2_cpus / speed.served:.2f}",
        ])  # fmt: skip
    head = [
        "body", "decoding alone, 1 thread: pictures/s", "decoding and reading, 1 thread: pictures/s",
        f"service, {CONNECTIONS} connections: requests/s", "share of decoding alone",
        "p50 of one connection, ms", "replica with 2 CPUs to 1",
    ]  # fmt: skip
    return table(head, rows) + "\n"


if __name__ == "__main__":
    main()
