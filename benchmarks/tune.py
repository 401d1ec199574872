"""Finds the configuration with which this machine answers the most requests within a promised latency.

    python -m benchmarks.tune --slo-p99-ms 50

It tries one setting after another, each from the best choice so far: replicas, threads of a replica, batch
size, concurrent requests.  A configuration's value is the highest open-loop rate at which 99 % of the answers
come within the latency.  The best one then runs as `make serve CONFIG=out/tuned/serve_config.yaml` runs it;
the promised rate is one that it holds there within the latency.
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
from testkit.cluster import LocalCluster, deployment_of, serve_config, serve_env
from testkit.encodings import ONE
from testkit.load import Open, closed_loop, describe_missing, open_loop
from testkit.local import serving

CORES = os.cpu_count() or 1
PICTURE = ONE["png"](golden_digits()[0][7])
SECONDS = 2
PROBES = 5  # halvings of the range of rates, which find a rate to 3 %
KEPT = 0.75  # the promised share of the rate found, which is the edge beyond which queues grow
LOWERED = 0.85  # factor by which the promise is lowered until it is kept
GIVEN_UP = 0.3  # share of the rate found below which it is not lowered
PORT = 8700  # of the service that is measured


@dataclass(frozen=True)
class Choice:
    replicas: int = 1
    threads: int = 1
    batch: int = 64
    ongoing: int = 256

    def valid(self) -> bool:
        return self.replicas * self.threads <= CORES and self.ongoing >= 2 * self.batch

    def config(self, config: dict[str, Any], queued: int) -> dict[str, Any]:
        """Changes a Serve configuration to this choice, and returns it."""
        deployment = deployment_of(config)
        deployment["user_config"]["max_batch_size"] = self.batch
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
    if missing := describe_missing():
        sys.exit(missing)
    with LocalCluster(**serve_env()) as cluster:
        tried = list(tqdm(search(cluster, arguments.slo_p99_ms), total=steps(), unit="configuration"))
    best = max(tried, key=lambda measured: measured.rate)
    if not best.rate:
        sys.exit(f"no configuration answers within {arguments.slo_p99_ms:g} ms on this machine")
    file = arguments.output / "serve_config.yaml"
    promised, kept = confirm(best, arguments.slo_p99_ms, file)
    report(file, arguments.slo_p99_ms, tried, best, promised, kept)
    if not within(kept, promised, arguments.slo_p99_ms):
        sys.exit("no rate held in a fresh run: the machine is too busy, or the latency too strict")


def confirm(best: Measured, slo_ms: float, file: Path) -> tuple[float, Open]:
    """Serves the best configuration from `file` at a rate that is lowered until the promise holds.

    The search picks the best of many short measurements, so its rate is too optimistic.
    """
    promised = KEPT * best.rate
    while True:
        write(best.choice, promised, slo_ms, file)
        with serving(PORT, file, replicas=best.choice.replicas):
            warm_up(f"http://127.0.0.1:{PORT}")
            kept = open_loop(f"http://127.0.0.1:{PORT}/predict", PICTURE, promised, 3 * SECONDS)
        if within(kept, promised, slo_ms) or promised < GIVEN_UP * best.rate:
            return promised, kept
        promised *= LOWERED


def write(choice: Choice, promised: float, slo_ms: float, file: Path) -> None:
    """Writes the configuration that `make serve` is to use."""
    # A longer queue could not be answered within the promise: Serve refuses what comes on top.
    config = choice.config(serve_config(), queued=max(1, round(promised * slo_ms / 1000)))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(config, sort_keys=False))


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
    deploy(cluster, choice.config(cluster.config(), queued=-1))
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


def deploy(cluster: LocalCluster, config: dict[str, Any]) -> None:
    cluster.serve(config, deployment_of(config)["num_replicas"])
    warm_up(cluster.url)


def warm_up(url: str) -> None:
    """The first requests are slow."""
    closed_loop(f"{url}/predict", [PICTURE], 16, 1)


def report(
    file: Path, slo_ms: float, tried: list[Measured], best: Measured, promised: float, kept: Open
) -> None:
    rows = [
        f"| {m.choice.replicas} | {m.choice.threads} | {m.choice.batch} | {m.choice.ongoing} "
        f"| {m.rate:.0f} | {m.capacity:.0f} |{' **chosen**' if m == best else ''} |"
        for m in dict.fromkeys(tried)
        if m.capacity
    ]
    verdict = "kept" if within(kept, promised, slo_ms) else "not kept"
    lines = [
        f"# Tuned for a p99 of {slo_ms:g} ms", "",
        f"{datetime.date.today()}, {CORES} cores, `python -m benchmarks.tune --slo-p99-ms {slo_ms:g}`.", "",
        f"Promise: {promised:.0f} requests/s of one image each, 99 % within {slo_ms:g} ms. `make serve` got "
        f"{kept.sent:.0f} requests/s and answered {kept.accepted:.0f}, p50 {kept.p50_ms or 0:.1f} ms, "
        f"p99 {kept.p99_ms or 0:.1f} ms: {verdict}. To use it: `make serve CONFIG={file}`.", "",
        "| replicas | threads | batch size | concurrent | requests/s within the promise | capacity | |",
        "|---|---|---|---|---|---|---|", *rows, "",
    ]  # fmt: skip
    file.with_name("report.md").write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
