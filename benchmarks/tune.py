"""Finds the configuration with which this machine answers the most requests within a promised latency.

    python -m benchmarks.tune --slo-p99-ms 50

It tries one setting after another, each from the best choice so far: replicas, threads of a replica, batch
size, concurrent requests.  A configuration's value is the highest open-loop rate at which 99 % of the answers
come within the latency.  The best one then runs on a fresh cluster; the promised rate is one that it holds
there, with a tolerance of a tenth of the latency.
"""

import argparse
import datetime
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from digits.vision.golden import golden_digits
from testkit.cluster import LocalCluster, deployment_of, serve_env
from testkit.encodings import ONE
from testkit.load import Open, closed_loop, open_loop

CORES = os.cpu_count() or 1
PICTURE = ONE["png"](golden_digits()[0][7])
SECONDS = 2
PROBES = 5  # halvings of the range of rates, which find a rate to 3 %
KEPT = 0.75  # the promised share of the rate found, which is the edge beyond which queues grow
LOWERED, GIVEN_UP = (
    0.85,
    0.3,
)  # factor by which the promise is lowered; share below which it fails
TOLERANCE = 1.1  # factor on the promised latency when the promise is checked


@dataclass(frozen=True)
class Choice:
    replicas: int = 1
    threads: int = 1
    batch: int = 64
    ongoing: int = 256

    def valid(self) -> bool:
        return self.replicas * self.threads <= CORES and self.ongoing >= 2 * self.batch

    def config(self, cluster: LocalCluster, queued: int) -> dict[str, Any]:
        config = cluster.config(max_batch_size=self.batch)
        deployment = deployment_of(config)
        del deployment["autoscaling_config"]
        deployment |= {"num_replicas": self.replicas, "max_ongoing_requests": self.ongoing}
        deployment["max_queued_requests"] = queued
        deployment["ray_actor_options"]["num_cpus"] = self.threads
        return config


@dataclass(frozen=True)
class Measured:
    choice: Choice
    rate: float  # requests a second within the promise; 0: none
    capacity: float  # in a closed loop


# The values to try of each field of Choice, in this order.
AXES: dict[str, tuple[int, ...]] = {
    "replicas": tuple(range(1, CORES + 1)),
    "threads": tuple(range(1, CORES + 1)),
    "batch": (8, 16, 32, 64, 128),
    "ongoing": (64, 128, 256, 512),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--slo-p99-ms", type=float, required=True, help="99 %% of the answers must come within this time"
    )
    parser.add_argument("--output", type=Path, default=Path("out/tuned"), help="folder for the result")
    arguments = parser.parse_args()
    if arguments.slo_p99_ms <= 0:
        parser.error(f"--slo-p99-ms must be more than 0, not {arguments.slo_p99_ms:g}")
    with LocalCluster(**serve_env()) as cluster:
        tried = list(tqdm(search(cluster, arguments.slo_p99_ms), total=steps(), unit="configuration"))
    best = max(tried, key=lambda measured: measured.rate)
    if not best.rate:
        sys.exit(f"no configuration answers within {arguments.slo_p99_ms:g} ms on this machine")
    promised, kept, config = confirm(best, arguments.slo_p99_ms)
    report(arguments.output, arguments.slo_p99_ms, tried, best, promised, kept, config)
    if not is_kept(kept, promised, arguments.slo_p99_ms):
        sys.exit("no rate held in a fresh run: the machine is too busy, or the latency too strict")


def confirm(best: Measured, slo_ms: float) -> tuple[float, Open, dict[str, Any]]:
    """Runs the best configuration on a fresh cluster at a rate that is lowered until the promise holds.

    The search picks the best of many short measurements, so its rate is too optimistic.
    """
    with LocalCluster(**serve_env()) as cluster:
        promised = KEPT * best.rate
        while True:
            # A longer queue could not be answered within the promise: Serve refuses what comes on top.
            config = best.choice.config(cluster, queued=max(1, round(promised * slo_ms / 1000)))
            deploy(cluster, config)
            kept = open_loop(f"{cluster.url}/predict", PICTURE, promised, 3 * SECONDS)
            if is_kept(kept, promised, slo_ms) or promised < GIVEN_UP * best.rate:
                return promised, kept, config
            promised *= LOWERED


def steps() -> int:
    return sum(map(len, AXES.values()))


def search(cluster: LocalCluster, slo_ms: float) -> Iterator[Measured]:
    best = Measured(Choice(), -1, 0)
    seen: dict[Choice, Measured] = {}
    for axis, values in AXES.items():
        start = best.choice
        for value in values:
            choice = replace(start, **{axis: value})
            if choice.valid() and choice not in seen:
                seen[choice] = measure(cluster, choice, slo_ms)
                best = max(best, seen[choice], key=lambda measured: measured.rate)
            yield seen.get(choice, Measured(choice, 0, 0))


def measure(cluster: LocalCluster, choice: Choice, slo_ms: float) -> Measured:
    deploy(cluster, choice.config(cluster, queued=-1))
    url = f"{cluster.url}/predict"
    capacity = max(closed_loop(url, [PICTURE], connections, SECONDS).rate for connections in (16, 64))
    low, high = 0.0, capacity
    for _ in range(PROBES):
        rate = (low + high) / 2
        if within(open_loop(url, PICTURE, rate, SECONDS), rate, slo_ms):
            low = rate
        else:
            high = rate
    return Measured(choice, low, capacity)


def within(seen: Open, rate: float, slo_ms: float) -> bool:
    return seen.p99_ms is not None and seen.p99_ms <= slo_ms and seen.accepted >= 0.98 * rate


def is_kept(kept: Open, promised: float, slo_ms: float) -> bool:
    return within(kept, promised, TOLERANCE * slo_ms)


def deploy(cluster: LocalCluster, config: dict[str, Any]) -> None:
    cluster.serve(config, deployment_of(config)["num_replicas"])
    closed_loop(f"{cluster.url}/predict", [PICTURE], 16, 1)  # the first requests are slow


def report(
    folder: Path, slo_ms: float, tried: list[Measured], best: Measured, promised: float, kept: Open,
    config: dict[str, Any],
) -> None:  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    config["http_options"]["port"] = 8000
    (folder / "serve_config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    rows = [
        f"| {m.choice.replicas} | {m.choice.threads} | {m.choice.batch} | {m.choice.ongoing} "
        f"| {m.rate:.0f} | {m.capacity:.0f} |{' **chosen**' if m == best else ''} |"
        for m in dict.fromkeys(tried)
        if m.capacity
    ]
    verdict = "kept" if is_kept(kept, promised, slo_ms) else "not kept"
    lines = [
        f"# Tuned for a p99 of {slo_ms:g} ms", "",
        f"{datetime.date.today()}, {CORES} cores, `python -m benchmarks.tune --slo-p99-ms {slo_ms:g}`.", "",
        f"Promise: {promised:.0f} requests/s of one image each, 99 % within {slo_ms:g} ms. A fresh run sent "
        f"{kept.sent:.0f} requests/s and {kept.accepted:.0f} were answered, p50 {kept.p50_ms or 0:.1f} ms, "
        f"p99 {kept.p99_ms or 0:.1f} ms: {verdict}. To use it: `serve run {folder}/serve_config.yaml`.", "",
        "| replicas | threads | batch size | concurrent | requests/s within the promise | capacity | |",
        "|---|---|---|---|---|---|---|", *rows, "",
    ]  # fmt: skip
    (folder / "report.md").write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
